"""The loop of the streams' source: each chunk is written at its own moment, to a few microseconds.

asyncio's timers know milliseconds: a thousand streams that are out of step would have their chunks together after all, twenty
in each millisecond. And what the source needs of its core is missing to the load generator, which shares it.
"""

import os

from cpython.exc cimport PyErr_CheckSignals
from libc.errno cimport EAGAIN, EINTR, errno
from libc.stdint cimport int64_t, uint32_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy
from posix.time cimport CLOCK_MONOTONIC, timespec
from posix.unistd cimport close

from loadtest._system cimport (
    EPOLLIN, EPOLLOUT, EPOLL_CLOEXEC, EPOLL_CTL_ADD, EPOLL_CTL_MOD, IPPROTO_TCP, MSG_NOSIGNAL, PR_SET_TIMERSLACK,
    SOCK_CLOEXEC, SOCK_NONBLOCK, TCP_NODELAY, accept4, clock, epoll_create1, epoll_ctl, epoll_event, epoll_pwait2, prctl,
    recv, send, setsockopt,
)

cdef enum:
    MOST = 32768                    # connections: their numbers are those of their files
    AT_ONCE = 256                   # events
    PIECE = 65536                   # bytes read at once
    DIGITS = 20                     # of a chunk's time
    LISTENER = MOST
    LONGEST = 100_000_000           # ns until the next look for signals

cdef double GOLDEN = 0.618034       # multiples of it, fractions only, are spread evenly however many there are


cdef struct Stream:
    int64_t due                     # when its next piece is
    int left                        # chunks to come, -1: all is written
    int form                        # which of the two
    int place                       # in the queue, -1: in none
    char *rest                      # of a piece that the connection did not take, NULL: nothing
    Py_ssize_t sent, size           # of it


cdef class Form:
    """A stream, framed: ``head``, so many times ``event`` with the time at ``stamp``, ``tail``."""

    cdef bytes head, event, tail
    cdef Py_ssize_t stamp

    def __init__(self, bytes head, bytes event, Py_ssize_t stamp, bytes tail):
        if not 0 <= stamp <= len(event) - DIGITS:
            raise ValueError("an event has a place for the time")
        self.head, self.event, self.stamp, self.tail = head, event, stamp, tail


