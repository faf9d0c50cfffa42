"""The unix socket of the semantic process, and what comes in on its connections."""

import asyncio
import logging
import os
import socket
from pathlib import Path
from typing import Final, cast

from fastgate.cache.unix_path import short
from fastgate.semantic.administration import UnknownName, inspected, listed, matching, reported
from fastgate.semantic.service import Service
from fastgate.semantic.settings import Settings
from fastgate.wire.semantic import (
    SOCKET,
    Delete,
    Done,
    Entries,
    Find,
    FrameError,
    Frames,
    Inspect,
    Keep,
    Ping,
    Pong,
    Refused,
    Reply,
    Report,
    Request,
    framed,
    request_of,
)
from fastgate.wire.semantic_entries import Wanted

BACKLOG: Final = 128
MOST_UNREAD: Final = 16 << 20
"""Bytes of replies that a sender has not taken yet: beyond them it is cut off."""
MOST_TOGETHER: Final = 32
"""Requests of operators that are worked on at once."""
TOGETHER: Final = 256
"""Entries that are deleted between two batches of questions."""

NOT_ON_DISK: Final = (
    "the disk does not take the deletion: none of it is given any more, but after a restart it would be again;"
    " it is tried again with whatever is written next, so ask again once there is space"
)
STILL_IN_LOG: Final = (
    "it is deleted, and none of it is given any more, but its texts are still in the log of the store (entries.db-wal),"
    " which something reads or the disk does not let go: it is tried again, so ask again in a moment"
)

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
                connection.send(Pong(request.number, len(service.repository), service.waiting, len(self.connections)))
        elif len(self._tasks) >= MOST_TOGETHER:
            connection.send(Refused(request.number, "too many requests at once"))
        else:
            task = asyncio.get_running_loop().create_task(self._administrate(request, connection))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _administrate(self, request: Entries | Inspect | Delete | Report, connection: "Connection") -> None:
        service = self._service
        repository = service.repository
        reply: Reply
        try:
            if isinstance(request, Entries):
                reply = await asyncio.to_thread(listed, repository, request)
            elif isinstance(request, Inspect):
                reply = await asyncio.to_thread(inspected, repository, request)
            elif isinstance(request, Delete):
                reply = await self._delete(request)
            else:
                report = service.in_repository(reported, repository, self._settings, request.number, request.tenants)
                reply = await report
        except UnknownName as error:
            reply = Refused(request.number, str(error))
        except Exception:  # the outermost edge: one request has no result, the process goes on
            log.exception("a request of an operator failed")
            reply = Refused(request.number, "it failed; the log of the semantic process says why")
        connection.send(reply)

    async def _delete(self, request: Delete) -> Done | Refused:
        """What is asked for meanwhile waits for a few of many at most."""
        if request.ids is None and request.wanted == Wanted() and not request.everything:
            return Refused(request.number, "nothing says what to delete")
        service = self._service
        ids = await asyncio.to_thread(matching, service.repository, request)
        count = 0
        for at in range(0, len(ids), TOGETHER):
            count += await service.in_repository(service.repository.remove, ids[at : at + TOGETHER])
        await asyncio.to_thread(service.repository.store.flush)
        if service.repository.store.owed:
            return Refused(request.number, NOT_ON_DISK)
        if service.repository.store.unwiped:
            return Refused(request.number, STILL_IN_LOG)
        return Done(request.number, count)

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
