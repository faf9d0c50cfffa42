"""Requests as they are settled, for whoever listens, as server-sent events.

A reader is a place in the ledger: it is sent what came behind it, whenever something did. Nothing is kept for it, so a
slow one is late and loses nothing, and one that comes back with the id of the last request that it saw goes on there.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

import duckdb
import msgspec

from fastgate.control import answers
from fastgate.control.problems import Busy, NotFound
from fastgate.control.queries import Queries
from fastgate.ledger import requests
from fastgate.ledger.attributes import Filter
from fastgate.ledger.errors import LedgerError

MOST_READERS: Final = 64
PAGE: Final = 500
"""Requests that are read from the ledger at once; what a reader may have waiting in memory."""
HEARTBEAT_SECONDS: Final = 10.0
RETRY_SECONDS: Final = 1.0
"""After which a client comes back when the stream ended; and we, to a ledger that does not answer."""
_FIRST: Final = b"retry: %d\n\n" % (1000 * RETRY_SECONDS)
_HEARTBEAT: Final = b": nothing new\n\n"

Page = tuple[bytes, int]
"""Events, and the place of the last one of them."""


class Live:
    """Belongs to one event loop; ``ring`` alone may be called from any thread."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        self._readers = 0
        self._ending = False
        self._pages: dict[tuple[Filter, int], asyncio.Task[Page]] = {}

    def ring(self) -> None:
        """There are new rows in the ledger."""
        self._loop.call_soon_threadsafe(self._wake)

    def close(self) -> None:
        """Ends all streams, so that none of them holds up the end of the process."""
        self._ending = True
        self._wake()

    def enter(self) -> None:
        """Takes one of the places for readers, until :meth:`leave`; raises Busy where all are taken."""
        if self._readers >= MOST_READERS:
            raise Busy(f"{self._readers} readers listen already: end one of them, or ask `GET requests` now and then")
        self._readers += 1

    def leave(self) -> None:
        """Gives it back."""
        self._readers -= 1

    async def start(self, last_seen: str | None) -> int:
        """The place to read from: behind the request of that id, or behind all that are there now.

        Raises NotFound, BadQuery for what is not an id.
        """
        if last_seen is None:
            return await self._queries.run(requests.last_place)
        place = await self._queries.run(lambda db: requests.place_of(db, last_seen))
        if place is None:
            raise NotFound(
                f"there is no request {last_seen} in the ledger: leave out Last-Event-ID to begin with the next"
            )
        return place

    async def read(self, which: Filter, place: int) -> AsyncIterator[bytes]:
        """Events without end, from a place on."""
        yield _FIRST
        while not self._ending:
            news = self._news  # taken first: what comes while the ledger is asked must wake us again
            try:
                events, place = await self._page(which, place)
            except (LedgerError, Busy):
                await asyncio.sleep(RETRY_SECONDS)
                continue
            yield events or await self._wait(news)

    async def _wait(self, news: asyncio.Event) -> bytes:
        """Returns when there is news; where there is none for long, a comment, so that a dead connection is noticed."""
        try:
            await asyncio.wait_for(news.wait(), HEARTBEAT_SECONDS)
        except TimeoutError:
            return _HEARTBEAT
        return b""

    async def _page(self, which: Filter, place: int) -> Page:
        """What came behind a place; readers that ask the same at the same time share one query."""
        key = (which, place)
        task = self._pages.get(key)
        if task is None:
            task = self._pages[key] = asyncio.create_task(self._queries.run(lambda db: _events(db, which, place)))
            task.add_done_callback(lambda _: self._pages.pop(key))
        return await asyncio.shield(task)

    def _wake(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()


def _events(cursor: duckdb.DuckDBPyConnection, which: Filter, place: int) -> Page:
    rows, last = requests.behind(cursor, which, place, PAGE)
    encode = msgspec.json.encode
    return b"".join(b"id: %b\ndata: %b\n\n" % (row["id"].encode(), encode(answers.request(row))) for row in rows), last
