"""What a cache did with a request stands in its event: what was settled, and nothing where nobody knows."""

import struct
import time
from pathlib import Path
from typing import Any

import pytest

from fastgate._core import budget
from fastgate._core.arena import Arena
from fastgate._core.budget import (
    CACHE_EXACT,
    CACHE_MISS,
    OUTCOME_OK,
    OUTCOME_REJECTED,
    SETTLED_EXACT,
    SETTLED_NONE,
    Hold,
    hold,
)
from fastgate._core.journal import CACHES, MEANINGS, Draft, Journal, SegmentReader, entry_note, segments_of
from fastgate._core.levels import TOKENS, Level, Levels
from fastgate._core.owner import WORKER, Owner
from fastgate._core.price import Usage
from fastgate._core.windows import Period

NOW = time.time_ns()
FIRST = 4096
OLD = struct.Struct("=IHHQ16s8q16qH6B20H")
"""An event of before: where the mark and the saving stand now it had lengths of strings that there never were."""


class Place:
    """A worker with a limit on tokens."""

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)
        self.arena = Arena(str(folder / "arena.bin"), create=True)
        self.owner = Owner(self.arena, WORKER)
        self.journal = Journal(self.folder, self.owner.slot)
        self.levels = Levels(self.arena, [Level(self.arena.cell("limit:k"), 100, Period(0), TOKENS)])

    def take(self) -> Hold:
        taken = hold(self.owner, self.journal, self.levels, Draft(key="k"), 0, NOW, bytes(16), output_tokens=9)
        assert isinstance(taken, Hold)
        return taken

    def events(self, *names: str) -> list[tuple[Any, ...]]:
        [path] = segments_of(self.folder)
        found = SegmentReader(path).read(0, 100)
        return [] if found is None else list(zip(*(found[name] for name in names), strict=True))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_every_mark_has_its_name() -> None:
    named = {name: getattr(budget, f"CACHE_{(name or 'none').upper()}") for name in CACHES}
    assert named == {name: number for number, name in enumerate(CACHES)}


def test_so_has_every_decision() -> None:
    named = {name: getattr(budget, f"MEANING_{(name or 'none').upper()}") for name in MEANINGS}
    assert named == {name: number for number, name in enumerate(MEANINGS)}


ID = "0123456789abcdef0123456789abcdef-7"


@pytest.mark.parametrize("error", ["", "upstream_error"])
def test_what_was_decided_and_given_is_read(place: Place, error: str) -> None:
    for meaning in range(len(MEANINGS)):
        place.take().settle(
            5, Usage(input=2), SETTLED_EXACT, OUTCOME_OK, 200, error=error, cache=CACHE_MISS, meaning=meaning,
            given=entry_note(ID, 9_876 - meaning, meaning),
        )  # fmt: skip
    place.take().settle(5, Usage(input=2), SETTLED_EXACT, OUTCOME_OK, 200, error=error)
    assert place.events("semantic", "cache_entry", "similarity_e4", "cache_age_s", "error") == [
        *((name, ID, 9_876 - number, number, error) for number, name in enumerate(MEANINGS)),
        ("", "", 0, 0, error),
    ]


def test_what_is_cut_says_nothing_of_what_was_given(place: Place) -> None:
    """An event has its size; half a number would be another one."""
    for size in range(1_495, 1_590):
        draft = Draft(key="k", tags="t" * size)
        taken = hold(place.owner, place.journal, place.levels, draft, 0, NOW, bytes(16), output_tokens=9)
        assert isinstance(taken, Hold)
        taken.settle(0, None, SETTLED_NONE, OUTCOME_OK, 200, cache=CACHE_EXACT, given=entry_note(ID, 0, 123_456))
    said = place.events("cache_entry", "similarity_e4", "cache_age_s", "error")
    assert set(said) == {(ID, 0, 123_456, ""), ("", 0, 0, "")}


@pytest.mark.parametrize("said", [b"\x1f", b"\x1fa b c;", b"\x1fa 1;", b"\x1fa 1 2 3;", b"\x1f\xff 1 2;", b"\x1fa 1 2"])
def test_what_is_no_note_says_nothing(place: Place, said: bytes) -> None:
    place.take().settle(0, None, SETTLED_NONE, OUTCOME_OK, 200, error="timeout", cache=CACHE_EXACT, given=said)
    assert place.events("cache_entry", "similarity_e4", "cache_age_s", "error") == [("", 0, 0, "timeout")]


def test_what_was_settled_is_read_and_a_hit_asked_nobody(place: Place) -> None:
    for cache in range(len(CACHES)):
        place.take().settle(5, Usage(input=2), SETTLED_EXACT, OUTCOME_OK, 200, cache=cache, saved=cache * 10**12)
    place.take().settle(5, Usage(input=2), SETTLED_EXACT, OUTCOME_OK, 200)
    assert place.events("cache", "saved_nano", "attempts", "cost_nano", "input_tokens") == [
        ("", 0, 1, 5, 2),
        ("miss", 10**12, 1, 5, 2),
        ("exact", 2 * 10**12, 0, 5, 2),
        ("semantic", 3 * 10**12, 0, 5, 2),
        ("bypass", 4 * 10**12, 1, 5, 2),
        ("", 0, 1, 5, 2),
    ]


def test_a_hit_takes_nothing_of_money_and_tokens(place: Place) -> None:
    place.take().settle(0, None, SETTLED_NONE, OUTCOME_OK, 200, cache=CACHE_EXACT, saved=123)
    assert place.levels.standing(0, NOW)[1] == 0
    assert place.events("cost_nano", "saved_nano", "settlement", "cache") == [(0, 123, "none", "exact")]


def test_a_hold_that_nobody_settled_says_nothing(place: Place) -> None:
    taken = place.take()
    taken.sent()
    del taken
    assert place.events("settlement", "cache", "saved_nano", "attempts") == [("unsettled", "", 0, 1)]


def test_nothing_saves_less_than_nothing(place: Place) -> None:
    taken = place.take()
    with pytest.raises(ValueError, match="not negative"):
        taken.settle(0, None, SETTLED_NONE, OUTCOME_OK, 200, cache=CACHE_EXACT, saved=-1)
    assert taken.is_open
    taken.settle(0, None, SETTLED_NONE, OUTCOME_OK, 200, cache=CACHE_MISS)
    assert place.events("cache", "saved_nano") == [("miss", 0)]


def test_a_journal_of_before_is_read_and_this_ones_events_have_its_size(place: Place) -> None:
    place.journal.log(Draft(), bytes(16), 1, 1, 402, OUTCOME_REJECTED)
    [path] = map(Path, segments_of(place.folder))
    data = bytearray(path.read_bytes())
    assert struct.unpack_from("=I", data, FIRST) == (OLD.size,)
    assert data[FIRST + 232 : FIRST + OLD.size] == bytes(40)
    tokens = range(100, 116)
    times = (1_700_000_000_000_000, 5, 4, 3, 2, 70, 80, 0)
    OLD.pack_into(data, FIRST, OLD.size, 1, 15, 1, b"r" * 16, *times, *tokens, 200, 1, 1, 1, 0, 0, 0, *(0,) * 20)
    path.write_bytes(data)
    assert place.events("started_us", "cost_nano", "hold_nano", "settlement", "stream", "cache", "saved_nano") == [
        (1_700_000_000_000_000, 70, 80, "exact", 1, "", 0)
    ]
    assert place.events("semantic", "cache_entry", "similarity_e4", "cache_age_s") == [("", "", 0, 0)]
