"""The tier of the exact cache that several hosts share, as one worker uses it.

A look-up waits for Redis until its deadline and no longer, and is then a miss; what is kept here is written there
later, and no request waits for that. While Redis does not answer nobody is made to wait for it: connections are tried
again apart from requests, after pauses that grow. Look-ups go out together, on a few connections; each look-up ends as
exactly one :class:`SharedEvent`, unless its client left.

Whoever serves a request may await ``find``, a task or a run: it waits for a future of the loop's alone.
"""

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from typing import TYPE_CHECKING, Any, Final

from fastgate._core.slab import Hit, Slab
from fastgate.cache.question import Question
from fastgate.cache.shared import LONGEST, Kept, Unusable, key_of, read
from fastgate.gateway.shared_health import Health, LinkError
from fastgate.gateway.shared_writes import Writes
from fastgate.wire.caching import SharedEvent, SharedRecord

if TYPE_CHECKING:
    from fastgate.gateway.redis_link import Link

READERS: Final = 2
"""Connections for look-ups: one that brings long answers does not hold up the others."""
TOGETHER: Final = 16
"""Look-ups that go out at once on one connection."""
MOST_WAITING: Final = 256
PATIENCE: Final = 2
"""Deadlines until a connection is given up: what is only late still comes, and leaves it in order."""
WRITE_SECONDS: Final = 1.0
FLUSH_SECONDS: Final = 0.5
"""For what waits to be written when a worker ends, or another Redis is used."""

log = logging.getLogger("fastgate.gateway")


