"""Connections through an HTTP proxy: a tunnel by CONNECT, in which everything else is as without one.

Made once per connection, so there is nothing here to compile. ::

    OSError
    └── ConnectionError
        └── NoTunnel        the proxy refused, or what it answered is no answer
"""

import asyncio
import re
from base64 import b64encode
from dataclasses import dataclass, field
from ssl import SSLContext
from typing import Final

MOST_HEAD: Final = 16 << 10
"""Bytes of a proxy's answer."""
_STATUS: Final = re.compile(rb"HTTP/1\.[01] ([1-9][0-9]{2})(?: [^\r\n]*)?\r\n")
_CREDENTIALS: Final = 407


class NoTunnel(ConnectionError):
    """What the proxy made of the request for a tunnel, as the end of a sentence. Never has what it was sent."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """Where a proxy is; where it is spoken to over TLS itself, ``tls`` and the context for it."""

    host: str
    port: int
    credentials: str = field(default="", repr=False)
    """``user:password``; empty: none are sent."""
    tls: bool = False
    ssl: SSLContext | None = field(default=None, compare=False)

    @property
    def address(self) -> str:
        """For messages: without the credentials."""
        return authority(self.host, self.port)

    def request(self, target: str) -> bytes:
        """The request for a tunnel to ``target`` (``host:port``)."""
        lines = [f"CONNECT {target} HTTP/1.1", f"host: {target}"]
        if self.credentials:
            lines.append(f"proxy-authorization: Basic {b64encode(self.credentials.encode()).decode()}")
        return "".join(f"{line}\r\n" for line in (*lines, "")).encode("latin-1")


class Answer:
    """A proxy's answer, in pieces that are split anywhere."""

    def __init__(self) -> None:
        self._head = b""

    def feed(self, data: bytes) -> bool:
        """Whether the tunnel is open now. Raises :class:`NoTunnel`."""
        self._head += data
        head, end, rest = self._head.partition(b"\r\n\r\n")
        if len(head) > MOST_HEAD:
            raise NoTunnel(f"it answered with more than {MOST_HEAD} bytes of head")
        if not end:
            return False
        found = _STATUS.match(head + b"\r\n")
        if found is None:
            raise NoTunnel("it does not answer in HTTP/1")
        status = int(found[1])
        if status == _CREDENTIALS:
            raise NoTunnel("it wants a user and password, or others than those that it got (status 407)")
        if not 200 <= status < 300:
            raise NoTunnel(f"it refused the tunnel (status {status})")
        if rest:  # nothing was asked of the other end yet, and this is not from there
            raise NoTunnel("it sent more than its answer")
        return True


class _Asking(asyncio.Protocol):
    """The protocol of a connection to a proxy, until there is a tunnel."""

    def __init__(self, opened: asyncio.Future[None]) -> None:
        self.opened = opened
        self._answer = Answer()

    def data_received(self, data: bytes) -> None:
        """A piece of the answer, or, after it, what nobody asked for."""
        try:
            if self._answer.feed(data) and not self.opened.done():
                self.opened.set_result(None)
        except NoTunnel as error:
            self._end(error)

    def eof_received(self) -> None:
        """The proxy says no more."""
        self._end(NoTunnel("it closed the connection without an answer"))

    def connection_lost(self, exc: Exception | None) -> None:
        """The proxy is gone."""
        self._end(exc or NoTunnel("it closed the connection without an answer"))

    def _end(self, error: Exception) -> None:
        if not self.opened.done():
            self.opened.set_exception(error)


async def open_tunnel(
    loop: asyncio.AbstractEventLoop,
    proxy: Proxy,
    protocol: asyncio.Protocol,
    target: str,
    *,
    ssl: SSLContext | None,
    server_hostname: str | None,
) -> None:
    """Connect ``protocol`` to ``target`` through a tunnel, with TLS inside of it where there is a context.

    Raises ``OSError``: what the proxy or, within TLS, the other end did. Has no bound on time of its own.
    """
    opened: asyncio.Future[None] = loop.create_future()
    transport, _ = await loop.create_connection(lambda: _Asking(opened), proxy.host, proxy.port, ssl=proxy.ssl)
    try:
        transport.write(proxy.request(target))
        await opened
        if ssl is None:
            transport.set_protocol(protocol)
            protocol.connection_made(transport)
        else:
            secured = await loop.start_tls(transport, protocol, ssl, server_hostname=server_hostname)
            protocol.connection_made(_whole(secured))
    except BaseException:
        transport.abort()
        raise


def _whole(secured: asyncio.Transport | None) -> asyncio.Transport:
    if secured is None:
        raise NoTunnel("the tunnel closed at once")
    return secured


def authority(host: str, port: int) -> str:
    """``host:port``, IPv6 in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
