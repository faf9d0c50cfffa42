"""Entries of the exact cache's store by what is said of them: listed once each, and given no more once removed."""

import os
import random
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fastgate._core.slab import Slab, create_slab
from fastgate._core.slab_search import Search, find_id, fingerprint_of, remove_id
from tests.support.slabs import HOUR_MS, INDEX, NOW_MS, TENANT, get, has, put

ALL = 1 << 40
TURNS = 500
FILLING = bytes(200_000)
GENERATION_AT = INDEX + 256 * 8 * 16
"""Where the generation of the first of one segment stands."""


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "slab.bin")


@pytest.fixture
def slab(path: str) -> Slab:
    create_slab(path, 2)
    return Slab(path)


def search(slab: Slab, *said: bytes | tuple[bytes, ...], now_ms: int = NOW_MS, **moments: int) -> Search:
    return Search(slab, [each if isinstance(each, tuple) else (each,) for each in said], now_ms=now_ms, **moments)


def found(slab: Slab, wanted: Search) -> set[bytes]:
    listed, following = wanted.entries(0, 10_000, ALL)
    assert following == 0
    assert len({entry.id for entry in listed}) == len(listed)
    return {entry.about for entry in listed}


def test_entries_are_found_by_what_is_said_of_them(slab: Slab) -> None:
    for number, about in enumerate((b"key=a model=x", b"key=a model=y", b"key=b model=x", b"")):
        assert put(slab, b"question %d" % number, 50 * number, about=about)
    assert found(slab, search(slab)) == {b"key=a model=x", b"key=a model=y", b"key=b model=x", b""}
    assert found(slab, search(slab, b"key=a")) == {b"key=a model=x", b"key=a model=y"}
    assert found(slab, search(slab, b"key=a", b"model=y")) == {b"key=a model=y"}
    assert found(slab, search(slab, (b"model=y", b"key=b"))) == {b"key=a model=y", b"key=b model=x"}
    assert found(slab, search(slab, (b"key=a", b"key=b"), (b"model=x",))) == {b"key=a model=x", b"key=b model=x"}
    assert found(slab, search(slab, b"key=c")) == set()


def test_only_what_an_entry_is_about_counts(slab: Slab) -> None:
    """Neither the question, nor its neighbours in the store, nor where one ends."""
    assert put(slab, b"mark", 300, about=b"mar")
    assert put(slab, b"other", 0, about=b"k")
    assert put(slab, b"third", 300, about=b"smark")
    assert found(slab, search(slab, b"mark")) == {b"smark"}
    assert found(slab, search(slab, b"k")) == {b"k", b"smark"}


def test_entries_are_found_by_their_age_until_they_expire(slab: Slab) -> None:
    for age, about in ((0, b"new"), (10, b"older"), (20, b"old")):
        assert put(slab, about, about=about, now_ms=NOW_MS - age, ttl_ms=15)
    assert found(slab, search(slab)) == {b"new", b"older"}
    assert found(slab, search(slab, now_ms=NOW_MS - 6)) == {b"new", b"older", b"old"}
    assert found(slab, search(slab, from_ms=NOW_MS - 10)) == {b"new", b"older"}
    assert found(slab, search(slab, from_ms=NOW_MS - 9)) == {b"new"}
    assert found(slab, search(slab, until_ms=NOW_MS)) == {b"older"}
    assert found(slab, search(slab, until_ms=NOW_MS - 10)) == set()
    assert found(slab, search(slab, until_ms=-1)) == set()


@pytest.mark.parametrize(("most", "slots"), [(1, ALL), (7, 100), (10_000, 1), (3, 1 << 60), (10_000, (1 << 64) - 1)])
def test_pages_have_each_entry_once_whatever_is_stored_meanwhile(slab: Slab, most: int, slots: int) -> None:
    there = [b"question %d" % number for number in range(60)]
    for fingerprint in there:
        assert put(slab, fingerprint, 200, about=b"mine")
    ids: list[str] = []
    at, turns, wanted = 0, 0, search(slab, b"mine")
    while not turns or at:
        listed, at = wanted.entries(at, most, slots)
        assert len(listed) <= most
        ids += [entry.id for entry in listed]
        if turns < 60:  # so few that none has to give way
            assert put(slab, b"meanwhile %d" % turns, 20, about=b"yours")
        turns += 1
    assert sorted(ids) == sorted(f"{slab.hash128(each).hex()}-{number}" for number, each in enumerate(there, 1))


def test_from_behind_the_end_there_is_nothing(slab: Slab) -> None:
    assert put(slab, b"question")
    assert search(slab).entries(slab.slots, 10, 10) == ([], 0)
    assert search(slab).withdraw(slab.slots + 5, ALL) == (0, 0)
    assert search(slab).entries(0, 0, ALL)[0] == []
    assert has(slab, b"question")


