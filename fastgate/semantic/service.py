"""What is asked, in batches: those that came while a batch was computed are the next one.

Questions go before answers that are to be kept, and both before what can wait; but now and then an answer is kept
however many questions there are, or nothing would be learned under load. Everything that waits is bounded: questions by
number, answers by their bytes.
"""

import asyncio
import logging
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from time import monotonic, monotonic_ns, time_ns
from typing import Final, NamedTuple, TypeVar

import msgspec
import numpy as np

from fastgate.semantic.brute import Vector
from fastgate.semantic.compare import Verdict, compare
from fastgate.semantic.embedder import Embedded, Embedder
from fastgate.semantic.entries import Entry
from fastgate.semantic.errors import EmbedderFailed
from fastgate.semantic.judge import Pair, is_for_a_judge
from fastgate.semantic.judging import open_judging
from fastgate.semantic.repository import Compared, Repository
from fastgate.semantic.settings import Settings
from fastgate.semantic.words import LONGEST
from fastgate.wire.semantic import Busy, Done, Find, Found, Keep, Reply

BATCH: Final = 8
"""Questions that are embedded together: more of them gain little, and make the first wait for the last."""
MOST_UNKEPT: Final = 64 << 20
"""Bytes of answers that wait to be kept."""
TURNS: Final = 16
"""Batches of questions after which an answer is kept before the next one."""
MEMORY: Final = 4_096
"""Texts whose vectors are remembered: most answers that are kept were asked about a moment before."""
PIECE: Final = 600
"""Characters of an answer that are embedded together."""
PIECES: Final = 8
IDLE_SECONDS: Final = 1.0
"""Between two looks at what can wait, where nothing comes."""
SAVE_SECONDS: Final = 5.0
"""What was learned and counted since the last time is lost by a kill."""
STUCK_SECONDS = 120.0
"""A piece of work that takes longer hangs. An endpoint may be given a minute; graphs are written within seconds."""
CLOSE_SECONDS: Final = 2.0
"""For answers that still wait to be kept at the end."""

Answering = Callable[[Reply], None]
Result = TypeVar("Result")

log = logging.getLogger("fastgate.semantic")


class _Asked(NamedTuple):
    find: Find
    answer: Answering


class _Kept(NamedTuple):
    keep: Keep
    answer: Answering | None
    size: int


