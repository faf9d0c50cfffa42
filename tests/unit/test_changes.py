"""The log of changes beside a snapshot: whole entries come out, in order, whatever the reader sees first."""

import hashlib
import os
import resource
from pathlib import Path

import pytest

from fastgate._core.snapshot import CorruptSnapshot
from fastgate.wire.changes import Change, ChangeLog, Changes, log_path


def change(number: int, size: int = 20) -> Change:
    return hashlib.sha256(b"%d" % number).digest(), os.urandom(size)


def test_what_is_appended_is_read_once_in_order(tmp_path: Path) -> None:
    log = ChangeLog(log_path(tmp_path, 7))
    reader = Changes(tmp_path / "changes-7.bin")
    assert reader.read() == []
    first = [change(1), change(2, 0), change(1, 300)]
    log.append(first)
    assert reader.read() == first
    assert reader.read() == []
    log.append([change(3)])
    assert len(reader.read()) == 1
    assert len(Changes(log.path).read()) == 4
    assert log.path.stat().st_mode & 0o777 == 0o600
    log.remove()
    assert reader.read() == []  # it keeps what it has open
    assert not log.path.exists()


def test_an_entry_counts_when_it_is_whole(tmp_path: Path) -> None:
    log = ChangeLog(tmp_path / "whole.bin")
    entries = [change(number, number * 7) for number in range(6)]
    log.append(entries)
    whole = log.path.read_bytes()
    grown = tmp_path / "grown.bin"
    grown.write_bytes(b"")
    reader, found = Changes(grown), []
    for length in range(len(whole) + 1):
        grown.write_bytes(whole[:length])
        found += reader.read()
    assert found == entries


def test_many_are_read_some_at_a_time(tmp_path: Path) -> None:
    log = ChangeLog(tmp_path / "many.bin")
    entries = [change(number, 1 << 19) for number in range(12)]
    log.append(entries)
    reader = Changes(log.path)
    first = reader.read()
    assert 0 < len(first) < len(entries)
    assert first + reader.read() == entries


def test_a_full_disk_leaves_whole_entries_and_goes_on(tmp_path: Path) -> None:
    log = ChangeLog(tmp_path / "full.bin")
    log.append([change(0)])
    reader = Changes(log.path)
    entries = [change(number, 1000) for number in range(1, 6)]
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2500, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            log.append(entries)
        early = reader.read()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert early[1:] == entries[:2]
    log.append(entries)
    assert reader.read() == entries


def test_damage_is_seen(tmp_path: Path) -> None:
    log = ChangeLog(tmp_path / "damaged.bin")
    log.append([change(1), change(2)])
    whole = log.path.read_bytes()
    for at in (0, 3, 5, 20, 45):
        damaged = tmp_path / "copy.bin"
        damaged.write_bytes(whole[:at] + bytes([whole[at] ^ 0x41]) + whole[at + 1 :])
        try:
            assert len(Changes(damaged).read()) < 2  # a length that reaches beyond the end waits for more
        except CorruptSnapshot:
            continue
