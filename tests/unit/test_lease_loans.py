"""What a host writes down of its graces, and what is left of them where that was damaged."""

import os
from pathlib import Path
from time import time_ns
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastgate._core.arena import Arena
from fastgate._core.levels import USD
from fastgate._core.owner import CONTROL, Owner
from fastgate.budgets.leases.grace import Lender, Loans
from fastgate.budgets.leases.notes import Notes
from fastgate.budgets.leases.slips import Lease, Slip, Span

GRACE: Final = 100
NOW: Final = time_ns()
SOON: Final = NOW + 3600 * 10**9


@pytest.fixture(scope="module")
def owner(tmp_path_factory: pytest.TempPathFactory) -> Owner:
    arena = Arena(str(tmp_path_factory.mktemp("arena") / "arena.bin"), create=True)
    return Owner(arena, CONTROL, os.getpid())


def slip(owner: Owner, name: str, span: Span) -> Slip:
    lease = Lease(name, owner.arena.cell(name), USD)
    lease.grace = GRACE
    return Slip(owner.arena, lease, span, NOW)


def lent(owner: Owner, path: Path, of: Slip) -> int:
    """By a process that starts now, where nothing is leased."""
    return Lender(owner, Loans(path), lambda: NOW).lend(of)


def test_a_grace_is_lent_once_whatever_process_asks(owner: Owner, tmp_path: Path) -> None:
    of = slip(owner, "once", Span(7, NOW, SOON))
    path = tmp_path / "loans"
    assert lent(owner, path, of) == GRACE
    assert lent(owner, path, of) == GRACE, "it is there, and not twice"
    Lender(owner, Loans(path), lambda: NOW).call_back(of)
    assert lent(owner, path, of) == GRACE, "nothing was used of it"


def test_a_damaged_file_lends_nothing_of_windows_that_had_begun_and_says_so_once(
    owner: Owner, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "loans"
    path.write_text('{"loans": {"7 damaged": [')
    began = slip(owner, "damaged", Span(7, NOW, SOON))
    nobody_knows = slip(owner, "damaged for good", Span(7, 0, 0))
    for _ in range(2):
        assert lent(owner, path, began) == lent(owner, path, nobody_knows) == 0
    assert caplog.text.count("cannot be read, and is made anew") == 1
    assert lent(owner, path, slip(owner, "damaged", Span(8, SOON, SOON + NOW))) == GRACE, "of the next window it is"


def test_a_file_that_was_lost_lends_nothing_of_windows_that_had_begun(owner: Owner, tmp_path: Path) -> None:
    began = slip(owner, "lost", Span(7, NOW, SOON))
    Notes(tmp_path, "c").peers.keep(["a", "b"])
    assert lent(owner, tmp_path / "loans-of-c", began) == GRACE
    (tmp_path / "loans-of-c").unlink()
    assert Notes(tmp_path, "c").loans.of(began).used >= GRACE
    assert Notes(tmp_path, "another").loans.of(began).used == 0


@pytest.mark.parametrize("amounts", ["[-1,0,0]", "[0,-5,0]", "[0,0,-5]"])
def test_amounts_below_nothing_are_damage(owner: Owner, tmp_path: Path, amounts: str) -> None:
    path = tmp_path / "loans"
    path.write_text(f'{{"loans":{{"7 below":{amounts}}}}}')
    assert lent(owner, path, slip(owner, "below", Span(7, NOW, SOON))) == 0


def test_what_is_no_name_is_no_other_host(tmp_path: Path) -> None:
    (tmp_path / "peers-of-c").write_text("a\noops!garbage\nb\n")
    assert Notes(tmp_path, "c").peers.known == ("a", "b")


@given(content=st.binary(max_size=60))
def test_whatever_lies_there_no_grace_is_there_again(owner: Owner, content: bytes) -> None:
    """Unless it says so itself."""
    path = Path(owner.arena.path).with_name("garbage")
    path.write_bytes(content)
    of = slip(owner, "garbage", Span(7, NOW, SOON))
    assert Loans(path).of(of).used >= GRACE or content.strip() in {b"{}", b'{"loans":{}}'}