class Service:
    """Call :meth:`run` once; the repository is used by one thread alone, through :meth:`in_repository`.

    The loop's thread adds to counters of its own names beside it.
    """

    def __init__(self, repository: Repository, embedder: Embedder, settings: Settings) -> None:
        self.repository = repository
        self._embedder = embedder
        self._settings = settings
        self._asked: deque[_Asked] = deque()
        self._kept: deque[_Kept] = deque()
        self._unkept = 0
        self._turns = 0
        self._known: OrderedDict[str, tuple[Vector, bool]] = OrderedDict()
        self._come = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="repository")
        self._complaint = ""
        self._saved = 0.0
        self._judging = None if settings.judge is None else open_judging(settings.judge, self._judged)
        self._moved = monotonic()

    # ---- what comes

    def ask(self, find: Find, answer: Answering) -> None:
        """A question; ``answer`` is called with the reply, at once where too many wait already."""
        if is_for_a_judge(find.text):
            answer(Found(find.number, "miss", "for_a_judge"))
            return
        if len(self._asked) >= self._settings.queue:
            self.repository.counts.events["busy"] += 1
            answer(Busy(find.number))
            return
        self._asked.append(_Asked(find, answer))
        self._come.set()

    def keep(self, keep: Keep, answer: Answering | None) -> None:
        """An answer that is to be kept, some time; dropped where too many wait already."""
        if is_for_a_judge(keep.text):
            if answer is not None:
                answer(Done(keep.number, 0))
            return
        size = len(keep.answer) + len(keep.said) + len(keep.text)
        if self._unkept + size > MOST_UNKEPT:
            self.repository.counts.events["keep dropped"] += 1
            if answer is not None:
                answer(Busy(keep.number))
            return
        self._unkept += size
        self._kept.append(_Kept(keep, answer, size))
        self._come.set()

    @property
    def waiting(self) -> int:
        """Questions that nobody has begun with."""
        return len(self._asked)

    @property
    def stuck(self) -> bool:
        """Whether the repository's thread or the embedder has not come back for so long that it never will."""
        return monotonic() - self._moved > STUCK_SECONDS

    async def in_repository(self, act: Callable[..., Result], *about: object) -> Result:
        """Does something in the repository's thread."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, act, *about)

    # ---- what is done

    async def run(self) -> None:
        """Works until it is cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            self._moved = monotonic()
            try:
                if not await self._work():
                    await self._wait()
                if loop.time() - self._saved > SAVE_SECONDS:
                    self._saved = loop.time()
                    await self.in_repository(self.repository.save)
            except Exception as error:  # the outermost edge: one batch is lost, the process goes on
                self.repository.counts.events["fault"] += 1
                if self._complaint != repr(error):
                    log.exception("a batch is lost")
                self._complaint = repr(error)

    async def close(self) -> None:
        """Keeps what waits to be kept, within reason, and saves everything. After :meth:`run` was cancelled."""
        loop = asyncio.get_running_loop()
        end = loop.time() + CLOSE_SECONDS
        while self._kept and loop.time() < end:
            await self._learn()
        if self._judging is not None:
            await self._judging.close()
        await self.in_repository(self.repository.close)
        await self._embedder.close()
        self._thread.shutdown()

    async def _work(self) -> bool:
        """One piece of work; False: there was none."""
        if self._asked and (self._turns < TURNS or not self._kept):
            self._turns += 1
            await self._answer()
        elif self._kept:
            self._turns = 0
            await self._learn()
        else:
            return await self.in_repository(self.repository.tidy, _now_ms())
        return True

    async def _wait(self) -> None:
        """Until something comes, or it is time to look at what can wait."""
        self._come.clear()
        if self._asked or self._kept:  # it came while the repository looked
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(IDLE_SECONDS):
                await self._come.wait()

    async def _answer(self) -> None:
        """The next batch of questions; those whose askers wait no more are dropped."""
        batch = self._in_time(self._asked.popleft() for _ in range(min(BATCH, len(self._asked))))
        for asked in [each for each in batch if len(each.find.text) > LONGEST]:
            batch.remove(asked)
            asked.answer(await self.in_repository(self.repository.missed, asked.find, "too_long"))
        if not batch:
            return
        self.repository.counts.events["batch"] += 1
        try:
            known = await self._vectors([asked.find.text for asked in batch])
        except EmbedderFailed as error:
            self._complain(error)
            for asked in batch:
                asked.answer(await self.in_repository(self.repository.missed, asked.find, "embedder_failed"))
            return
        self._complaint = ""
        ready = [(asked, *vector) for asked, vector in zip(batch, known, strict=True)]
        for asked, found in await self.in_repository(self._found, ready):
            asked.answer(found)

    def _in_time(self, asked: Iterable[_Asked]) -> list[_Asked]:
        """Those whose deadline is yet to come."""
        all_ = list(asked)
        now = monotonic_ns()
        timely = [each for each in all_ if each.find.deadline_ns > now]
        self.repository.counts.events["late"] += len(all_) - len(timely)
        return timely

    def _found(self, batch: Sequence[tuple[_Asked, Vector, bool]]) -> list[tuple[_Asked, Found]]:
        """In the repository's thread."""
        now_ms, now_ns = _now_ms(), monotonic_ns()
        found = []
        for asked, vector, whole in batch:
            if asked.find.deadline_ns <= now_ns:
                self.repository.counts.events["late embedded"] += 1
            elif whole:
                found.append((asked, self.repository.find(asked.find, vector, now_ms)))
            else:  # what was not read could say anything
                found.append((asked, self.repository.missed(asked.find, "too_long")))
        return found

    async def _learn(self) -> None:
        """Keep the next answer, after it was compared with the one that it should be like."""
        keep, answer, size = self._kept.popleft()
        self._unkept -= size
        kept = 0
        try:
            whole = len(keep.text) <= LONGEST
            if whole:
                ((vector, whole),) = await self._vectors([keep.text])
            if whole:
                await self._compare_and_add(keep, vector)
                kept = 1
            else:
                self.repository.counts.events["too long"] += 1
        except EmbedderFailed as error:
            self._complain(error)
        if answer is not None:
            answer(Done(keep.number, kept))

    async def _compare_and_add(self, keep: Keep, vector: Vector) -> None:
        """What a comparison finds is learned; what was asked of the provider is an entry of its own in any case."""
        compared = await self.in_repository(self.repository.to_compare, keep)
        verdict = None if compared is None else await self._verdict(compared.said, keep.said)
        waits = verdict == "unsure" and self._judging is not None
        like = None
        if compared is not None and not waits:
            await self.in_repository(self.repository.learn, keep, compared.entry, verdict == "same", _now_ms())
            like = compared.entry if verdict == "same" else None
        added = await self.in_repository(self.repository.add, keep, vector, _now_ms(), like)
        if compared is not None and waits:
            await self._submit(keep, compared, added)
        await self.in_repository(self.repository.tidy, _now_ms())  # however little time there is otherwise

    async def _verdict(self, one: str, other: str) -> Verdict:
        """Whether two answers say the same; what is not sure is a judge's, or counts as different.

        Raises EmbedderFailed.
        """
        verdict = compare(one, other)
        if verdict == "unsure":
            vectors = [await self._said_vector(said) for said in (one, other)]
            if vectors[0] is not None and vectors[1] is not None:
                both = vectors[0].tolist(), vectors[1].tolist()
                verdict = compare(one, other, vectors=both, judge=self._judging is not None)
        return verdict

    async def _submit(self, keep: Keep, compared: Compared, added: Entry) -> None:
        """Have a judge say it, while other things are done: the answer is kept already."""
        assert self._judging is not None
        # What a verdict needs of it; the answer itself may be long.
        about, now_ms = msgspec.structs.replace(keep, said="", answer=b"\0", usage=b"", about=b"{}"), _now_ms()

        async def learn(same: bool) -> None:
            await self.in_repository(self.repository.judged, about, compared.entry, added, same, now_ms)

        await self._judging.submit(Pair(compared.entry.text, compared.said, keep.text, keep.said), learn)

    def _judged(self, outcome: str) -> None:
        self.repository.counts.events[f"judge {outcome}"] += 1

    # ---- vectors

    async def _vectors(self, texts: Sequence[str]) -> list[tuple[Vector, bool]]:
        """Vector of each text, and whether all of it was read. Raises EmbedderFailed."""
        unknown = list(dict.fromkeys(text for text in texts if text not in self._known))
        found = {text: self._known[text] for text in texts if text in self._known}
        if unknown:
            vectors, whole = await self._embed(unknown)
            found.update(zip(unknown, zip(vectors, whole, strict=True), strict=True))
        for text in texts:
            self._known[text] = found[text]
            self._known.move_to_end(text)
        while len(self._known) > MEMORY:
            self._known.popitem(last=False)
        return [found[text] for text in texts]

    async def _said_vector(self, said: str) -> Vector | None:
        """The mean of an answer's pieces; None: there is none, or not all of it can be read. Raises EmbedderFailed.

        Answers are long. Between two pieces, questions that came are answered.
        """
        pieces = [said[start : start + PIECE] for start in range(0, len(said), PIECE)]
        if not 0 < len(pieces) <= PIECES:
            return None
        rows = []
        for piece in pieces:
            vectors, (whole,) = await self._embed([piece])
            if not whole:
                return None
            rows.append(vectors[0])
            if self._asked:
                await self._answer()
        summed: Vector = np.sum(rows, axis=0)
        return summed

    async def _embed(self, texts: Sequence[str]) -> Embedded:
        self.repository.counts.events["embedded"] += len(texts)
        embedded = await self._embedder.embed(texts)
        self._moved = monotonic()  # one answer may take several
        if not np.isfinite(embedded.vectors).all():
            raise EmbedderFailed("the embedder gave numbers that are none")
        return embedded

    def _complain(self, error: EmbedderFailed) -> None:
        self.repository.counts.events["embedder failed"] += 1
        if self._complaint != str(error):
            log.warning("%s: misses until it works again", error)
        self._complaint = str(error)


def _now_ms() -> int:
    return time_ns() // 1_000_000
