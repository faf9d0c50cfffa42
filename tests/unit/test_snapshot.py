"""The snapshot file: what is written is found, and what is damaged is refused or simply not found."""

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest

from fastgate._core.snapshot import HEADER_SIZE, CorruptSnapshot, Snapshot, build_index, slots_for
from fastgate.wire.snapshot import BudgetRecord, KeyRecord, SnapshotHead, matches, owner_digest
from fastgate.wire.snapshot_file import write_snapshot

HEAD = SnapshotHead(7, 1, 2, 3, 4, 5, (), {}, ())
PRICES = bytes(range(256)) * 3


def digest(number: int) -> bytes:
    return hashlib.sha256(b"%d" % number).digest()


def record(number: int) -> KeyRecord:
    budget = BudgetRecord(number, 6, 1, "key", f"key:k{number}", f"key:k{number}/month/default")
    return KeyRecord(f"k{number}", budgets=(budget,), providers={"sim": (budget,)}, tags={"a": "b"})


def encoded(number: int) -> bytes:
    return msgspec.msgpack.encode(record(number))


def keys(count: int) -> Iterator[tuple[bytes, bytes]]:
    return ((digest(number), encoded(number)) for number in range(count))


def written(path: Path, count: int) -> Path:
    assert write_snapshot(path, HEAD, keys(count), PRICES) == count
    return path


@pytest.mark.parametrize("count", [0, 1, 2, 7, 1000])
def test_every_key_is_found_and_no_other(tmp_path: Path, count: int) -> None:
    snapshot = Snapshot(written(tmp_path / "snapshot.bin", count))
    snapshot.verify()
    assert (snapshot.generation, snapshot.record_count) == (7, count)
    assert msgspec.msgpack.decode(snapshot.head, type=SnapshotHead) == HEAD
    assert snapshot.prices == PRICES
    for number in range(count):
        found = snapshot.find(digest(number))
        assert found is not None
        assert msgspec.msgpack.decode(found, type=KeyRecord) == record(number)
    assert all(snapshot.find(digest(number)) is None for number in range(count, count + 500))


def test_the_file_is_private_and_replaced_whole(tmp_path: Path) -> None:
    path = written(tmp_path / "snapshot.bin", 3)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = Snapshot(path)
    write_snapshot(path, msgspec.structs.replace(HEAD, generation=8), keys(1), b"")
    after = Snapshot(path)
    assert (before.generation, after.generation) == (7, 8)
    assert before.find(digest(2)) is not None
    assert after.find(digest(2)) is None
    assert os.listdir(tmp_path) == ["snapshot.bin"]


def test_prices_can_be_used_after_the_snapshot_is_gone(tmp_path: Path) -> None:
    prices = Snapshot(written(tmp_path / "snapshot.bin", 1)).prices
    assert prices == PRICES
    assert prices.readonly


def test_one_secret_for_two_keys_is_refused_and_nothing_left_behind(tmp_path: Path) -> None:
    path = written(tmp_path / "snapshot.bin", 1)
    before = path.read_bytes()
    with pytest.raises(ValueError, match="same secret"):
        write_snapshot(path, HEAD, [*keys(3), (digest(1), encoded(9))], b"")
    assert os.listdir(tmp_path) == ["snapshot.bin"]
    assert path.read_bytes() == before


def test_digests_of_another_length_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        write_snapshot(tmp_path / "snapshot.bin", HEAD, [(b"short", encoded(1))], b"")
    with pytest.raises(ValueError, match="32 bytes"):
        Snapshot(written(tmp_path / "snapshot.bin", 1)).find(b"short")


def test_digests_that_collide_in_every_slot_are_found(tmp_path: Path) -> None:
    alike = [b"\xff" * 8 + digest(number)[8:] for number in range(200)]  # all start at the last slot
    write_snapshot(tmp_path / "snapshot.bin", HEAD, [(one, encoded(n)) for n, one in enumerate(alike)], b"")
    snapshot = Snapshot(tmp_path / "snapshot.bin")
    snapshot.verify()
    assert all(snapshot.find(one) is not None for one in alike)
    assert snapshot.find(b"\xff" * 32) is None


def test_a_byte_changed_anywhere_is_refused_or_changes_no_answer(tmp_path: Path) -> None:
    """Every byte of a small file in turn."""
    whole = written(tmp_path / "snapshot.bin", 3).read_bytes()
    right = dict(keys(3))
    path = tmp_path / "damaged.bin"
    silent = 0
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x41]) + whole[at + 1 :])
        with suppress(CorruptSnapshot):
            snapshot = Snapshot(path)
            assert (snapshot.generation, snapshot.head, bytes(snapshot.prices)) == (
                7,
                msgspec.msgpack.encode(HEAD),
                PRICES,
            )
            answers = {key: snapshot.find(key) for key in right}
            assert all(answers[key] in (right[key], None) for key in right)
            silent += 1
    assert silent < len(whole) // 2  # padding, digests and empty slots


def test_a_file_cut_anywhere_is_refused(tmp_path: Path) -> None:
    whole = written(tmp_path / "snapshot.bin", 3).read_bytes()
    path = tmp_path / "cut.bin"
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(CorruptSnapshot):
            Snapshot(path)
    path.write_bytes(whole + b"\0")
    with pytest.raises(CorruptSnapshot, match="instead of"):
        Snapshot(path)


def test_verify_notices_what_finding_may_not_reach(tmp_path: Path) -> None:
    path = written(tmp_path / "snapshot.bin", 3)
    whole = bytearray(path.read_bytes())
    whole[HEADER_SIZE + 5] ^= 1  # in the first key's record
    path.write_bytes(whole)
    with pytest.raises(CorruptSnapshot, match=r"snapshot\.bin: a record is damaged"):
        Snapshot(path).verify()


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(CorruptSnapshot, match="not a regular file"):
        Snapshot(tmp_path / "fifo")
    with pytest.raises(CorruptSnapshot, match="not a regular file"):
        Snapshot(tmp_path)
    with pytest.raises(FileNotFoundError):
        Snapshot(tmp_path / "absent")


def test_an_index_without_an_empty_slot_is_refused() -> None:
    with pytest.raises(ValueError, match="fit"):
        build_index(bytes(48), 1)
    with pytest.raises(ValueError, match="fit"):
        build_index(bytes(47), 10)
    assert slots_for(0) == 1
    assert slots_for(1_000_000) == 1_500_001


def test_no_secret_leads_to_the_record_of_an_owner() -> None:
    """A client that sends the owner's name as its key looks elsewhere."""
    assert len(owner_digest("team:platform")) == 32
    assert owner_digest("team:platform") != hashlib.sha256(b"team:platform").digest()


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        ("smart", "smart", True), ("smart", "smarter", False), ("Smart", "smart", False), ("*", "", True),
        ("openai/*", "openai/gpt-4o", True), ("openai/*", "openai", False), ("*-mini", "gpt-mini", True),
        ("gpt-*-mini", "gpt-mini", False), ("gpt-*-mini", "gpt--mini", True), ("a*b*c", "abc", True),
        ("a*b*c", "axxbyyc", True), ("a*b*c", "acb", False), ("aa*aa", "aaa", False), ("**", "x", True),
        ("a.c", "abc", False),
    ],
)  # fmt: skip
def test_patterns(pattern: str, name: str, fits: bool) -> None:
    assert matches((pattern,), name) is fits


def test_no_patterns_match_everything() -> None:
    assert matches((), "anything")
    assert matches(("a", "b"), "b")
    assert not matches(("a", "b"), "c")
