"""What it takes to find a key among a million, in the mapped snapshot, against a dictionary of as many in memory."""

import os
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path
from typing import Final

import pytest

from benchmarks.turns import Compare
from fastgate._core.snapshot import Snapshot
from fastgate.wire.snapshot import SnapshotHead
from fastgate.wire.snapshot_file import write_snapshot

MANY: Final = 1_000_000
FEW: Final = 1_000
ASKED: Final = 20_000
"""Keys that are looked for in turn, more than the nearer caches hold."""
RECORD: Final = bytes(100)
HEAD: Final = SnapshotHead(7, 1, 2, 3, 4, 5, (), {}, ())


def digests(count: int) -> list[bytes]:
    drawn = os.urandom(32 * count)
    return [drawn[start : start + 32] for start in range(0, len(drawn), 32)]


def snapshot(path: Path, keys: list[bytes]) -> Snapshot:
    write_snapshot(path, HEAD, ((key, RECORD) for key in keys), b"")
    return Snapshot(path)


@pytest.fixture(scope="module")
def keys() -> list[bytes]:
    return digests(MANY)


@pytest.fixture(scope="module")
def million(keys: list[bytes], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Snapshot]:
    path = tmp_path_factory.mktemp("snapshot") / "snapshot.bin"
    yield snapshot(path, keys)
    path.unlink()


def looking(find: Callable[[bytes], object], keys: list[bytes]) -> Callable[[], object]:
    """Looks for one after another."""
    turn = cycle(keys)
    return lambda: find(next(turn))


def test_a_key_among_a_million(compare: Compare, million: Snapshot, keys: list[bytes]) -> None:
    asked = keys[:: MANY // ASKED]
    assert all(million.find(key) == RECORD for key in asked)
    known = dict.fromkeys(keys, RECORD)
    compare("snapshot: a key among a million", looking(million.find, asked), looking(known.get, asked))


def test_a_million_keys_cost_hardly_more_than_a_thousand(
    compare: Compare, million: Snapshot, keys: list[bytes], tmp_path: Path
) -> None:
    few = snapshot(tmp_path / "few.bin", keys[:FEW])
    asked = keys[:: MANY // ASKED]
    compare("snapshot: a million keys beside a thousand", looking(million.find, asked), looking(few.find, keys[:FEW]))
