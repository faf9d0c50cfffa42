"""An open loop: requests go out when they are due, whatever has become of those before, over sockets that never block.

No Python object per request. Times are taken from when a request was due, so nothing is left out where the subject, or
this loop, is late: what cannot be sent waits in line, and its waiting counts.
"""

import os

import numpy as np

from cpython.exc cimport PyErr_CheckSignals
from libc.errno cimport EAGAIN, EINPROGRESS, EINTR, ENOTCONN, errno
from libc.stdint cimport int64_t, uint32_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset
from posix.time cimport CLOCK_MONOTONIC, CLOCK_THREAD_CPUTIME_ID, timespec
from posix.unistd cimport close

from loadtest._answers cimport (
    CHUNK, CONNECT, CUT, EXCESS, MORE, OUTCOMES, TIMEOUT, UNSENT, WHOLE, Answer, Expected, expect, read,
)
from loadtest._answers import NAMES
from loadtest._arrivals cimport PHASES, Arrivals, add_crowd, add_phase, advance
from loadtest._counters cimport COUNTERS, bucket
from loadtest._system cimport (
    AF_INET, EPOLLIN, EPOLLOUT, EPOLL_CLOEXEC, EPOLL_CTL_ADD, EPOLL_CTL_MOD, INADDR_LOOPBACK, IPPROTO_TCP, MSG_NOSIGNAL,
    PR_SET_TIMERSLACK, SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_STREAM, SOL_SOCKET, SO_ERROR, TCP_NODELAY, clock, connect,
    epoll_create1, epoll_ctl, epoll_event, epoll_pwait2, getsockopt, htonl, htons, make_socket, prctl, recv, send,
    setsockopt, sockaddr_in,
)

cdef enum:                          # what is counted
    LATENCY
    LATE
    FIRST
    DELAY
    GAP
    KINDS

cdef enum:                          # stages
    IDLE
    CONNECTING
    SENDING
    WAITING

cdef enum:
    DIGITS = 12                     # of a request's number
    AT_ONCE = 256                   # events
    PIECE = 65536                   # bytes read at once
    SAMPLE = 500                    # bytes kept of the first answer that was wrong
    LOOK = 100_000_000              # ns between two looks for what takes too long
    LEAD = 1_000_000                # ns until the first request is due

cdef struct Connection:
    int fd                          # -1: none yet, or no more
    int stage
    int64_t number, due, began, came        # of its request; when, in ns from the start, it was due, was sent, had its last chunk
    Py_ssize_t row                  # where its times are counted
    Py_ssize_t sent                 # bytes
    Answer answer


def bucket_of(int64_t ns):
    """The index of the counter that a time of so many nanoseconds adds to."""
    return bucket(ns)


