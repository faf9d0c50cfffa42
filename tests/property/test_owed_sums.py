"""What shares a row for want of space is in its sums: cost and saving, for each thing that a cache did."""

import resource
import tempfile
import time
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from fastgate._core.arena import Arena
from fastgate._core.budget import CACHE_EXACT, OUTCOME_OK, SETTLED_EXACT, SETTLED_NONE, Hold, hold
from fastgate._core.journal import CACHES, Draft, Journal, SegmentReader, segments_of
from fastgate._core.levels import Levels
from fastgate._core.owed import pay
from fastgate._core.owner import WORKER, Owner
from fastgate._core.price import Usage

MOST = 2**63 - 1
SMALL = 4096 + 1856
"""A segment that a few events fill."""
AMOUNT = st.one_of(st.integers(0, 10**6), st.integers(MOST - 10, MOST))


class Worker:
    """Settles one request after the other, at one moment: that of the day does not matter here."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.arena = Arena(f"{folder}/arena.bin", create=True)
        self.owner = Owner(self.arena, WORKER)
        self.journal = Journal(folder, self.owner.slot, segment_bytes=SMALL)
        self.now = time.time_ns()

    def settle(self, number: int, cache: int, cost: int, saved: int) -> None:
        levels = Levels(self.arena, [])
        taken = hold(self.owner, self.journal, levels, Draft(key="k"), 0, self.now, number.to_bytes(16, "big"))
        assert isinstance(taken, Hold)
        mark = SETTLED_NONE if cache == CACHE_EXACT else SETTLED_EXACT
        assert taken.settle(cost, Usage(input=3), mark, OUTCOME_OK, 200, cache=cache, saved=saved)

    def journaled(self) -> list[tuple[str, int, int, int]]:
        """Of each row: what the cache did, cost, saving, tokens."""
        rows: list[tuple[str, int, int, int]] = []
        for path in segments_of(self.folder):
            found = SegmentReader(path).read(0, 10_000)
            if found is not None:
                names = ("cache", "cost_nano", "saved_nano", "input_tokens")
                rows += zip(*(found[name] for name in names), strict=True)
        return rows


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(CACHES) - 1), AMOUNT, AMOUNT), min_size=5, max_size=40))
def test_no_saving_is_lost_or_goes_to_another_mark(requests: list[tuple[int, int, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        worker = Worker(folder)
        worker.settle(0, 0, 0, 0)  # the chunk of records is there
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))  # as on a full disk
        try:
            for number, request in enumerate(requests, 1):
                worker.settle(number, *request)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        owed = worker.owner.owes
        assert owed <= len(CACHES), "those that are alike are one"
        worker.journal.prepare()
        assert pay(worker.owner, worker.journal) == owed
        rows = worker.journaled()
        assert len(rows) <= len(requests) + 1
        wanted, found = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
        for cache, cost, saved in [(0, 0, 0), *requests]:
            for name, amount in (("cost", cost), ("saved", saved), ("tokens", 3)):
                wanted[CACHES[cache], name] = min(wanted[CACHES[cache], name] + amount, MOST)
        for mark, cost, saved, tokens in rows:
            for name, amount in (("cost", cost), ("saved", saved), ("tokens", tokens)):
                found[mark, name] = min(found[mark, name] + amount, MOST)
        assert found == wanted
        worker.journal.close()
