"""Each journal event is in the ledger once, wherever the draining process is killed."""

import multiprocessing
import os
import random
import signal
from pathlib import Path
from typing import Any

import pytest

from fastgate._core.arena import Arena
from fastgate._core.budget import OUTCOME_OK, SETTLED_NONE, Hold, hold
from fastgate._core.journal import CACHES, Draft, Journal, segments_of
from fastgate._core.levels import Levels
from fastgate._core.owner import WORKER, Owner
from fastgate.control import drain as drain_module
from fastgate.control.drain import Drain
from fastgate.ledger.attributes import attributes
from fastgate.ledger.spend import spend
from fastgate.ledger.store import Ledger

ROUNDS = int(os.environ.get("FASTGATE_CHAOS_ROUNDS", "20"))
SLOTS = (3, 5)
SEGMENT = 64 * 1024

context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(["numpy", "duckdb", "fastgate.control.drain"])


def make_drain(folder: Path, taken: Any = lambda batch: None, used: tuple[int, ...] = SLOTS) -> Drain:
    return Drain(folder, Ledger(folder / "ledger.duckdb"), taken, lambda: (set(), set(used)))


def drain_until_killed(folder: Path, began: Any) -> None:
    drain_module.BATCH_ROWS = 97
    drain = make_drain(folder)
    drain._ledger.open()
    began.set()
    while True:
        drain.once()


class Writers:
    """Two owners' journals, and what was written into them."""

    def __init__(self, folder: Path) -> None:
        self.journals = [Journal(str(folder), slot, segment_bytes=SEGMENT) for slot in SLOTS]
        self.arena = Arena(str(folder / "arena.bin"), create=True)
        self.owner = Owner(self.arena, WORKER)
        self.levels = Levels(self.arena, [])
        self.written: list[str] = []

    def write(self, count: int) -> None:
        for _ in range(count):
            number = len(self.written)
            request_id = (number + 1).to_bytes(8, "big") + bytes(8)
            draft = Draft(key=f"key-{number % 7}", model="m", user=f"u{number % 11}", tags=f"n={number}")
            journal, now_ns = self.journals[number % 2], (1_000_000 + number) * 1000
            taken = hold(self.owner, journal, self.levels, draft, 0, now_ns, request_id)
            assert isinstance(taken, Hold)
            taken.settle(0, None, SETTLED_NONE, OUTCOME_OK, 200, cache=number % len(CACHES), saved=number)
            self.written.append(request_id.hex())


def ledger_rows(path: Path) -> tuple[int, int, int, dict[str, int]]:
    ledger = Ledger(path)
    ledger.open()
    with ledger.cursor() as cursor:
        count, distinct, total = cursor.execute(
            "SELECT count(*), count(DISTINCT id_high), sum(started_us)::BIGINT FROM requests"
        ).fetchone()  # type: ignore[misc]
        orphans = cursor.execute("SELECT count(*) FROM events WHERE origin NOT IN (SELECT id FROM origins)").fetchone()
    assert orphans == (0,)
    positions = ledger.inserts.positions()
    ledger.close()
    return count, distinct, total, positions


def saved(path: Path) -> dict[str, int]:
    """nano-USD by what the cache did."""
    ledger = Ledger(path)
    ledger.open()
    with ledger.cursor() as cursor:
        found = spend(cursor, attributes("cache"))
    ledger.close()
    return {str(group.labels["cache"]): group.sums["saved"] for group in found.groups}


@pytest.mark.timeout(300)
def test_kill_at_any_moment_loses_and_doubles_nothing(tmp_path: Path) -> None:
    dice = random.Random(7)
    writers = Writers(tmp_path)
    killed_in_the_middle = 0
    for _ in range(ROUNDS):
        began = context.Event()
        child = context.Process(target=drain_until_killed, args=(tmp_path, began))
        child.start()
        assert began.wait(60)
        writers.write(dice.randrange(200, 2000))
        child.join(dice.random() * 0.12)  # the moment is what is random here
        assert child.exitcode is None, "it drains until it is killed"
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        count, distinct, _, _ = ledger_rows(tmp_path / "ledger.duckdb")
        assert count == distinct <= len(writers.written)
        killed_in_the_middle += 0 < count < len(writers.written)
    assert killed_in_the_middle > ROUNDS // 4, "the kills came when all was done: not a test"
    finish(tmp_path, writers)