def test_what_was_withdrawn_is_found_no_more_and_nothing_else_is_lost(slab: Slab, path: str) -> None:
    for number in range(40):
        assert put(slab, b"a%d" % number, about=b"a")
        assert put(slab, b"b%d" % number, about=b"b")
    other = Slab(path)
    gone, at, turns = 0, 0, 0
    wanted = search(slab, b"a")
    while not turns or at:
        some, at = wanted.withdraw(at, 100)
        gone, turns = gone + some, turns + 1
    assert gone == 40
    assert not any(has(other, b"a%d" % number) for number in range(40))
    assert all(has(other, b"b%d" % number) for number in range(40))
    assert slab.counts()["entries"] == 40
    assert put(slab, b"a1", about=b"a")
    assert has(other, b"a1")
    assert search(slab, b"a").withdraw(0, ALL) == (1, 0)


def test_an_entry_is_found_by_its_id(slab: Slab) -> None:
    assert put(slab, b"question", 301)
    hit = get(slab, b"question")
    assert hit is not None
    entry = find_id(slab, hit.id)
    assert entry is not None
    assert (entry.id, entry.answer_bytes, entry.hits) == (hit.id, 301, 1)
    assert put(slab, b"question", 302)
    assert find_id(slab, hit.id) is None
    assert not remove_id(slab, hit.id)
    for wrong in ("", "x", "-", "00-1", f"{hit.id}x", f"{hit.id[:33]}-1", f"{hit.id}{'9' * 30}", "é" * 32 + "-1"):
        assert find_id(slab, wrong) is None


def test_a_search_for_what_cannot_be(slab: Slab) -> None:
    with pytest.raises(ValueError, match="nothing can be found"):
        Search(slab, [()], now_ms=NOW_MS)
    with pytest.raises(TypeError):
        Search(slab, [("text",)], now_ms=NOW_MS)  # type: ignore[list-item]


def test_what_a_stray_byte_hit_is_not_listed(slab: Slab, path: str) -> None:
    assert put(slab, b"question", 20, about=b"mine")
    assert put(slab, b"other", 20, about=b"mine too")
    raw = Path(path).read_bytes()
    with open(path, "r+b") as file:
        file.seek(raw.rindex(b"mine too") + len(b"mine too"))
        file.write(b"\0")
    assert found(slab, search(slab, b"mine")) == {b"mine"}


def test_whatever_stands_in_the_file_only_whole_entries_are_listed(path: str) -> None:
    chance = random.Random(11)
    for _ in range(100):
        create_slab(path, 1)
        slab = Slab(path)
        for number in range(30):
            assert put(slab, b"question %d" % number, 100, about=b"mine")
        ids = [entry.id for entry in slab.scan()]
        end = os.path.getsize(path)
        filled = end - (1 << 20) + slab.counts()["bytes"]
        with open(path, "r+b") as file:
            for _ in range(200):
                file.seek(chance.choice((chance.randrange(4096, filled), chance.randrange(end - (1 << 20), filled))))
                file.write(struct.pack("=Q", chance.choice((0, 1, 255, (1 << 64) - 1, chance.getrandbits(64)))))
        del slab  # nobody has the segment: what looks as if it were moved is not waited for
        slab = Slab(path)
        listed = search(slab, b"mine").entries(0, ALL, ALL)[0]
        assert {entry.id for entry in listed} <= set(ids)
        assert {entry.about for entry in listed} <= {b"mine"}
        for id_ in ids:
            entry = find_id(slab, id_)
            assert entry is None or entry.id == id_
        assert search(slab).withdraw(0, ALL)[0] >= len(listed)
        assert search(slab).entries(0, ALL, ALL) == ([], 0)


# ---- what is moved meanwhile


def test_what_a_dead_process_left_half_moved_keeps_nobody_waiting(path: str) -> None:
    """As a kill in a sweep leaves it. No reader gets it; what is withdrawn is gone for who comes next as well."""
    create_slab(path, 1)
    slab = Slab(path)
    for number in range(200):
        assert put(slab, b"question %d" % number, about=b"mine")
    hit = get(slab, b"question 7")
    assert hit is not None
    del slab
    mark(path, 1)
    slab = Slab(path)
    assert found(slab, search(slab)) == set()
    assert find_id(slab, hit.id) is None
    assert remove_id(slab, hit.id)
    assert search(slab, b"mine").withdraw(0, ALL) == (0, 0)
    mark(path, 2)
    assert not any(has(slab, b"question %d" % number) for number in range(200))
    assert slab.counts()["entries"] == 0


def test_others_run_while_it_waits(path: str) -> None:
    create_slab(path, 1)
    slab, other = Slab(path), Slab(path)
    assert put(other, b"question")
    mark(path, 1)  # as if the other one were moving it
    waiting = threading.Thread(target=search(slab).entries, args=(0, 1, ALL))
    waiting.start()
    turns = 0
    while waiting.is_alive():
        turns += 1
    assert turns > 10_000