cdef class Source:
    """Answers each request that comes to ``listener`` with ``chunks`` chunks, the first at once, one each ``seconds``.

    ``reader()`` is called for each connection; what it gives is called with what comes on it, and returns for each request
    that is whole by then the number of its form. The second chunk of a stream comes somewhere within ``seconds``.
    """

    cdef tuple forms
    cdef object reader
    cdef dict readers               # by file
    cdef int listener, epoll, chunks, queued
    cdef int64_t pause, begun
    cdef Stream *streams            # by file
    cdef int *queue                 # a heap of files, by when they are due
    cdef char piece[PIECE]

    def __cinit__(self, int listener, tuple forms, object reader, *, int chunks, double seconds):
        self.listener, self.forms, self.reader, self.chunks = listener, forms, reader, chunks
        self.pause = <int64_t>(seconds * 1e9)
        self.readers = {}
        self.streams = <Stream *>calloc(MOST, sizeof(Stream))
        self.queue = <int *>malloc(MOST * sizeof(int))
        if self.streams == NULL or self.queue == NULL:
            raise MemoryError()
        self.epoll = epoll_create1(EPOLL_CLOEXEC)
        if self.epoll < 0 or not self._watch(listener, LISTENER, EPOLL_CTL_ADD, EPOLLIN):
            raise OSError(errno, os.strerror(errno))

    def __dealloc__(self):
        cdef int fd
        if self.streams != NULL:
            for fd in range(MOST):
                free(self.streams[fd].rest)
        free(self.streams)
        free(self.queue)
        close(self.epoll)

    def serve(self):
        """Until a signal's handler raises something."""
        cdef epoll_event events[AT_ONCE]
        cdef int count, i
        prctl(PR_SET_TIMERSLACK, 1)     # ns: the kernel would otherwise wake a thread 50 us late
        while True:
            count = self._wait(events)
            for i in range(count):
                if events[i].data.u32 == LISTENER:
                    self._accept()
                else:
                    self._attend(events[i].data.u32, events[i].events)
            self._write_due(clock(CLOCK_MONOTONIC))
            PyErr_CheckSignals()

    cdef int _wait(self, epoll_event *events) noexcept:
        cdef timespec pause
        cdef int64_t most = LONGEST
        if self.queued:
            most = min(most, max(0, self.streams[self.queue[0]].due - clock(CLOCK_MONOTONIC)))
        pause.tv_sec, pause.tv_nsec = 0, most
        return epoll_pwait2(self.epoll, events, AT_ONCE, &pause, NULL)

    cdef bint _watch(self, int fd, uint32_t name, int how, uint32_t wanted) noexcept:
        cdef epoll_event event
        event.events, event.data.u32 = wanted, name
        return epoll_ctl(self.epoll, how, fd, &event) == 0

    # In

    cdef int _accept(self) except -1:
        cdef int on = 1
        cdef int fd = accept4(self.listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)
        while fd >= 0:
            if fd >= MOST:
                raise OSError("too many connections")
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(int))
            self.streams[fd].place = self.streams[fd].left = -1
            self.readers[fd] = self.reader()
            self._watch(fd, fd, EPOLL_CTL_ADD, EPOLLIN)
            fd = accept4(self.listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)
        return 0

    cdef int _attend(self, int fd, uint32_t events) except -1:
        cdef Py_ssize_t size
        cdef int form
        if fd not in self.readers:      # closed since it was waited for
            return 0
        if events & EPOLLOUT:
            return self._write_rest(fd)
        size = recv(fd, self.piece, PIECE, 0)
        if size < 0 and (errno == EAGAIN or errno == EINTR):
            return 0
        if size <= 0:
            return self._close(fd)
        try:
            wanted = self.readers[fd](self.piece[:size])
        except ValueError:              # who looks whether anybody is there asks for no stream
            return self._close(fd)
        for form in wanted:
            self._begin(fd, form)
        return 0

    cdef int _begin(self, int fd, int form) except -1:
        """Whoever asks waits for each answer before it asks again."""
        cdef Stream *stream = self.streams + fd
        if stream.left >= 0 or stream.rest != NULL:
            raise ValueError("a request came before the answer to the one before it had ended")
        stream.form, stream.left = form, self.chunks
        self.begun += 1
        stream.due = clock(CLOCK_MONOTONIC) + <int64_t>(self.pause * ((self.begun * GOLDEN) % 1.0 - 1.0))
        if self._write(fd, (<Form>self.forms[form]).head):
            self._write_next(fd)
        return 0

    # Out

    cdef int _write_due(self, int64_t now) except -1:
        cdef int fd
        while self.queued and self.streams[self.queue[0]].due <= now:
            fd = self.queue[0]
            self._leave_queue(fd)
            self._write_next(fd)
        return 0

    cdef int _write_next(self, int fd) except -1:
        """The next piece of a stream, and when it has another one."""
        cdef Stream *stream = self.streams + fd
        cdef Form form = self.forms[stream.form]
        cdef bytes piece = self._stamped(form) if stream.left else form.tail
        stream.left -= 1
        stream.due += self.pause
        if self._write(fd, piece) and stream.left >= 0:
            self._join_queue(fd)
        return 0

    cdef bytes _stamped(self, Form form):
        """The event, with what time it is."""
        return form.event[:form.stamp] + b"%020d" % clock(CLOCK_MONOTONIC) + form.event[form.stamp + DIGITS:]

    cdef bint _write(self, int fd, bytes piece) except -1:
        """Whether the connection took all of it; what it did not take follows when it does."""
        cdef Stream *stream = self.streams + fd
        cdef Py_ssize_t sent = send(fd, <const char *>piece, len(piece), MSG_NOSIGNAL)
        if sent == len(piece):
            return True
        if sent < 0 and errno != EAGAIN and errno != EINTR:
            self._close(fd)
            return False
        sent = max(sent, 0)
        stream.sent, stream.size = 0, len(piece) - sent
        stream.rest = <char *>malloc(stream.size)
        if stream.rest == NULL:
            raise MemoryError()
        memcpy(stream.rest, <const char *>piece + sent, stream.size)
        self._watch(fd, fd, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT)
        return False

    cdef int _write_rest(self, int fd) except -1:
        cdef Stream *stream = self.streams + fd
        cdef Py_ssize_t sent
        if stream.rest == NULL:
            return 0
        sent = send(fd, stream.rest + stream.sent, stream.size - stream.sent, MSG_NOSIGNAL)
        if sent < 0:
            return 0 if errno == EAGAIN or errno == EINTR else self._close(fd)
        stream.sent += sent
        if stream.sent == stream.size:
            free(stream.rest)
            stream.rest = NULL
            self._watch(fd, fd, EPOLL_CTL_MOD, EPOLLIN)
            if stream.left >= 0:
                self._join_queue(fd)
        return 0

    cdef int _close(self, int fd) except -1:
        cdef Stream *stream = self.streams + fd
        if stream.place >= 0:
            self._leave_queue(fd)
        free(stream.rest)
        stream.rest = NULL
        del self.readers[fd]
        close(fd)
        return 0

    # The queue

    cdef void _join_queue(self, int fd) noexcept:
        self.queued += 1
        self._rise(fd, self.queued - 1)

    cdef void _leave_queue(self, int fd) noexcept:
        cdef int at = self.streams[fd].place
        cdef int last
        self.streams[fd].place = -1
        self.queued -= 1
        last = self.queue[self.queued]
        if last != fd:
            self._sink(last, at)
            self._rise(last, self.streams[last].place)

    cdef void _put(self, int fd, int at) noexcept:
        self.queue[at] = fd
        self.streams[fd].place = at

    cdef void _rise(self, int fd, int at) noexcept:
        """Put it there, or nearer to the front, where those before it are due later."""
        cdef int above
        while at:
            above = self.queue[(at - 1) // 2]
            if self.streams[above].due <= self.streams[fd].due:
                break
            self._put(above, at)
            at = (at - 1) // 2
        self._put(fd, at)

    cdef void _sink(self, int fd, int at) noexcept:
        """Put it there, or nearer to the end, where those behind it are due sooner."""
        cdef int below
        while 2 * at + 1 < self.queued:
            below = 2 * at + 1
            if below + 1 < self.queued and self.streams[self.queue[below + 1]].due < self.streams[self.queue[below]].due:
                below += 1
            if self.streams[self.queue[below]].due >= self.streams[fd].due:
                break
            self._put(self.queue[below], at)
            at = below
        self._put(fd, at)
