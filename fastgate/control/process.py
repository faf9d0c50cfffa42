"""The control process: ``python -m fastgate.control.process``, started and watched by the supervisor."""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import Sequence
from typing import Final

import uvloop
from granian._granian import SocketHolder
from granian.constants import HTTPModes
from granian.http import HTTP1Settings
from granian.server.embed import Server
from litestar.types import ASGIApp

from fastgate import logs
from fastgate._core.arena import ArenaError
from fastgate.control.access import Access, admin_token
from fastgate.control.answering import Answering
from fastgate.control.app import application
from fastgate.control.arrivals import HEAD_SECONDS, Arrivals, most_connections
from fastgate.control.configuration import ReloadFailed
from fastgate.control.live import Live
from fastgate.control.options import Options, parse
from fastgate.control.plane import ControlPlane
from fastgate.control.queries import Queries, Threads
from fastgate.ledger.errors import NewerLedger
from fastgate.state.errors import SharedAway, StateError

FAILED: Final = 1
UNREACHABLE: Final = 4
"""A service without which it cannot start; see the command line."""
BAD_CONFIGURATION: Final = 3
DRAIN_SECONDS: Final = 8.0
"""Less than the supervisor waits before it kills."""
CLIENT_SECONDS: Final = 1.5
"""How long clients may take for their last answers; together with the drain still less than the supervisor waits."""
BACKLOG: Final = 1024

log = logging.getLogger("fastgate.control")


class AdminServer(Server):
    """Granian in this process on a socket that listens already: who connects from now on is answered.

    HTTP/1.1 alone: where HTTP/2 is spoken too, a connection that says nothing is waited for without end.
    """

    def __init__(self, app: ASGIApp, listener: socket.socket) -> None:
        super().__init__(
            app,
            interface="asginl",  # type: ignore[arg-type]
            log_enabled=False,
            websockets=False,
            backlog=BACKLOG,
            backpressure=most_connections(),
            http=HTTPModes.http1,
            http1_settings=HTTP1Settings(header_read_timeout=round(1000 * HEAD_SECONDS)),
        )
        self._descriptor = listener.fileno()

    def _init_shared_socket(self) -> None:
        self._shd = SocketHolder(self._descriptor, False, BACKLOG)  # type: ignore[call-arg, assignment]
        self._sfd = self._descriptor  # type: ignore[assignment]


async def live(options: Options, listener: socket.socket) -> None:
    """Serves until SIGTERM, then drains what is left. Raises ReloadFailed where there is nothing to serve."""
    loop = asyncio.get_running_loop()
    plane = ControlPlane(options)
    await asyncio.to_thread(plane.start)
    queries = Queries(plane.ledger)
    streams, walks = Live(queries), Threads("cache")
    plane.news = streams.ring
    token = admin_token(options.state_dir, plane.configuration.current.config.admin.token.reveal())
    answering = Answering(queries, plane.shipping)
    app = application(plane, Access(options.state_dir, token), queries, answering=answering, live=streams, walks=walks)
    server = AdminServer(Arrivals(app), listener)
    serving = asyncio.create_task(server.serve())
    loop.add_signal_handler(signal.SIGTERM, _end, server, serving, streams)
    loop.add_signal_handler(signal.SIGINT, lambda: None)  # the terminal's: the supervisor decides
    loop.add_signal_handler(signal.SIGHUP, lambda: loop.run_in_executor(None, _reload, plane))
    loop.add_reader(sys.stdin.fileno(), _lifeline)
    gc.collect()
    gc.freeze()
    tell_ready()
    with contextlib.suppress(asyncio.CancelledError):
        await serving
    plane.news = lambda: None
    queries.close()
    answering.close()
    walks.close()
    await asyncio.to_thread(plane.stop, DRAIN_SECONDS)


def _end(server: AdminServer, serving: "asyncio.Task[None]", streams: Live) -> None:
    """Answers what is open; a client that does not take its answer is not waited for."""
    streams.close()
    server.signal_handler_interrupt()  # type: ignore[no-untyped-call]
    serving.get_loop().call_later(CLIENT_SECONDS, serving.cancel)


def _reload(plane: ControlPlane) -> None:
    try:
        plane.reload()
    except ReloadFailed:
        return  # logged and shown by the configuration itself


def _lifeline() -> None:
    """The supervisor never writes: what can be read is the end of it, and with it ours. The journals keep the rest."""
    if not os.read(sys.stdin.fileno(), 1):
        os._exit(FAILED)


def listen(host: str, port: int) -> socket.socket:
    """The admin port. Raises OSError where it is taken."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(address)
    listener.listen(BACKLOG)
    listener.setblocking(False)
    return listener


def tell_ready() -> None:
    """Writes ``ready`` to the descriptor that the supervisor listens on."""
    descriptor = os.environ.pop("FASTGATE_READY_FD", None)
    if descriptor is not None:
        with os.fdopen(int(descriptor), "w") as pipe:
            pipe.write("ready\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    options = parse(arguments)
    os.umask(0o077)  # the ledger writes files beside itself
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until there is something to reload: the file is about to be read
    logs.set_up("control", text="control: %(message)s")
    try:
        listener = listen(options.admin_host, options.admin_port)
    except OSError as error:
        log.error("cannot listen on %s:%d: %s", options.admin_host, options.admin_port, error.strerror)  # noqa: TRY400
        return FAILED
    log.info("admin API on port %d", listener.getsockname()[1])
    try:
        uvloop.run(live(options, listener))
    except ReloadFailed as failure:
        if isinstance(failure.__cause__, SharedAway):
            return UNREACHABLE
        return BAD_CONFIGURATION if failure.problems else FAILED
    except (ArenaError, NewerLedger, StateError, OSError) as error:
        log.error("cannot start: %s", error)  # noqa: TRY400
        return FAILED
    return 0


if __name__ == "__main__":
    exit_code = main()
    logging.shutdown()
    # All is closed; taking the interpreter apart as well costs time, and DuckDB's binding complains about it.
    os._exit(exit_code)
