"""One connection to Redis: commands that are sent together, and their replies, each under a bound of time.

The client's connections are used without its pool and its retries: who asks here has a deadline. A connection that
failed in any way, or has anything unread, is not used again, so that no reply is taken for that to another command.

This is loaded by the workers that use Redis, and by no other.
"""

import asyncio
import ssl
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, Protocol, cast

from redis.asyncio import Connection, SSLConnection, UnixDomainSocketConnection
from redis.exceptions import ResponseError

from fastgate.gateway.shared_health import LinkError
from fastgate.wire.caching import SharedRecord
from fastgate.wire.failure import shown

CONNECT_SECONDS: Final = 1.0
"""For a connection with TLS, password and database."""

Command = tuple[bytes | str | int, ...]
Reply = bytes | int | None | ResponseError
"""A command that Redis refuses has an error for its reply, and the others have theirs."""


class _Wire(Protocol):
    """What is used of the client's connections, which have no types of their own."""

    @property
    def is_connected(self) -> bool: ...
    async def connect(self) -> None: ...
    async def disconnect(self, nowait: bool = False) -> None: ...
    async def can_read(self) -> bool: ...
    def pack_commands(self, commands: Iterable[Command]) -> list[bytes]: ...
    async def send_packed_command(self, command: list[bytes]) -> None: ...
    async def read_response(self, disable_decoding: bool = False) -> bytes | int | None: ...


class Link:
    """Not connected until ``open``. One at a time may use it."""

    def __init__(self, record: SharedRecord, credentials: str) -> None:
        """Raises OSError where authorities' certificates cannot be read; that takes time: not in a loop's thread."""
        user, _, password = credentials.partition(":")
        how: dict[str, Any] = {
            "db": record.database,
            "username": user or None,
            "password": password or None,
            "protocol": 2,
            "socket_timeout": None,  # the bounds are ours
            "socket_connect_timeout": None,
        }
        if record.path:
            self._wire = cast(_Wire, UnixDomainSocketConnection(path=record.path, **how))
        elif record.tls:
            encrypted = SSLConnection(host=record.host, port=record.port, **how)
            encrypted.ssl_context.context = ssl.create_default_context(cafile=record.ca_file or None)
            self._wire = cast(_Wire, encrypted)
        else:
            self._wire = cast(_Wire, Connection(host=record.host, port=record.port, **how))

    async def open(self) -> None:
        """Connect, unless it is. Raises LinkError."""
        if self._wire.is_connected:
            return
        try:
            with _told(CONNECT_SECONDS):
                async with asyncio.timeout(CONNECT_SECONDS):
                    await self._wire.connect()
        except BaseException:
            await self.close()
            raise

    async def ask(self, commands: Sequence[Command], seconds: float) -> list[Reply]:
        """The replies, in order. Raises LinkError where not all came within ``seconds``; then it is closed."""
        wire = self._wire
        try:
            with _told(seconds):
                await self._expect_nothing()
                async with asyncio.timeout(seconds):
                    await wire.send_packed_command(wire.pack_commands(commands))
                    return [await self._reply() for _ in commands]
        except BaseException:
            await self.close()
            raise

    async def prove(self, seconds: float) -> None:
        """Whether it answers at all. Raises LinkError."""
        [reply] = await self.ask([("PING",)], seconds)
        if reply != b"PONG":
            await self.close()
            raise LinkError(shown(str(reply)))

    async def _expect_nothing(self) -> None:
        if await self._wire.can_read():
            raise LinkError("it has closed the connection, or sent what nobody asked for")

    async def _reply(self) -> Reply:
        try:
            return await self._wire.read_response(disable_decoding=True)
        except ResponseError as error:
            return error

    async def close(self) -> None:
        """At once, whatever is under way."""
        await self._wire.disconnect(nowait=True)


@contextmanager
def _told(seconds: float) -> Iterator[None]:
    """Whatever goes wrong inside is a LinkError."""
    try:
        yield
    except LinkError:
        raise
    except TimeoutError:
        raise LinkError(f"no answer within {seconds * 1000:g} ms") from None
    except Exception as error:  # noqa: BLE001 - whatever a client's library raises, no request fails for it
        raise LinkError(shown(str(error) or type(error).__name__)) from None
