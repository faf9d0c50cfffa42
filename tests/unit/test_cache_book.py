"""What operators see and delete of the exact cache, without the API: bounded pages, and what fails half-way."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastgate._core.arena import Arena
from fastgate._core.slab import Slab, create_slab
from fastgate.control import cache_book
from fastgate.control.cache_book import CacheBook, Wanted
from fastgate.control.publisher import Publisher
from fastgate.ledger.errors import BadQuery
from fastgate.state import audit
from fastgate.state.errors import StateError
from fastgate.state.store import Store
from fastgate.wire.caching import slab_path
from tests.support.slabs import has, put

MEGABYTES = 2
EVERYTHING = Wanted()
KEY = Wanted((("key", ("a",)),))


class Place:
    """A folder with a store of the cache in force, and the state beside it."""

    def __init__(self, folder: Path) -> None:
        self.arena = Arena(str(folder / "arena.bin"), True)
        create_slab(str(slab_path(folder, MEGABYTES)), MEGABYTES)
        self.slab = Slab(str(slab_path(folder, MEGABYTES)))
        publisher = Publisher(folder, self.arena)
        publisher.cache = (MEGABYTES, 1)
        self.store = Store(folder / "state.db")
        self.book = CacheBook(self.arena, folder, publisher, self.store)

    def keep(self, name: bytes, key: str = "a") -> None:
        now_ms = time.time_ns() // 1_000_000
        assert put(self.slab, name, now_ms=now_ms, about=b'{"key":"%b"}' % key.encode())

    def is_kept(self, name: bytes) -> bool:
        return has(self.slab, name, now_ms=time.time_ns() // 1_000_000)

    def rows(self) -> list[audit.Entry]:
        with self.store.read() as db:
            return audit.page(db, None, 100, "cache")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    place.store.close()


def pages(place: Place, wanted: Wanted, most: int) -> list[list[bytes]]:
    found, cursor = [], ""
    while True:
        items, following = place.book.page(wanted, cursor, most)
        found.append([item.key for item in items])
        if following is None:
            return found
        cursor = following


def test_a_page_ends_with_its_time_and_the_next_one_goes_on(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [b"question %d" % number for number in range(30)]
    for name in names:
        place.keep(name, "a" if name.endswith(b"0") else "b")
    monkeypatch.setattr(cache_book, "PAGE_SECONDS", 0)
    monkeypatch.setattr(cache_book, "STRETCH", 64)
    found = pages(place, KEY, 10)
    assert len(found) == place.slab.slots // 64
    assert [] in found
    keys = [key for page in found for key in page]
    assert sorted(keys) == sorted(place.slab.hash128(name) for name in names if name.endswith(b"0"))


@pytest.mark.parametrize("most", [1, 4, 29, 30, 31])
def test_the_last_page_is_known_to_be_it(place: Place, most: int) -> None:
    for number in range(30):
        place.keep(b"question %d" % number)
    found = pages(place, EVERYTHING, most)
    assert [len(page) for page in found] == [most] * (30 // most) + ([30 % most] if 30 % most else [])
    assert len({key for page in found for key in page}) == 30


def test_a_deletion_goes_through_all_of_a_large_index(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(30):
        place.keep(b"question %d" % number, "a" if number % 3 else "b")
    monkeypatch.setattr(cache_book, "STRETCH", 64)
    assert place.book.delete_all(KEY, "somebody").deleted == 20
    assert [number for number in range(30) if place.is_kept(b"question %d" % number)] == list(range(0, 30, 3))
    [row] = place.rows()
    assert (row.actor, row.action, row.before, row.after) == ("somebody", "delete", '{"entries":20,"key":["a"]}', "")


def test_what_is_deleted_without_a_row_is_said(place: Place) -> None:
    place.keep(b"one")
    place.keep(b"two")
    place.store.write(lambda db: db.execute("DROP TABLE audit")).result()
    with pytest.raises(StateError, match="2 entries are deleted, and no row of the audit says so"):
        place.book.delete_all(KEY, "somebody")
    assert not place.is_kept(b"one")
    place.keep(b"one")
    [[entry]] = [place.book.page(EVERYTHING, "", 10)[0]]
    with pytest.raises(StateError):
        place.book.delete(entry.id, "somebody")


@pytest.mark.parametrize("cursor", ["x", "0", "-1", "1.0", "4096", "1" * 12, "²"])
def test_what_is_no_cursor(place: Place, cursor: str) -> None:
    with pytest.raises(BadQuery, match="not a cursor of this list"):
        place.book.page(EVERYTHING, cursor, 10)


@pytest.mark.parametrize(
    ("wanted", "document"),
    [
        (EVERYTHING, {}),
        (
            Wanted((("key", ("a",)), ("tag:b", ("1", "2"))), 0),
            {"key": ["a"], "tag:b": ["1", "2"], "older_than_seconds": 0},
        ),
        (Wanted((), None, 5), {"younger_than_seconds": 5}),
    ],
)
def test_what_is_wanted_is_noted_as_it_was_said(wanted: Wanted, document: dict[str, object]) -> None:
    assert wanted.document() == document
    assert wanted.is_everything == (document == {})
