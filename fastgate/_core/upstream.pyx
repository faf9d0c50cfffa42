"""The upstream client: a pool of HTTP/1.1 connections to one provider's address.

A request takes the connection that was used last, or makes one, or (at ``max_connections``) waits in line. An exchange
costs no task and no timer of its own: its future is resolved from the socket's read callback, and one sweeper per pool
looks at all open exchanges a few times a second, only while there are any.
"""

import asyncio
from collections import OrderedDict

from libc.stdint cimport int64_t

from fastgate._core.connection cimport Connection, Keeper
from fastgate._core.clock cimport monotonic_ns
from fastgate._core.exchange cimport ASKED, OVER, WAITING, Exchange
from fastgate._core.runner cimport Runner
from fastgate._core.tunnel import authority, open_tunnel
from fastgate._core.upstream_errors import (
    ClosedEarly,
    EndedHere,
    ConnectError,
    ConnectTimeout,
    FirstByteTimeout,
    IdleTimeout,
    TotalTimeout,
)

cdef double SECOND = 1e9
cdef int64_t FOREVER = 1 << 62


cdef int64_t nanoseconds(double seconds) except -1:
    if not seconds > 0:
        raise ValueError(f"a timeout must be above zero, not {seconds}")
    return FOREVER if seconds * SECOND >= FOREVER else <int64_t>(seconds * SECOND)