class SharedTier:
    """``counts``: of each :class:`SharedEvent`, counted on. Made in the thread of ``loop``, and used in no other."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, record: SharedRecord, credentials: str, counts: list[int]
    ) -> None:
        self._loop = loop
        self._record = record
        self._credentials = credentials
        self._counts = counts
        self._deadline = record.deadline_ms / 1000
        self._health = Health(record.where)
        self._up = asyncio.Event()
        """Whether Redis answered when it was last tried."""
        self._open = 0
        """Connections that take look-ups."""
        self._waiting = 0
        self._asked: asyncio.Queue[tuple[str, asyncio.Future[bytes | None]]] = asyncio.Queue()
        self._writes = Writes(record.cluster, counts)
        self._stirred = asyncio.Event()
        """There is something to write, or Redis has failed, or all of this ends."""
        self._ending = False
        self._readers: list[asyncio.Task[None]] = []
        self._keeper = self._begin(self._keep())

    # ---- for requests

    async def find(self, slab: Slab, question: Question, now_ms: int) -> Hit | None:
        """What another host keeps, put into ``slab`` for the time that it has left; None: nothing, or not in time."""
        value = await self._value(key_of(self._record.cluster, question.fingerprint))
        if value is None:
            return None
        if not value:
            self._counts[SharedEvent.MISS] += 1
            return None
        try:
            kept = read(value, question.fingerprint)
        except Unusable:
            self._counts[SharedEvent.UNUSABLE] += 1
            return None
        expires_ms = min(kept.expires_ms, now_ms + question.ttl_ms)
        if expires_ms <= now_ms:
            self._counts[SharedEvent.MISS] += 1
            return None
        kept = kept._replace(created_ms=min(kept.created_ms, now_ms), expires_ms=expires_ms)
        hit = _placed(slab, question, kept, now_ms)
        self._counts[SharedEvent.UNUSABLE if hit is None else SharedEvent.HIT] += 1
        return hit

    def offer(self, fingerprint: bytes, kept: Kept) -> None:
        """Have it written, soon; where too much waits for that, it is not."""
        self._writes.put(fingerprint, kept)
        self._stirred.set()

    async def close(self) -> None:
        """Write what waits, within a bound, and leave."""
        self._ending = True
        self._stirred.set()
        for reader in self._readers:
            reader.cancel()
        await asyncio.wait([self._keeper], timeout=FLUSH_SECONDS if self._up.is_set() else 0)
        self._keeper.cancel()
        await asyncio.gather(self._keeper, *self._readers, return_exceptions=True)
        self._let_go()
        self._writes.drop()

    # ---- look-ups

    async def _value(self, key: str) -> bytes | None:
        """What Redis has there, of what is too long only so much that this shows; empty: nothing. None: no answer."""
        if not self._open or not self._up.is_set() or self._waiting >= MOST_WAITING:
            self._counts[SharedEvent.SKIPPED] += 1
            return None
        came: asyncio.Future[bytes | None] = self._loop.create_future()
        timer = self._loop.call_later(self._deadline, self._end, came, SharedEvent.TIMEOUT)
        self._waiting += 1
        self._asked.put_nowait((key, came))
        try:
            return await came
        finally:
            self._waiting -= 1
            timer.cancel()

    def _end(self, came: asyncio.Future[bytes | None], event: SharedEvent) -> None:
        """Without an answer, unless it is over already."""
        if not came.done():
            self._counts[event] += 1
            came.set_result(None)

    async def _read(self, link: "Link") -> None:
        """Serve look-ups on one connection, and on a new one whenever Redis answers again."""
        while True:
            await self._up.wait()
            try:
                await link.open()
                await self._serve(link)
            except LinkError as error:
                self._failed(str(error))
            await link.close()

    async def _serve(self, link: "Link") -> None:
        """As long as Redis answers."""
        self._open += 1
        try:
            while self._up.is_set():
                await self._look_up(link)
        finally:
            self._open -= 1

    async def _look_up(self, link: "Link") -> None:
        """All that are asked for by now, up to a bound. Raises LinkError."""
        batch = [await self._asked.get()]
        while len(batch) < TOGETHER and not self._asked.empty():
            batch.append(self._asked.get_nowait())
        live = [(key, came) for key, came in batch if not came.done()]
        if not live:
            return
        try:
            replies = await link.ask([("GETRANGE", key, 0, LONGEST) for key, _ in live], PATIENCE * self._deadline)
            for (_, came), reply in zip(live, replies, strict=True):
                if isinstance(reply, Exception):
                    self._health.refused(reply)
                elif not came.done():
                    came.set_result(reply if isinstance(reply, bytes) else b"")
            self._health.served()
        finally:
            for _, came in live:
                self._end(came, SharedEvent.ERROR)

    def _failed(self, why: str) -> None:
        """Redis is left alone; nobody waits for it any longer."""
        if self._up.is_set():
            self._up.clear()
            self._health.failed(why)
            self._stirred.set()
            self._let_go()
            nobody: asyncio.Future[bytes | None] = self._loop.create_future()
            nobody.cancel()
            for _ in range(READERS):  # who waits for look-ups has a connection that may have failed, too
                self._asked.put_nowait(("", nobody))

    def _let_go(self) -> None:
        """Of look-ups that no connection has taken."""
        while not self._asked.empty():
            self._end(self._asked.get_nowait()[1], SharedEvent.ERROR)

    # ---- apart from requests

    def _begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._loop.create_task(work)
        task.add_done_callback(_tell_fault)
        return task

    async def _keep(self) -> None:
        """Find out whether Redis answers, and write what waits, until all of this ends."""
        writer, *readers = links = await self._links()
        self._readers = [self._begin(self._read(link)) for link in readers]
        try:
            while not (self._ending and not (self._writes and self._up.is_set())):
                if self._up.is_set():
                    await self._write(writer)
                else:
                    await self._try(writer)
        finally:
            for link in links:
                await link.close()

    async def _links(self) -> "Sequence[Link]":
        """The connections, not open yet, as soon as what they need can be read; loading that is not for this thread."""
        while True:
            try:
                return await self._loop.run_in_executor(None, _made, self._record, self._credentials)
            except OSError as error:
                self._health.failed(str(error))
                await asyncio.sleep(self._health.pause)

    async def _try(self, link: "Link") -> None:
        """Whether it answers on a new connection, in the time that look-ups have."""
        await asyncio.sleep(self._health.pause)
        try:
            await link.close()
            await link.open()
            await link.prove(PATIENCE * self._deadline)
        except LinkError as error:
            self._health.failed(str(error))
        else:
            self._health.answers()
            self._up.set()

    async def _write(self, link: "Link") -> None:
        """What waits, together, up to a bound; wait where nothing does."""
        commands = self._writes.commands()
        if not commands:
            self._stirred.clear()
            if not self._ending:
                await self._stirred.wait()
            return
        stored = 0
        try:
            for reply in await link.ask(commands, WRITE_SECONDS):
                if isinstance(reply, Exception):
                    self._health.refused(reply)
                else:
                    stored += 1
            self._health.served()
        except LinkError as error:
            self._failed(str(error))
        finally:
            self._counts[SharedEvent.STORED] += stored
            self._counts[SharedEvent.DROPPED] += len(commands) - stored


def _tell_fault(task: asyncio.Task[None]) -> None:
    """That of ours, which nobody waits for: from then on nothing is shared."""
    if not task.cancelled() and (fault := task.exception()) is not None:
        log.error("the shared cache has ended by a fault", exc_info=fault)


def _made(record: SharedRecord, credentials: str) -> "Sequence[Link]":
    """One to write and to find out, the others to read. Raises OSError."""
    from fastgate.gateway.redis_link import Link

    return [Link(record, credentials) for _ in range(1 + READERS)]


def _placed(slab: Slab, question: Question, kept: Kept, now_ms: int) -> Hit | None:
    """As if this host had kept it; None: there is no room."""
    stored = slab.store(
        question.key,
        question.fingerprint,
        kept.answer,
        kind=kept.kind,
        usage=kept.usage,
        tenant=question.tenant,
        about=kept.about,
        now_ms=kept.created_ms,
        ttl_ms=kept.expires_ms - kept.created_ms,
    )
    return slab.find(question.key, question.fingerprint, now_ms) if stored else None
