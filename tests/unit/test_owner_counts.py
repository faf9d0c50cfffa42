"""What an owner of the arena counts beside its events: every process sees it, and who comes next begins at nothing."""

from pathlib import Path

import pytest

from fastgate._core.arena import Arena
from fastgate._core.owner import WORKER, Owner, counts_of, owners
from fastgate.wire.caching import SharedEvent

NOTHING = [0] * len(SharedEvent)


def test_counts_are_told_to_every_process_and_each_owner_has_its_own(tmp_path: Path) -> None:
    arena = Arena(str(tmp_path / "arena.bin"), True)
    one, other = Owner(arena, WORKER, 1), Owner(arena, WORKER, 2)
    told = [number << 40 for number in range(len(SharedEvent))]
    one.tell_counts(told)
    elsewhere = Arena(str(tmp_path / "arena.bin"))
    assert counts_of(elsewhere, one.slot) == told
    assert counts_of(elsewhere, other.slot) == NOTHING
    other.tell_counts(told[::-1])
    assert [counts_of(elsewhere, slot) for slot in (one.slot, other.slot)] == [told, told[::-1]]
    assert counts_of(elsewhere, 1023) == NOTHING
    assert [owner["pid"] for owner in owners(elsewhere)] == [1, 2]


def test_who_comes_next_begins_at_nothing(tmp_path: Path) -> None:
    arena = Arena(str(tmp_path / "arena.bin"), True)
    owner = Owner(arena, WORKER, 1)
    owner.tell_counts([7] * len(SharedEvent))
    slot = owner.slot
    owner.release()
    assert Owner(arena, WORKER, 2).slot == slot
    assert counts_of(arena, slot) == NOTHING


def test_there_are_so_many_and_no_more(tmp_path: Path) -> None:
    arena = Arena(str(tmp_path / "arena.bin"), True)
    with pytest.raises(ValueError, match="8 counts, not 7"):
        Owner(arena, WORKER, 1).tell_counts([0] * 7)
    with pytest.raises(ValueError, match="none is number 1024"):
        counts_of(arena, 1024)
