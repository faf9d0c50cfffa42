"""What a recovery appends while the drain is at work reaches the ledger, even behind the end of a sealed segment."""

from pathlib import Path

from fastgate._core.journal import Draft, Journal, segments_of
from fastgate.control.drain import Drain
from fastgate.ledger.store import Ledger

SLOT = 1


def log(journal: Journal, number: int) -> None:
    journal.log(Draft(key="k"), bytes([number]) * 16, 1_000_000, 5, 200, 0)


def test_an_event_appended_between_reading_and_deleting(tmp_path: Path) -> None:
    """The owner had sealed its journal and was cut with holds open: its recovery appends, and frees the slot."""
    journal = Journal(str(tmp_path), SLOT)
    log(journal, 1)
    journal.close()
    appended = []

    def slots() -> tuple[set[int], set[int]]:
        if not appended:
            log(Journal(str(tmp_path), SLOT, resume=True), 2)
            appended.append(2)
        return set(), set()

    ledger = Ledger(tmp_path / "ledger.duckdb")
    ledger.open()
    drain = Drain(tmp_path, ledger, lambda batch: None, slots)
    while drain.once():
        pass
    assert appended
    assert drain.rows == 2
    assert segments_of(str(tmp_path)) == []
    ledger.close()


def test_the_lag_counts_what_nobody_has_opened_yet(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.duckdb")
    drain = Drain(tmp_path, ledger, lambda batch: None, lambda: (set(), {SLOT}))
    log(Journal(str(tmp_path), SLOT), 1)
    segments, lag_bytes, lag_events = drain.lag()
    assert (segments, lag_events) == (1, 1)
    assert lag_bytes > 0
    drain.flush()
    assert drain.lag() == (1, 0, 0)
    ledger.close()