def finish(folder: Path, writers: Writers) -> None:
    """Drains the rest in order; then everything is in the ledger and all files but the last of each owner are gone."""
    drain = make_drain(folder)
    drain._ledger.open()
    while drain.once():
        pass
    assert len(segments_of(str(folder))) <= 2 * len(SLOTS)  # the current one, and one prepared
    for journal in writers.journals:
        journal.close()
    released = make_drain(folder, used=())
    drain._ledger.close()
    released._ledger.open()
    while released.once():
        pass
    released._ledger.close()
    assert segments_of(str(folder)) == []
    written = len(writers.written)
    count, distinct, total, positions = ledger_rows(folder / "ledger.duckdb")
    assert count == distinct == written
    assert total == sum(range(1_000_000, 1_000_000 + written))
    assert saved(folder / "ledger.duckdb") == {
        name: sum(range(cache, written, len(CACHES))) for cache, name in enumerate(CACHES)
    }
    assert positions == {}


def test_a_dead_owners_segments_stay_until_it_is_resolved(tmp_path: Path) -> None:
    writers = Writers(tmp_path)
    writers.write(2000)
    for journal in writers.journals:
        journal.close()
    before = segments_of(str(tmp_path))
    assert len(before) > 2
    drain = Drain(tmp_path, Ledger(tmp_path / "ledger.duckdb"), lambda batch: None, lambda: (set(SLOTS), set(SLOTS)))
    drain._ledger.open()
    while drain.once():
        pass
    assert segments_of(str(tmp_path)) == before
    drain._ledger.close()


def test_a_segment_that_is_still_written_stays_although_another_is_prepared(tmp_path: Path) -> None:
    writers = Writers(tmp_path)
    journal = writers.journals[0]
    while len(segments_of(str(tmp_path), SLOTS[0])) < 2:
        writers.write(2)
        journal.prepare()
    drain = make_drain(tmp_path)
    drain.flush()
    drain._ledger.close()
    assert len(segments_of(str(tmp_path), SLOTS[0])) == 2
    writers.write(2)
    finish(tmp_path, writers)


def test_what_is_around_damage_is_kept_and_the_damage_is_shown(tmp_path: Path) -> None:
    journal = Journal(str(tmp_path), 1)
    for number in range(100):
        journal.log(Draft(key="k"), bytes([number]) * 16, 1, 1, 200, 0)
    (path,) = segments_of(str(tmp_path))
    size = (drain_size := Path(path).read_bytes()).find(bytes([60]) * 16)
    with open(path, "r+b") as file:
        start = 4096
        while start + event_size(drain_size, start) <= size:
            start += event_size(drain_size, start)
        file.seek(start)
        file.write(b"\xff\xff\xff\xff")
    other = Journal(str(tmp_path), 2)
    other.log(Draft(key="k"), b"\xfe" * 16, 1, 1, 200, 0)
    drain = make_drain(tmp_path)
    drain._ledger.open()
    while drain.once():
        pass
    drain._ledger.close()
    assert list(drain.damaged) == [Path(path).name]
    assert Path(path).exists()
    assert ledger_rows(tmp_path / "ledger.duckdb")[0] == 99 + 1
    assert drain.lost == 1


def event_size(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "little")


def test_a_ledger_that_cannot_be_opened_keeps_the_journals_and_recovers(tmp_path: Path) -> None:
    path = tmp_path / "ledger.duckdb"
    path.mkdir()
    journal = Journal(str(tmp_path), 1)
    journal.log(Draft(key="k"), b"\x01" * 16, 1, 1, 200, 0)
    taken: list[int] = []
    drain = Drain(tmp_path, Ledger(path), lambda batch: taken.append(len(batch)), lambda: (set(), {1}))
    drain.flush()
    assert drain.failures == 1
    assert drain._ledger.error
    assert taken == []
    path.rmdir()
    drain.flush()
    assert taken == [1]
    assert drain._ledger.error is None
    drain._ledger.close()


def test_a_commit_that_fails_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writers = Writers(tmp_path)
    writers.write(500)
    drain = make_drain(tmp_path)
    drain._ledger.open()
    real = type(drain._ledger.inserts)._add_events

    def fail(self: Any, batch: Any) -> None:
        real(self, batch)
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(type(drain._ledger.inserts), "_add_events", fail)
        drain.flush()
    assert drain.failures == 1
    assert "No space" in (drain._ledger.error or "")
    drain.start()
    assert drain.flush()
    drain.stop()
    assert ledger_rows(tmp_path / "ledger.duckdb")[0] == 500
