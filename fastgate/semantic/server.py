"""The unix socket of the semantic process, and what comes in on its connections."""

import asyncio
import logging
import os
import socket
from pathlib import Path
from typing import Final, cast

from fastgate.cache.unix_path import short
from fastgate.semantic.administration import deleted, listed, reported
from fastgate.semantic.service import Service
from fastgate.semantic.settings import Settings
from fastgate.wire.semantic import (
    SOCKET,
    Delete,
    Entries,
    Find,
    FrameError,
    Frames,
    Keep,
    Ping,
    Pong,
    Refused,
    Reply,
    Request,
    framed,
    request_of,
)

BACKLOG: Final = 128
MOST_UNREAD: Final = 16 << 20
"""Bytes of replies that a sender has not taken yet: beyond them it is cut off."""
MOST_TOGETHER: Final = 32
"""Requests of operators that are worked on at once."""

log = logging.getLogger("fastgate.semantic")


def listen(folder: Path) -> socket.socket:
    """The socket, for this user alone. Raises OSError.

    One that an earlier process left is replaced: the state folder's lock says that there is no other process.
    """
    path = folder / SOCKET
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)
    try:
        with short(path) as name:
            listener.bind(name)
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    finally:
        os.umask(mask)
    return listener


class Server:
    """All connections; ``connections`` are those that are open."""

    def __init__(self, service: Service, settings: Settings) -> None:
        self.connections: set[Connection] = set()
        self._service = service
        self._settings = settings
        self._tasks: set[asyncio.Task[None]] = set()

    def connection(self) -> "Connection":
        """For each client that connects."""
        return Connection(self)

    def take(self, request: Request, connection: "Connection") -> None:
        """Have one request carried out, and its reply sent."""
        if isinstance(request, Find):
            self._service.ask(request, connection.send)
        elif isinstance(request, Keep):
            self._service.keep(request, connection.send if request.number else None)
        elif isinstance(request, Ping):
            service = self._service
            if not service.stuck:
                connection.send(Pong(request.number, len(service.library), service.waiting, len(self.connections)))
        elif len(self._tasks) >= MOST_TOGETHER:
            connection.send(Refused(request.number, "too many requests at once"))
        else:
            task = asyncio.get_running_loop().create_task(self._administrate(request, connection))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _administrate(self, request: Request, connection: "Connection") -> None:
        service = self._service
        reply: Reply
        try:
            if isinstance(request, Entries):
                reply = await service.in_library(listed, service.library, request)
            elif isinstance(request, Delete):
                reply = await service.in_library(deleted, service.library, request)
            else:
                reply = await service.in_library(reported, service.library, self._settings, request.number)
        except Exception:  # the outermost edge: one request has no result, the process goes on
            log.exception("a request of an operator failed")
            reply = Refused(request.number, "it failed; the log of the semantic process says why")
        connection.send(reply)

    def close(self) -> None:
        """End every connection."""
        for connection in list(self.connections):
            connection.close()


class Connection(asyncio.Protocol):
    """One client. What it sends that is no frame, or no request, ends its connection and nothing else."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._frames = Frames()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self._transport = cast(asyncio.Transport, transport)
        self._server.connections.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._server.connections.discard(self)
        self._transport = None

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        try:
            for body in self._frames.feed(data):
                self._server.take(request_of(body), self)
                if self._transport is None or self._transport.is_closing():
                    return
        except FrameError as error:
            log.warning("a connection is closed: %s", error)
            self.close()

    def send(self, reply: Reply) -> None:
        """Nothing happens where the client is gone."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if transport.get_write_buffer_size() > MOST_UNREAD:
            log.warning("a connection is closed: its client does not read")
            self.close()
            return
        transport.write(framed(reply))

    def close(self) -> None:
        """End it at once."""
        if self._transport is not None:
            self._transport.abort()