def mark(path: str, generation: int) -> None:
    with open(path, "r+b") as file:
        file.seek(GENERATION_AT)
        file.write(struct.pack("=Q", generation))


def store(slab: Slab, key: bytes, fingerprint: bytes, answer: bytes, about: bytes) -> bool:
    """As `put`, without making up the answer: that takes longer than to store it."""
    return slab.store(
        key, fingerprint, answer, kind=0, usage=b"", tenant=TENANT, about=about, now_ms=NOW_MS, ttl_ms=HOUR_MS
    )


class Worker:
    """Another process, which keeps marked answers when it is told to, asks for them, and sweeps all the time."""

    EACH = 500
    """So many that a sweep, which moves all of them, takes its time."""

    def __init__(self, path: str) -> None:
        self._orders, orders = os.pipe()
        done, self._done = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.set_blocking(self._orders, False)
                self._live(Slab(path))
            finally:
                os._exit(1)
        os.close(self._orders)
        os.close(self._done)
        self._orders, self._done = orders, done

    def keep(self) -> None:
        os.write(self._orders, b"k")
        assert os.read(self._done, 1) == b"k"

    def close(self) -> None:
        os.kill(self.pid, 9)
        os.waitpid(self.pid, 0)
        os.close(self._orders)
        os.close(self._done)

    def _live(self, slab: Slab) -> None:
        number = turn = 0
        mine: list[tuple[bytes, bytes]] = []
        while True:
            number += 1
            filler = b"filler %d" % number
            store(slab, slab.hash128(filler), filler, FILLING, b"filler")
            if self._is_told():
                turn += 1
                mine = [(slab.hash128(each), each) for each in marked(turn)]
                assert all(store(slab, *each, b"answer" * 80, b"mine") for each in mine)
                os.write(self._done, b"k")
            for key, fingerprint in mine:
                slab.find(key, fingerprint, NOW_MS)

    def _is_told(self) -> bool:
        try:
            return bool(os.read(self._orders, 1))
        except BlockingIOError:
            return False


def marked(turn: int) -> list[bytes]:
    return [b"marked %d %d" % (turn, number) for number in range(Worker.EACH)]


def found_of(slab: Slab, turn: int) -> set[bytes]:
    """Keys of those that are given."""
    asked = ((slab.hash128(each), each) for each in marked(turn))
    return {key for key, fingerprint in asked if slab.find(key, fingerprint, NOW_MS) is not None}


@contextmanager
def worker(path: str) -> Iterator[Worker]:
    child = Worker(path)
    try:
        yield child
    finally:
        child.close()


def await_stores(slab: Slab, count: int) -> None:
    until = slab.counts()["stored"] + count
    while slab.counts()["stored"] < until:
        pass


@pytest.mark.parametrize("by_id", [False, True])
def test_no_sweep_saves_what_is_withdrawn(slab: Slab, path: str, by_id: bool) -> None:
    """A worker moves what it asks for, over and over, while that is taken out: nothing of it is found afterwards."""
    withdrawn = 0
    with worker(path) as child:
        for turn in range(1, TURNS + 1):
            child.keep()
            await_stores(slab, turn % 5)
            if by_id:
                ids = [entry.id for entry in search(slab, b"mine").entries(0, 1000, ALL)[0]]
                withdrawn += sum(remove_id(slab, each) for each in ids)
            else:
                withdrawn += search(slab, b"mine").withdraw(0, ALL)[0]
            for stores in (0, 20) if turn % 20 == 0 else (0,):
                await_stores(slab, stores)
                assert not found_of(slab, turn)
    assert withdrawn > TURNS * Worker.EACH // 2


def test_no_sweep_hides_what_is_listed(slab: Slab, path: str) -> None:
    """What is asked for all the time is there before and after a list is made, so it is in the list."""
    with worker(path) as child:
        for turn in range(1, 101):
            child.keep()
            before = found_of(slab, turn)
            keys = {entry.key for entry in search(slab, b"mine").entries(0, ALL, ALL)[0]}
            assert before & found_of(slab, turn) <= keys


def test_what_was_asked_is_found_by_its_id(slab: Slab) -> None:
    for number in range(50):
        assert put(slab, b"question %d" % number, 50 * number)
    for entry in list(slab.scan()):
        asked = fingerprint_of(slab, entry.id)
        assert asked is not None
        assert slab.hash128(asked) == entry.key
    assert fingerprint_of(slab, f"{entry.key.hex()}-{2**40}") is None
    assert fingerprint_of(slab, "no id") is None
    assert remove_id(slab, entry.id)
    assert fingerprint_of(slab, entry.id) is None
