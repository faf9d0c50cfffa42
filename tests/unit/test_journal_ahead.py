"""Segments of a journal that somebody else allocates ahead: the disk may take its time, and nothing is lost by it."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from fastgate._core.arena import ArenaFull
from fastgate._core.journal import Draft, Journal, SegmentReader, segments_of

SMALL = 8192
LONG = "x" * 64


def log(journal: Journal, count: int) -> None:
    for _ in range(count):
        journal.log(Draft(key=LONG, model=LONG), bytes(16), 1, 1, 200, 0)


def until_half_full(folder: Path, submit: Callable[..., Future[str]]) -> tuple[Journal, int]:
    """A journal that has just had its next segment asked for, and how many events it has."""
    journal, asked = Journal(str(folder), 1, segment_bytes=SMALL), threading.Event()

    def noted(*call: object) -> Future[str]:
        asked.set()
        return submit(*call)

    logged = 0
    while not asked.is_set():
        log(journal, 1)
        logged += 1
        journal.prepare(noted)
    return journal, logged


def read(folder: Path) -> list[list[int]]:
    """The sequence numbers in each segment, those without events left out."""
    found = [SegmentReader(path).read(0, 1000) for path in segments_of(str(folder))]
    return [list(columns["seq"]) for columns in found if columns is not None]


def test_who_has_no_room_left_waits_for_the_disk_and_nobody_else(tmp_path: Path) -> None:
    let_go = threading.Event()

    def slow(function: Callable[..., str], *arguments: object) -> str:
        assert let_go.wait(30)
        return function(*arguments)

    with ThreadPoolExecutor(1) as disk:
        journal, logged = until_half_full(tmp_path, lambda *call: disk.submit(slow, *call))
        journal.prepare(disk.submit)
        log(journal, 1)  # there is room for it
        assert read(tmp_path) == [[*range(1, logged + 2)]]
        writer = threading.Thread(target=log, args=(journal, 20))
        let_go_later = threading.Timer(0.1, let_go.set)
        writer.start()
        let_go_later.start()
        writer.join(30)
        assert not writer.is_alive()
        assert sum(map(len, read(tmp_path))) == logged + 21
        journal.close()
    assert all(SegmentReader(path).sealed for path in segments_of(str(tmp_path)))


def test_a_disk_that_has_no_space_is_told_and_asked_again(tmp_path: Path) -> None:
    failed: Future[str] = Future()
    failed.set_exception(ArenaFull("no space"))
    journal, _ = until_half_full(tmp_path, lambda *_: failed)
    with pytest.raises(ArenaFull, match="no space"):
        journal.prepare()
    with pytest.raises(ArenaFull, match="no space"):  # not tried again before the next `prepare`
        log(journal, 100)
    journal.prepare()
    log(journal, 1)
    assert len(read(tmp_path)) == 2


def test_what_is_still_being_allocated_at_the_end_is_sealed(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as disk:
        journal, _ = until_half_full(tmp_path, disk.submit)
        journal.close()
    assert len(segments_of(str(tmp_path))) == 2
    assert all(SegmentReader(path).sealed for path in segments_of(str(tmp_path)))
