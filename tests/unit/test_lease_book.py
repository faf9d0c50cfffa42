"""Which windows a host leases, and which it asks for because somebody looks at them."""

from pathlib import Path
from typing import Final

import pytest

from fastgate._core.arena import Arena
from fastgate._core.levels import USD, Level, Levels
from fastgate._core.windows import Period
from fastgate.budgets.leases import book
from fastgate.budgets.leases.book import Book
from fastgate.budgets.leases.slips import Lease

NOW: Final = 1_900_000_000 * 10**9
MINUTE: Final = 60 * 10**9


def lease(arena: Arena, name: str) -> Lease:
    found = Lease(name, arena.cell(name), USD)
    found.levels = Levels(arena, [Level(found.cell, 100, Period(0), shared=True)])
    return found


@pytest.fixture
def arena(tmp_path: Path) -> Arena:
    return Arena(str(tmp_path / "arena.bin"), create=True)


def test_what_somebody_looks_at_goes_when_he_does_not_any_more_unless_it_is_used(arena: Arena) -> None:
    found = Book(arena)
    slips = [found.show(lease(arena, name), NOW) for name in ("seen", "used", "forgotten")]
    seen, used, forgotten = (slip for slip in slips if slip is not None)
    found.use(used)
    assert found.show(seen.lease, NOW + MINUTE) is seen
    assert found.show(used.lease, NOW + MINUTE) is None, "it is leased anyhow"
    found.forget([seen, used, forgotten], NOW + MINUTE + 1, crowded=False)
    assert set(found.slips) == {seen, used}
    found.forget([seen, used], NOW + 2 * MINUTE + 1, crowded=False)
    assert set(found.slips) == {used}


def test_what_somebody_looks_at_has_a_bound_and_crowds_nobody_out(
    arena: Arena, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(book, "MOST_SHOWN", 2)
    monkeypatch.setattr(book, "MOST_IDLE", 1)
    found = Book(arena)
    shown = [found.show(lease(arena, name), NOW) for name in ("a", "b", "c")]
    assert [slip is not None for slip in shown] == [True, True, False]
    assert not found.is_crowded
    for name in ("d", "e"):
        found.present(lease(arena, name), NOW)
    assert found.is_crowded