cdef class Engine:
    """``Engine(port, before, after, expected, connections=1024, seconds=10.0, keeps=True)``: requests to a port of the loopback.

    Each request is ``before``, its number in 12 digits, and ``after``. At most ``connections`` are open at a time, opened
    as they are needed, and the one that was used last is used next, with ``rotates`` the one that has rested longest;
    ``keeps`` False: each has one request. What is not answered within ``seconds`` after it was sent, or
    within as many after the last one was due, is a ``timeout``; what still waits for a connection then is ``unsent``.
    Belongs to one thread; a run may be repeated. Raises OSError where the machine has no room, or a kernel before Linux 5.11.
    """

    cdef Expected expected
    cdef unsigned short port
    cdef int most, epoll, first, ready          # of the ring: where it begins, and how many are in it
    cdef bint keeps, rotates
    cdef int64_t patience, start, left, first_number
    cdef char *request
    cdef Py_ssize_t hole, size
    cdef Connection *connections
    cdef int *free                  # a ring of connections without a request, open or not, by when they were used
    cdef Arrivals arrivals
    cdef int64_t per_row
    cdef Py_ssize_t rows
    cdef uint32_t *counts[KINDS]
    cdef int64_t outcomes[OUTCOMES]
    cdef char sample[SAMPLE]
    cdef Py_ssize_t sampled
    cdef char piece[PIECE]

    def __cinit__(
        self, int port, bytes before, bytes after, Expected expected not None, *, int connections=1024, double seconds=10.0,
        bint keeps=True, bint rotates=False,
    ):
        self.epoll = -1
        if not 0 < connections <= 65536:
            raise ValueError("connections must be from 1 to 65536")
        self.port, self.expected, self.most, self.keeps, self.rotates = port, expected, connections, keeps, rotates
        self.patience = <int64_t>(seconds * 1e9)
        self.hole, self.size = len(before), len(before) + DIGITS + len(after)
        self.request = <char *>malloc(self.size)
        self.connections = <Connection *>calloc(connections, sizeof(Connection))
        self.free = <int *>malloc(connections * sizeof(int))
        if self.request == NULL or self.connections == NULL or self.free == NULL:
            raise MemoryError()
        memcpy(self.request, <const char *>before, len(before))
        memcpy(self.request + self.hole + DIGITS, <const char *>after, len(after))
        for number in range(connections):
            self.connections[number].fd = -1
            self.free[number] = connections - 1 - number
        self.ready = connections
        self.epoll = epoll_create1(EPOLL_CLOEXEC)
        cdef epoll_event event
        cdef timespec none
        memset(&none, 0, sizeof(timespec))
        if self.epoll < 0 or epoll_pwait2(self.epoll, &event, 1, &none, NULL) < 0:
            raise OSError(errno, os.strerror(errno))

    def __dealloc__(self):
        self.close()
        free(self.request)
        free(self.connections)
        free(self.free)

    def close(self):
        """Close all connections."""
        cdef int slot
        if self.epoll >= 0:
            for slot in range(self.most):
                self._close(self.connections + slot)
            close(self.epoll)
            self.epoll = -1

    def run(self, phases, double row_seconds):
        """Send ``phases``, each ``(requests a second, seconds)``, and wait for the answers.

        Times are counted in rows of ``row_seconds`` each, by when a request was due. Returns a dictionary: ``counts``, by
        name a table of rows and buckets (uint32; `bucket_of` says which): ``latency`` from due to whole, ``late`` from due
        to sent, ``first`` from due to the first chunk, ``delay`` from a chunk's own time to its reading, ``gap`` between two
        chunks; ``answered``; ``faults``, by name; ``sample``, of the first wrong answer; ``seconds`` from the first due to
        the last answer; ``cpu_seconds`` of this thread. Raises ValueError where nothing is to be sent.
        """
        if not phases:
            raise ValueError("at least one phase")
        self._plan(phases, row_seconds)
        return self._counted()

    def saturate(self, double seconds):
        """A closed loop: each connection asks again as soon as it is answered, for so many seconds.

        Returns what ``run`` does, in one row; a request is due when its connection is free for it.
        """
        self._plan((), seconds)
        add_crowd(&self.arrivals, seconds)
        self.left = self.arrivals.total
        self.rows = 1
        return self._counted()

    cdef dict _counted(self):
        """Carry out what is planned."""
        counts = {name: np.zeros((self.rows, COUNTERS), np.uint32) for name in ("latency", "late", "first", "delay", "gap")}
        for kind, table in enumerate(counts.values()):
            self.counts[kind] = <uint32_t *><size_t>table.ctypes.data
        seconds, cpu_seconds = self._timed()
        self.first_number += self.arrivals.total
        return {
            "counts": counts,
            "answered": self.outcomes[WHOLE],
            "faults": {NAMES[kind]: self.outcomes[kind] for kind in range(WHOLE + 1, OUTCOMES) if self.outcomes[kind]},
            "sample": self.sample[:self.sampled],
            "seconds": seconds,
            "cpu_seconds": cpu_seconds,
        }

    cdef int _plan(self, phases, double row_seconds) except -1:
        if self.epoll < 0 or row_seconds <= 0 or any(rate <= 0 or seconds <= 0 for rate, seconds in phases):
            raise ValueError("each phase, and each row, takes some time, and connections are not closed yet")
        if len(phases) > PHASES:
            raise ValueError(f"at most {PHASES} phases")
        memset(&self.arrivals, 0, sizeof(Arrivals))
        memset(self.outcomes, 0, sizeof(self.outcomes))
        self.sampled = 0
        for rate, seconds in phases:
            add_phase(&self.arrivals, rate, seconds)
        self.left = self.arrivals.total
        self.per_row = <int64_t>(row_seconds * 1e9)
        self.rows = (self.arrivals.end + self.per_row - 1) // self.per_row
        return 0

    cdef tuple _timed(self):
        """The run itself; its seconds, by the clock and of CPU."""
        cdef int64_t cpu = clock(CLOCK_THREAD_CPUTIME_ID)
        prctl(PR_SET_TIMERSLACK, 1)     # ns: the kernel would otherwise wake a thread 50 us late
        self.start = clock(CLOCK_MONOTONIC) + LEAD
        try:
            while self.left:
                with nogil:
                    self._turn_until_look()
                PyErr_CheckSignals()
        finally:
            prctl(PR_SET_TIMERSLACK, 0)  # what it was
            self._drop_busy()
        return (clock(CLOCK_MONOTONIC) - self.start) / 1e9, (clock(CLOCK_THREAD_CPUTIME_ID) - cpu) / 1e9

    cdef void _turn_until_look(self) noexcept nogil:
        """The loop, until something may have taken too long, and a look whether it has."""
        cdef epoll_event events[AT_ONCE]
        cdef int64_t now = self._now(), look = now + LOOK
        cdef int count, i
        while self.left and now < look:
            count = self._wait(events, look - now)
            self._send_due()
            for i in range(count):
                self._attend(self.connections + events[i].data.u32, events[i].events)
                self._send_due()
            now = self._now()
        self._look(now)

    cdef int _wait(self, epoll_event *events, int64_t most) noexcept nogil:
        """Until something comes, a request that can be sent is due, or ``most`` ns have passed; returns how many events."""
        cdef timespec pause
        if self.ready and self.arrivals.next < self.arrivals.total:
            most = min(most, self.arrivals.due - self._now())
        pause.tv_sec, pause.tv_nsec = 0, max(most, 0)
        return epoll_pwait2(self.epoll, events, AT_ONCE, &pause, NULL)

    cdef inline int64_t _now(self) noexcept nogil:
        """Nanoseconds since the start."""
        return clock(CLOCK_MONOTONIC) - self.start

    cdef inline void _count(self, int kind, Connection *c, int64_t ns) noexcept nogil:
        self.counts[kind][c.row * COUNTERS + bucket(ns)] += 1

    cdef void _look(self, int64_t now) noexcept nogil:
        """End what has taken too long, and all that is left once the last request has."""
        cdef bint over = now > self.arrivals.end + self.patience
        cdef Connection *c
        cdef int slot
        if over:
            self.outcomes[UNSENT] += self.arrivals.total - self.arrivals.next
            self._offer_no_more()
        for slot in range(self.most):
            c = self.connections + slot
            if c.stage != IDLE and (over or now > c.began + self.patience):
                self._fail(c, TIMEOUT)

    cdef void _offer_no_more(self) noexcept nogil:
        self.left -= self.arrivals.total - self.arrivals.next
        self.arrivals.total = self.arrivals.next

    cdef void _drop_busy(self) noexcept nogil:
        """Where a run was interrupted: nobody waits for these answers."""
        cdef int slot
        for slot in range(self.most):
            if self.connections[slot].stage != IDLE:
                self._fail(self.connections + slot, CUT)

    # Out

    cdef void _send_due(self) noexcept nogil:
        if self.arrivals.endless and self._now() >= self.arrivals.end:
            self._offer_no_more()
        while self.ready and self.arrivals.next < self.arrivals.total and self.arrivals.due <= self._now():
            self._begin(self.connections + self._chosen())

    cdef int _chosen(self) noexcept nogil:
        """The connection that was used last; or the one that has rested longest."""
        cdef int at = self.first if self.rotates else self.first + self.ready - 1
        if self.rotates:
            self.first = (self.first + 1) % self.most
        self.ready -= 1
        return self.free[at % self.most]

    cdef void _begin(self, Connection *c) noexcept nogil:
        c.number, c.due = self.first_number + self.arrivals.next, self.arrivals.due
        if self.arrivals.endless:
            c.due = self._now()
        advance(&self.arrivals)
        c.row = min(c.due // self.per_row, self.rows - 1)
        c.began = self._now()
        c.sent = 0
        expect(&c.answer)
        self._count(LATE, c, c.began - c.due)
        if c.fd >= 0:
            self._transmit(c)
        elif not self._open(c):
            self._fail(c, CONNECT)

    cdef bint _open(self, Connection *c) noexcept nogil:
        cdef int on = 1
        cdef sockaddr_in address
        c.fd = make_socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)
        if c.fd < 0:
            return False
        memset(&address, 0, sizeof(sockaddr_in))
        address.sin_family, address.sin_port, address.sin_addr.s_addr = AF_INET, htons(self.port), htonl(INADDR_LOOPBACK)
        setsockopt(c.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(int))
        if connect(c.fd, &address, sizeof(sockaddr_in)) < 0 and errno != EINPROGRESS:
            return False
        c.stage = CONNECTING
        return self._watch(c, EPOLL_CTL_ADD, EPOLLIN | EPOLLOUT)

    cdef bint _watch(self, Connection *c, int how, uint32_t events) noexcept nogil:
        cdef epoll_event event
        event.events, event.data.u32 = events, <uint32_t>(c - self.connections)
        return epoll_ctl(self.epoll, how, c.fd, &event) == 0

    cdef void _transmit(self, Connection *c) noexcept nogil:
        """As much of the request as the socket takes."""
        cdef Py_ssize_t sent
        self._write_number(c.number)
        while c.sent < self.size:
            sent = send(c.fd, self.request + c.sent, self.size - c.sent, MSG_NOSIGNAL)
            if sent >= 0:
                c.sent += sent
            elif errno == EAGAIN or errno == ENOTCONN:
                if c.stage == IDLE:
                    self._watch(c, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT)
                c.stage = SENDING
                return
            elif errno != EINTR:
                self._fail(c, CUT)
                return
        if c.stage != IDLE:
            self._watch(c, EPOLL_CTL_MOD, EPOLLIN)
        c.stage = WAITING

    cdef void _write_number(self, int64_t number) noexcept nogil:
        cdef char *end = self.request + self.hole + DIGITS
        cdef int i
        for i in range(DIGITS):
            end -= 1
            end[0] = <char>(48 + number % 10)
            number //= 10

    # In

    cdef void _attend(self, Connection *c, uint32_t events) noexcept nogil:
        """What epoll tells. It may be of a connection that has been closed, or opened anew, since: then nothing comes."""
        if events & EPOLLOUT and (c.stage == CONNECTING or c.stage == SENDING):
            if c.stage == CONNECTING and not self._is_connected(c):
                self._fail(c, CONNECT)
            else:
                self._transmit(c)
        elif c.fd >= 0:
            self._receive(c)

    cdef bint _is_connected(self, Connection *c) noexcept nogil:
        cdef int error = 0
        cdef unsigned int size = sizeof(int)
        return getsockopt(c.fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 and error == 0

    cdef void _receive(self, Connection *c) noexcept nogil:
        cdef Py_ssize_t size = recv(c.fd, self.piece, PIECE, 0)
        if size < 0 and (errno == EAGAIN or errno == EINTR):
            return
        if c.stage != IDLE:
            if size > 0:
                self._take(c, size)
            else:
                self._fail(c, CUT)
            return
        if size > 0:
            self._keep_sample(size)
            self.outcomes[EXCESS] += 1
        self._close(c)                  # what the subject does not keep open is opened anew when it is needed

    cdef void _take(self, Connection *c, Py_ssize_t size) noexcept nogil:
        cdef int64_t now = self._now()
        cdef const char *at = self.piece
        cdef const char *end = at + size
        cdef int outcome = read(&c.answer, &self.expected.wanted, &at, end)
        while outcome == CHUNK:
            self._note_chunk(c, now)
            outcome = read(&c.answer, &self.expected.wanted, &at, end)
        if outcome == WHOLE:
            self._finish(c, now)
        elif outcome != MORE:
            self._keep_sample(size)
            self._fail(c, outcome)

    cdef void _note_chunk(self, Connection *c, int64_t now) noexcept nogil:
        if c.answer.chunks == 1:
            self._count(FIRST, c, now - c.due)
        else:
            self._count(GAP, c, now - c.came)
        self._count(DELAY, c, self.start + now - <int64_t>c.answer.written)
        c.came = now

    cdef void _keep_sample(self, Py_ssize_t size) noexcept nogil:
        if not self.sampled:
            self.sampled = min(size, SAMPLE)
            memcpy(self.sample, self.piece, self.sampled)

    # Ends

    cdef void _finish(self, Connection *c, int64_t now) noexcept nogil:
        self._count(LATENCY, c, now - c.due)
        self.outcomes[WHOLE] += 1
        if c.answer.closes or not self.keeps:
            self._close(c)
        self._release(c)

    cdef void _fail(self, Connection *c, int kind) noexcept nogil:
        self.outcomes[kind] += 1
        self._close(c)
        self._release(c)

    cdef void _release(self, Connection *c) noexcept nogil:
        c.stage = IDLE
        self.free[(self.first + self.ready) % self.most] = <int>(c - self.connections)
        self.ready += 1
        self.left -= 1

    cdef void _close(self, Connection *c) noexcept nogil:
        if c.fd >= 0:
            close(c.fd)
            c.fd = -1
