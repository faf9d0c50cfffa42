"""A journal segment that was cut off, overwritten or is none: what can be read is in the ledger, the rest counted."""

import struct
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import httpx
import pytest

from fastgate._core.journal import Draft, Journal, segment_path, segments_of
from fastgate.control.drain import Drain
from fastgate.ledger.store import Ledger
from tests.support.house import House, key, secret

EVENTS = 40
FIRST = 4096
SLOT = 3


def place_of(data: bytes, number: int) -> int:
    """Where event ``number`` lies."""
    at = FIRST
    for _ in range(number):
        at += struct.unpack_from("=I", data, at)[0]
    return at


def cut_off(path: Path) -> int:
    data = path.read_bytes()
    path.write_bytes(data[: place_of(data, 25) + 100])
    return 25


def overwritten(path: Path) -> int:
    """Events 10 to 12, and the strings of 20."""
    whole = path.read_bytes()
    data = bytearray(whole)
    for first, last in ((10, 13), (20, 21)):
        begin, end = place_of(whole, first), place_of(whole, last)
        for at in range(begin, end):
            data[at] = at * 7 % 251
    path.write_bytes(data)
    return EVENTS - 4


def zeroed_to_the_end(path: Path) -> int:
    data = path.read_bytes()
    at = place_of(data, 30)
    path.write_bytes(data[:at] + bytes(len(data) - at))
    return 30


def committed_beyond_its_end(path: Path) -> int:
    data = bytearray(path.read_bytes())
    struct.pack_into("=Q", data, 32, 1 << 60)
    path.write_bytes(data)
    return EVENTS


def foreign(path: Path) -> int:
    path.write_bytes(b"\x89PNG" * 5000)
    return 0


def empty(path: Path) -> int:
    path.write_bytes(b"")
    return 0


def drain_of(folder: Path, used: tuple[int, ...] = ()) -> Drain:
    return Drain(folder, Ledger(folder / "ledger.duckdb"), lambda batch: None, lambda: (set(), set(used)))


def written(folder: Path, slot: int, first: int = 0) -> Path:
    journal = Journal(str(folder), slot, segment_bytes=64 << 10)
    for number in range(first, first + EVENTS):
        journal.log(Draft(key="k", user=f"u{number}"), (number + 1).to_bytes(16, "big"), 1, 1, 200, 0)
    journal.close()
    return Path(segment_path(str(folder), slot, journal.serial))


def users(drain: Drain) -> list[str]:
    with drain._ledger.cursor() as cursor:
        return [user for (user,) in cursor.execute('SELECT "user" FROM requests').fetchall()]


@pytest.mark.parametrize("damage", [cut_off, overwritten, zeroed_to_the_end, committed_beyond_its_end, foreign, empty])
def test_all_that_can_be_read_is_taken_once_and_the_file_is_set_aside(
    tmp_path: Path, damage: Callable[[Path], int]
) -> None:
    path, sound = written(tmp_path, SLOT), written(tmp_path, SLOT + 1, first=1000)
    left = damage(path)
    bytes_left = path.read_bytes()
    drain = drain_of(tmp_path, used=(SLOT,))
    for _ in range(3):
        assert drain.flush()
    assert drain.damaged.keys() == {path.name}
    assert 1 <= drain.lost <= max(1, EVENTS - left)
    assert path.exists(), "its owner may append to it"
    assert not sound.exists()
    drain._ledger.close()

    released = drain_of(tmp_path)
    for _ in range(2):
        assert released.flush()
    aside = path.with_suffix(".damaged")
    assert released.damaged.keys() == {aside.name}
    assert aside.read_bytes() == bytes_left
    assert segments_of(str(tmp_path)) == []
    found = users(released)
    assert len(found) == len(set(found)) == left + EVENTS
    assert released._ledger.inserts.positions() == {}
    released._ledger.close()
    assert drain_of(tmp_path).damaged == {aside.name: "set aside"}


def test_a_journal_goes_on_behind_damage(tmp_path: Path) -> None:
    """What its owner appends after somebody overwrote a part of it reaches the ledger."""
    journal = Journal(str(tmp_path), SLOT, segment_bytes=64 << 10)
    path = Path(segment_path(str(tmp_path), SLOT, journal.serial))
    drain = drain_of(tmp_path, used=(SLOT,))
    for number in range(3 * EVENTS):
        if number == EVENTS:
            data = path.read_bytes()
            with path.open("r+b") as file:  # the last event that is not drained yet
                file.seek(place_of(data, EVENTS - 1))
                file.write(b"\xff" * 64)
        if number == 2 * EVENTS:
            assert drain.flush()
        journal.log(Draft(key="k", user=f"u{number}"), (number + 1).to_bytes(16, "big"), 1, 1, 200, 0)
    assert drain.flush()
    assert sorted(users(drain)) == sorted(f"u{number}" for number in range(3 * EVENTS) if number != EVENTS - 1)
    assert drain.lost == 1
    drain._ledger.close()


def test_strange_names_are_nobodys_segments(tmp_path: Path) -> None:
    for name in ("journal-x.seg", "journal-0003-x.seg", "journal-0003-1.seg"):
        (tmp_path / name).write_bytes(b"?")
    assert segments_of(str(tmp_path)) == segments_of(str(tmp_path), SLOT) == []
    written(tmp_path, SLOT)
    assert len(segments_of(str(tmp_path), SLOT)) == 1


def test_the_gateway_shows_what_it_lost(tmp_path: Path) -> None:
    settings = {"keys": [key("ide", budgets=[{"limit_usd": "10", "window": "month"}])]}
    body = {"model": "sim/sim-small", "messages": [{"role": "user", "content": 'sim: {"tokens": 100}'}]}
    with House(tmp_path, settings, workers=1, simulator={}) as house:
        house.settled()
        house.pause("control")
        headers = {"authorization": f"Bearer {secret('ide')}"}
        costs = [
            Decimal(
                httpx.post(f"{house.openai_url}/chat/completions", json=body, headers=headers, trust_env=False).headers[
                    "x-fastgate-cost-usd"
                ]
            )
            for _ in range(5)
        ]
        house.kill_everything()
        [path] = map(Path, segments_of(str(house.arena_dir)))
        with path.open("r+b") as file:
            at = place_of(path.read_bytes(), 2)
            file.seek(at)
            file.write(b"\xff" * 300)
        house.start()
        house.drained(4)
        journals = house.admin("status")["journals"]
        assert journals["lost_events"] == 1
        assert [Path(name).stem for name in journals["damaged"]] == [path.stem]
        metrics = httpx.get(f"{house.admin_url}/metrics", trust_env=False).text
        assert "fastgate_journal_dropped_total 1.0" in metrics
        assert Decimal(house.budget("key:ide/month/default")["spent_usd"]) == sum(costs), "the arena has it all"
        assert len(house.requests()) == 4