cdef class Pool(Keeper):
    """Connections to one host and port. Belongs to one event loop and its thread."""

    cdef Runner runner
    cdef object loop, ssl, proxy
    cdef str target                         # what a proxy is asked for
    cdef readonly str host
    cdef readonly int port
    cdef object server_hostname
    cdef int64_t connect_ns, first_byte_ns, idle_ns, total_ns, keepalive_ns, stale_ns
    cdef readonly int max_connections
    cdef double tick, nap                   # seconds between two looks: with open exchanges, with idle connections only
    cdef object timer
    cdef bint napping, closed, retired
    cdef set connections, open              # all connections, those being made too; exchanges that are not over
    cdef dict idle                          # Connection -> None, the last used at the end
    cdef object waiting                     # OrderedDict, Exchange -> None, first come first
    cdef object emptied                     # future of close()

    def __init__(self, object loop, str host, int port, *, object ssl=None, str server_hostname=None,
                 object proxy=None, double connect_timeout=5, double first_byte_timeout=60, double idle_timeout=120,
                 double total_timeout=600, int max_connections=16_384, double keepalive_seconds=60,
                 double stale_seconds=2, Py_ssize_t max_head_bytes=65536, Runner runner=None):
        self.loop = loop
        self.runner = runner or Runner(loop)
        self.host = host
        self.port = port
        self.target = authority(host, port)
        self.address = self.target if proxy is None else f"{self.target} through the proxy {proxy.address}"
        self.proxy = proxy
        self.ssl = ssl
        self.server_hostname = None if ssl is None else server_hostname or host
        if ssl is not None:
            ssl.set_alpn_protocols(["http/1.1"])
        self.connect_ns = nanoseconds(connect_timeout)
        self.first_byte_ns = nanoseconds(first_byte_timeout)
        self.idle_ns = nanoseconds(idle_timeout)
        self.total_ns = nanoseconds(total_timeout)
        self.keepalive_ns = nanoseconds(keepalive_seconds)
        self.stale_ns = nanoseconds(stale_seconds)
        if max_connections < 1:
            raise ValueError("max_connections must be at least 1")
        self.max_connections = max_connections
        self.max_head_bytes = max_head_bytes
        shortest = min(connect_timeout, first_byte_timeout, idle_timeout, total_timeout)
        self.tick = min(0.1, max(0.01, shortest / 4))
        self.nap = min(keepalive_seconds, 3600.0)
        self.outbox = self.runner.requests
        self.connections = set()
        self.open = set()
        self.idle = {}
        self.waiting = OrderedDict()

    async def request(self, bytes head, bytes body, *, Py_ssize_t buffer_limit=0):
        """Sends a request and waits for its answer: the head alone with ``buffer_limit`` 0, else the whole answer
        unless its body is longer than ``buffer_limit`` bytes (then as soon as that is known).

        ``head`` is the request's head as it goes out, blank line included; its content-length is the caller's affair.
        Cancelling the request ends its connection.
        """
        cdef Exchange exchange = Exchange.__new__(Exchange)
        if self.closed:
            raise ConnectError(f"the pool of {self.address} is closed")
        exchange.runner = self.runner
        exchange.head = head
        exchange.request_body = body
        exchange.bodiless = head.startswith(b"HEAD ")
        exchange.started_ns = monotonic_ns()
        exchange.connect_by_ns = exchange.started_ns + self.connect_ns
        exchange.total_by_ns = exchange.started_ns + self.total_ns
        arrived = exchange.wait(buffer_limit)
        self.open.add(exchange)
        self.watch()
        self.place(exchange)
        try:
            await arrived
        except BaseException:
            exchange.abort()
            self.forget(exchange)
            raise
        return exchange

    def retire(self):
        """Keeps no connection from now on: idle ones end now, busy ones with their exchange."""
        self.retired = True
        self.end_idle(FOREVER)

    async def close(self):
        """Ends everything, exchanges too, and returns when the last connection is gone."""
        cdef Exchange exchange
        cdef Connection connection
        self.closed = self.retired = True
        for exchange in list(self.open):
            kind = ConnectError if exchange.phase == WAITING else EndedHere
            exchange.fail(exchange.failure(kind, f"the pool of {self.address} was closed"))
        self.end_idle(FOREVER)
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        if self.connections:
            if self.emptied is None:
                self.emptied = self.loop.create_future()
            await asyncio.shield(self.emptied)

    def stats(self):
        """What there is now: ``connections`` (those being made too), ``idle`` ones, ``open`` exchanges, ``waiting``
        ones."""
        return {
            "connections": len(self.connections), "idle": len(self.idle),
            "open": len(self.open), "waiting": len(self.waiting),
        }

    # Finding a connection

    cdef int place(self, Exchange exchange) except -1:
        cdef Connection connection
        cdef int64_t oldest = monotonic_ns() - self.keepalive_ns
        while self.idle:
            connection = self.idle.popitem()[0]
            if connection.idle_since_ns >= oldest and connection.usable():
                connection.start(exchange)
                return 0
            connection.transport.abort()
        if len(self.connections) < self.max_connections:
            self.dial(exchange)
        else:
            self.waiting[exchange] = None
        return 0

    cdef int dial(self, Exchange exchange) except -1:
        cdef Connection connection = Connection(self)
        self.connections.add(connection)
        exchange.dial = self.loop.create_task(self.connect(exchange, connection))
        return 0

    async def connect(self, Exchange exchange, Connection connection):
        try:
            if self.proxy is None:
                await self.loop.create_connection(
                    lambda: connection, self.host, self.port, ssl=self.ssl, server_hostname=self.server_hostname)
            else:
                await open_tunnel(self.loop, self.proxy, connection, self.target,
                                  ssl=self.ssl, server_hostname=self.server_hostname)
        except (OSError, UnicodeError) as error:
            exchange.dial = None
            exchange.fail(exchange.failure(ConnectError, f"cannot connect to {self.address}: {error}"))
            self.vacate(connection)
        except BaseException:               # cancelled: by a timeout, by close(), with the request; the loop closes it
            self.vacate(connection)
            raise
        else:
            self.connected(connection, exchange)

    cdef int connected(self, Connection connection, Exchange exchange) except -1:
        exchange.dial = None
        if not connection.usable():         # accepted and closed at once: connection_lost has come or comes
            exchange.fail(exchange.failure(ClosedEarly, f"{self.address} closed the connection at once"))
        elif exchange.phase == WAITING:
            connection.start(exchange)
        else:                               # no longer wanted
            self.shelve(connection)
        return 0

    cdef int shelve(self, Connection connection) except -1:
        """A connection without work: to the first in line, else it is kept for later."""
        cdef Exchange exchange
        while self.waiting:
            exchange = self.waiting.popitem(last=False)[0]
            if exchange.phase == WAITING:
                return connection.start(exchange)
        if self.retired:
            connection.transport.abort()
        else:
            connection.idle_since_ns = monotonic_ns()
            self.idle[connection] = None
        return 0

    cdef int vacate(self, Connection connection) except -1:
        """A place in the pool is free."""
        cdef Exchange exchange
        self.connections.discard(connection)
        while self.waiting and len(self.connections) < self.max_connections:
            exchange = self.waiting.popitem(last=False)[0]
            if exchange.phase == WAITING:
                self.dial(exchange)
        if self.emptied is not None and not self.connections and not self.emptied.done():
            self.emptied.set_result(None)
        return 0

    cdef int forget(self, Exchange exchange) except -1:
        self.open.discard(exchange)
        self.waiting.pop(exchange, None)
        return 0

    # From connections

    cdef int released(self, Connection connection, Exchange exchange, bint reusable) except -1:
        self.open.discard(exchange)
        if reusable:
            self.shelve(connection)
        return 0

    cdef int lost(self, Connection connection, Exchange exchange, object reason) except -1:
        self.idle.pop(connection, None)
        if exchange is not None and exchange.phase != OVER:
            if self.stale(connection, exchange):
                exchange.phase = WAITING
                exchange.transport = None
                exchange.connect_by_ns = monotonic_ns() + self.connect_ns
                self.connections.discard(connection)
                # A fresh one: others in the pool may be as stale, and a fresh one never is, so this happens once.
                self.dial(exchange)
                return 0
            where = "in the middle of its answer" if exchange.answered else "without an answer"
            because = f": {reason}" if reason else ""
            exchange.transport = None
            exchange.fail(exchange.failure(ClosedEarly, f"{self.address} closed the connection {where}{because}"))
        if exchange is not None:
            self.open.discard(exchange)
        return self.vacate(connection)

    cdef bint stale(self, Connection connection, Exchange exchange):
        """Whether the upstream had most likely given up a reused connection before our request reached it.

        Later than ``stale_ns`` after sending it had the request, and may have worked (and billed) before it broke.
        """
        return (exchange.phase == ASKED and connection.uses > 1 and not self.closed
                and monotonic_ns() - exchange.sent_ns < self.stale_ns)

    # Time

    cdef int watch(self) except -1:
        """Sees to it that the sweeper runs."""
        if self.timer is not None:
            if not self.napping:
                return 0
            self.timer.cancel()
        self.napping = False
        self.timer = self.loop.call_later(self.tick, self.sweep)
        return 0

    def sweep(self):
        """The timer's callback: ends what is too old."""
        cdef Exchange exchange
        cdef int64_t now = monotonic_ns()
        self.timer = None
        for exchange in list(self.open):
            self.inspect(exchange, now)
        self.end_idle(now - self.keepalive_ns)
        self.napping = not self.open
        if self.open or self.idle:
            self.timer = self.loop.call_later(self.nap if self.napping else self.tick, self.sweep)

    cdef int inspect(self, Exchange exchange, int64_t now) except -1:
        cdef object kind = None
        if exchange.phase == OVER:
            return 0
        if now >= exchange.total_by_ns:
            seconds = (exchange.total_by_ns - exchange.started_ns) / SECOND
            kind, what = TotalTimeout, f"the answer of {self.address} was not whole after {seconds:g} s"
        elif exchange.phase == WAITING:
            if now >= exchange.connect_by_ns:
                kind = ConnectTimeout
                what = f"no connection to {self.address} within {self.connect_ns / SECOND:g} s"
                if exchange.dial is None:
                    what += f": all {self.max_connections} are busy"
        elif exchange.phase == ASKED:
            if now - exchange.mark_ns >= self.first_byte_ns and not self.uploading(exchange, now):
                kind = FirstByteTimeout
                what = f"no answer from {self.address} within {self.first_byte_ns / SECOND:g} s"
        elif not exchange.stopped and now - exchange.mark_ns >= self.idle_ns:
            kind, what = IdleTimeout, f"{self.address} stopped answering for {self.idle_ns / SECOND:g} s"
        if kind is not None:
            exchange.fail(exchange.failure(kind, what))
        return 0

    cdef bint uploading(self, Exchange exchange, int64_t now) except -1:
        """Whether a long request is still on its way and moved since this was last asked."""
        cdef Py_ssize_t unwritten = exchange.transport.get_write_buffer_size()
        cdef bint moving = unwritten > 0 and (exchange.unwritten < 0 or unwritten < exchange.unwritten)
        exchange.unwritten = unwritten
        if moving:
            exchange.mark_ns = now
        return moving

    cdef int end_idle(self, int64_t since) except -1:
        """Ends connections that have been idle since then or longer; the oldest come first."""
        cdef Connection connection
        for connection in list(self.idle):
            if connection.idle_since_ns > since:
                break
            del self.idle[connection]
            connection.transport.abort()
        return 0
