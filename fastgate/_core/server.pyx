"""An HTTP/1.1 server for one RSGI application: connections on one loop, in its thread; no task and no timer per request.

The application runs in the callbacks that it waits for (see ``runner.pyx``). One sweeper looks at all connections once a
second, only while there are any.
"""

from asyncio import sleep

from libc.stdint cimport int64_t

from fastgate._core.client cimport Client, Host
from fastgate._core.clock cimport monotonic_ns
from fastgate._core.runner cimport Runner

cdef double LOOK_SECONDS = 1.0
cdef int ACCEPTED_AT_ONCE = 8                   # clients, in a pass of the loop
cdef int LAST_LOOKS = 2                         # passes of the loop in which a request that has come already is read


cdef class Server(Host):
    """Serves ``application(scope, protocol)``, which raises nothing, to at most ``most`` clients at once.

    ``relay(transport, address, data)``: the protocol that goes on with a connection on which ``data`` came, the
    beginning of HTTP/2; ``address``: the client's, as ``host:port``. A request's head has to be whole within
    ``head_seconds``; a connection without one is closed after ``idle_seconds``, which should be longer than load balancers
    keep theirs, as a request may be on its way when it closes. Belongs to one event loop and its thread, as does ``runner``,
    by which the application runs.
    """

    def __init__(self, object loop, object application, object relay, *, Py_ssize_t most=16_384,
                 double head_seconds=30, double idle_seconds=120, Runner runner=None):
        self.loop = loop
        self.runner = runner or Runner(loop)
        self.application = application
        self.relay = relay
        self.most = most
        self.head_ns = <int64_t>(head_seconds * 1e9)
        self.idle_ns = <int64_t>(idle_seconds * 1e9)
        self.outbox = self.runner.answers
        self.clients = set()
        self.listeners = []

    @property
    def connections(self):
        """How many clients are connected."""
        return len(self.clients)

    async def listen(self, object sock, int backlog):
        """Accept on a socket that is bound; it is the server's own from then on.

        The loop accepts one client from a listener in a pass. Under load a pass is long, and who comes anew would wait in line
        behind all that is served; so there are several listeners on the one socket.
        """
        for one in (sock, *[sock.dup() for _ in range(ACCEPTED_AT_ONCE - 1)]):
            self.listeners.append(await self.loop.create_server(lambda: Client(self), sock=one, backlog=backlog))

    def turn_away(self):
        """Accept no more; those who are connected are served on. Others may accept on the same socket."""
        for listener in self.listeners:
            listener.close()
        self.listeners.clear()

    def announce(self):
        """No connection outlives its next answer, and each answer says so, as far as its head has not gone out."""
        cdef Client client
        self.leaving = True
        for client in self.clients:
            client.announce()

    def part(self, double idle_seconds, double first_seconds):
        """Close the connections that have been idle for so long; whether any is left on which a request may come.

        ``first_seconds``: how long it may take who has not asked yet.
        """
        cdef Client client
        cdef int64_t now = monotonic_ns(), idle = <int64_t>(idle_seconds * 1e9), first = <int64_t>(first_seconds * 1e9)
        cdef bint some = False
        for client in list(self.clients):
            some = client.part(now, idle, first) or some
        return some

    async def close(self, double seconds):
        """Accept no more; idle connections end now, others with their answers, after ``seconds`` at the latest."""
        cdef Client client
        self.leaving = True
        await self.last_looks()
        for client in list(self.clients):
            client.dismiss()
        if self.clients:
            self.emptied = self.loop.create_future()
            end = self.loop.call_later(seconds, self.abort)
            await self.emptied
            end.cancel()

    async def last_looks(self):
        """Accept no more, and read what has come already."""
        self.turn_away()
        for _ in range(LAST_LOOKS):
            await sleep(0)

    def abort(self):
        """The callback of ``close``: whoever is still connected has had the time."""
        cdef Client client
        for client in list(self.clients):
            client.transport.abort()

    def sweep(self):
        """The timer's callback: ends what waits for too long."""
        cdef Client client
        cdef object now = monotonic_ns()
        for client in list(self.clients):
            client.inspect(now)
        self.timer = self.loop.call_later(LOOK_SECONDS, self.sweep) if self.clients else None

    # From connections

    cdef int came(self, Client client) except -1:
        self.clients.add(client)
        if len(self.clients) > self.most:
            client.transport.abort()
        elif self.timer is None:
            self.timer = self.loop.call_later(LOOK_SECONDS, self.sweep)
        return 0

    cdef int left(self, Client client) except -1:
        self.clients.discard(client)
        if self.emptied is not None and not self.clients and not self.emptied.done():
            self.emptied.set_result(None)
        return 0

    cdef object hand_over(self, Client client, bytes data):
        return self.relay(client.transport, client.address, data)
