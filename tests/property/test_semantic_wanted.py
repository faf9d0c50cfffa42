"""What is wanted of the semantic cache's entries is what the store finds, whatever is said of them."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fastgate.cache.about import NAMES, TAG, About, cut
from fastgate.semantic.administration import Condition
from fastgate.wire.semantic_entries import Wanted
from tests.property.test_cache_about import ABOUTS, TAG_NAMES, TEXTS

NOW = 1_000
TENANTS = [b"a tenant's bytes", b"somebody else's."]
MOMENTS = st.integers(0, 2 * NOW)
ENTRIES = st.lists(st.tuples(ABOUTS, MOMENTS, MOMENTS, st.sampled_from(TENANTS)), max_size=5)
SAID = st.lists(
    st.tuples(
        st.sampled_from(NAMES) | TAG_NAMES.map(lambda name: TAG + name),
        st.lists(TEXTS, min_size=1, max_size=3).map(tuple),
    ),
    max_size=3,
)
Row = tuple[About, int, int, bytes]


@pytest.fixture(scope="module")
def db() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        db.execute("CREATE TABLE entry (id INTEGER, about TEXT, created_ms INTEGER, expires_ms INTEGER, tenant BLOB)")
        yield db


def found(db: sqlite3.Connection, rows: Sequence[Row], wanted: Wanted) -> list[int]:
    db.execute("DELETE FROM entry")
    for number, (about, created, expires, tenant) in enumerate(rows):
        row = (number, about.packed().decode(), created, expires, tenant)
        db.execute("INSERT INTO entry VALUES (?, ?, ?, ?, ?)", row)
    condition = Condition(wanted, NOW)
    return [row[0] for row in db.execute(f"SELECT e.id FROM entry e WHERE {condition.clause}", condition.values)]


def is_wanted(row: Row, wanted: Wanted) -> bool:
    about, created, expires, tenant = row
    if expires <= NOW or created < wanted.from_ms or (wanted.until_ms is not None and created >= wanted.until_ms):
        return False
    if wanted.tenant not in {None, tenant}:
        return False
    for name, values in wanted.said:
        if name.startswith(TAG):
            if dict(about.tags).get(name.removeprefix(TAG)) not in values:
                return False
        elif getattr(about, name) not in (map(cut, values) if "model" in name else values):
            return False
    return True


def check(db: sqlite3.Connection, rows: Sequence[Row], wanted: Wanted) -> None:
    assert found(db, rows, wanted) == [number for number, row in enumerate(rows) if is_wanted(row, wanted)]


@given(ENTRIES, SAID, MOMENTS, st.none() | MOMENTS, st.sampled_from([None, *TENANTS]))
@example([(About(key="x' OR '1'='1"), 1, 2_000, TENANTS[0])], [("key", ("x",))], 0, None, None)
@example([(About(model="\0a"), 1, 2_000, TENANTS[0])], [("model", ("",))], 0, None, None)
@example([(About(tags=(("a", '1"],["b","2'),)), 1, 2_000, TENANTS[0])], [("tag:b", ("2",))], 0, None, None)
def test_whatever_is_wanted(
    db: sqlite3.Connection,
    rows: list[Row],
    said: list[tuple[str, tuple[str, ...]]],
    from_ms: int,
    until_ms: int | None,
    tenant: bytes | None,
) -> None:
    check(db, rows, Wanted(tuple(said), from_ms, until_ms, tenant))


@given(st.data(), ENTRIES.filter(bool))
def test_what_is_said_of_one_of_them_is_found(db: sqlite3.Connection, data: st.DataObject, rows: list[Row]) -> None:
    """What is drawn at random seldom matches: this does, in some."""
    about = data.draw(st.sampled_from(rows))[0]
    tags = [(f"{TAG}{name}", (value,)) for name, value in about.tags]
    pairs = st.sampled_from([*((name, (getattr(about, name),)) for name in NAMES), *tags])
    wanted = Wanted(tuple(data.draw(st.lists(pairs, min_size=1, max_size=4))))
    check(db, rows, wanted)
