"""The exact cache's store beside a dictionary: it may forget, but never err, and what was stored last is there."""

import os
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from fastgate._core.slab import Slab, create_slab
from fastgate._core.slab_search import Search, remove_id
from tests.support.slabs import NOW_MS, get, put

QUESTIONS = st.integers(0, 30).map(lambda number: b"question %d" % number)
SIZES = st.integers(0, 3_000) | st.integers(100_000, 250_000)
HANDLES = st.integers(0, 2)
MEGABYTES = 3


def about_of(question: bytes) -> bytes:
    return b"odd" if question[-1] % 2 else b"even"


class Beside(RuleBasedStateMachine):
    """Three processes' handles, and what they stored: size of the answer and when it expires."""

    def __init__(self) -> None:
        super().__init__()
        descriptor, self.path = tempfile.mkstemp(prefix="fastgate-slab-", dir="/dev/shm")
        os.close(descriptor)
        create_slab(self.path, MEGABYTES)
        self.slabs = [Slab(self.path) for _ in range(3)]
        self.known: dict[bytes, tuple[int, int]] = {}
        self.now_ms = NOW_MS

    @rule(by=HANDLES, question=QUESTIONS, size=SIZES, ttl_ms=st.sampled_from([0, 50, 10**6]))
    def store(self, by: int, question: bytes, size: int, ttl_ms: int) -> None:
        about = about_of(question)
        assert put(self.slabs[by], question, size, now_ms=self.now_ms, ttl_ms=ttl_ms, about=about)
        self.known[question] = size, self.now_ms + ttl_ms
        assert self.found(by, question) == (ttl_ms > 0)

    @rule(by=HANDLES, question=QUESTIONS)
    def find(self, by: int, question: bytes) -> None:
        self.found(by, question)

    def found(self, by: int, question: bytes) -> bool:
        hit = get(self.slabs[by], question, now_ms=self.now_ms)
        if hit is not None:
            assert (len(hit.answer), hit.expires_ms) == self.known[question]
        return hit is not None

    @rule(by=HANDLES, question=QUESTIONS)
    def remove(self, by: int, question: bytes) -> None:
        slab = self.slabs[by]
        removed = slab.remove(slab.hash128(question), question)
        assert not removed or question in self.known
        self.known.pop(question, None)

    @rule(by=HANDLES)
    def remove_what_is_listed(self, by: int) -> None:
        for entry in list(self.slabs[by].scan())[:1]:
            assert remove_id(self.slabs[by], entry.id)
            for question in [each for each in self.known if self.slabs[by].hash128(each) == entry.key]:
                del self.known[question]

    @rule(by=HANDLES, about=st.sampled_from([b"odd", b"even"]), slots=st.sampled_from([1 << 40, 100]))
    def withdraw(self, by: int, about: bytes, slots: int) -> None:
        search, place, gone = Search(self.slabs[by], [[about]], now_ms=self.now_ms), 0, 0
        while True:
            some, place = search.withdraw(place, slots)
            gone += some
            if not place:
                break
        of_it = [each for each, (_, until) in self.known.items() if until > self.now_ms and about_of(each) == about]
        assert gone <= len(of_it)
        for question in of_it:
            del self.known[question]

    @rule(milliseconds=st.integers(0, 100))
    def wait(self, milliseconds: int) -> None:
        self.now_ms += milliseconds

    @rule(by=HANDLES)
    def reopen(self, by: int) -> None:
        self.slabs[by] = Slab(self.path)

    @invariant()
    def lists_what_was_stored(self) -> None:
        slab = self.slabs[0]
        sizes = {slab.hash128(question): size for question, (size, _) in self.known.items()}
        listed = list(slab.scan())
        assert len({entry.key for entry in listed}) == len(listed) == slab.counts()["entries"]
        assert all(entry.answer_bytes == sizes[entry.key] for entry in listed)

    def teardown(self) -> None:
        Path(self.path).unlink()


Beside.TestCase.settings = settings(deadline=None, max_examples=60, stateful_step_count=60)
TestBeside = Beside.TestCase
