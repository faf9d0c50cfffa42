"""How long clients may take to say what they want of the admin API, and how many may be about it at once.

=======================  ===========================================================================
head, or none at all     :data:`HEAD_SECONDS` after the connection or the answer before, the server closes
body                     :data:`BODY_SECONDS`, then 408
answer                   one, then the connection closes, unless the client showed who it is
connections              :func:`most_connections`; further ones wait in the kernel until others end
=======================  ===========================================================================

So whoever holds connections without a token has to make them anew all the time: nor can it be an answer that it does
not read which keeps one open, since the kernel takes a single one as a whole.
"""

import asyncio
import resource
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, Final, cast

from litestar.types import ASGIApp, Message, Receive, ReceiveMessage, Scope, Send

from fastgate.control.problems import ClientLeft, TooSlow

HEAD_SECONDS: Final = 10.0
BODY_SECONDS: Final = 10.0
MOST_CONNECTIONS: Final = 8_192
"""One that lets its body wait takes some 25 KB."""
_OTHER_FILES: Final = 512
"""Descriptors that the stores need, whatever clients do."""
_WELCOME: Final = "fastgate.welcome"
_AT_END: Final = "fastgate.at_end"


def most_connections() -> int:
    """Raises this process's limit of open files as far as it may, and returns how many connections have room in it."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    room = MOST_CONNECTIONS if most == resource.RLIM_INFINITY else most - _OTHER_FILES
    return max(64, min(MOST_CONNECTIONS, room))


def welcome(scope: Scope) -> None:
    """The client of this request has shown who it is."""
    cast("dict[str, Any]", scope)[_WELCOME] = True


def at_end(scope: Scope, action: Callable[[], None]) -> None:
    """Does this when the request is over, however it ends.

    A stream's own ``finally`` is no such place: one that its client left may wait for the collector of cycles.
    """
    cast("dict[str, Any]", scope)[_AT_END].callback(action)


class Arrivals:
    """An ASGI application around another one, whose bodies arrive in time or not at all.

    Reading a body raises :class:`TooSlow` and :class:`ClientLeft` inside of the other one, which says by
    :func:`welcome` that a client may ask on the same connection again.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves a request."""
        deadline = asyncio.get_running_loop().time() + BODY_SECONDS
        arrived = False

        async def receive_in_time() -> ReceiveMessage:
            nonlocal arrived
            if arrived:  # from here on it is about the client's leaving, for which a stream may wait long
                return await receive()
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                raise TooSlow(f"the body was not complete within {BODY_SECONDS:g} s") from None
            if message["type"] == "http.disconnect":
                raise ClientLeft("the client left before its body was complete")
            arrived = message["type"] != "http.request" or not message["more_body"]
            return message

        async def send_last(message: Message) -> None:
            if message["type"] == "http.response.start" and _WELCOME not in scope:
                message["headers"] = [*message["headers"], (b"connection", b"close")]
            await send(message)

        with ExitStack() as endings:
            cast("dict[str, Any]", scope)[_AT_END] = endings
            await self._app(scope, receive_in_time, send_last)
