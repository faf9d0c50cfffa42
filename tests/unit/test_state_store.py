"""The state store: whole pieces of writing, in groups; newer files are refused, a chain shows what was changed."""

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastgate.state import audit, objects, schema
from fastgate.state.errors import NewerState, StateError
from fastgate.state.objects import Derived, Stored
from fastgate.state.schema import MIGRATIONS
from fastgate.state.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "state.db")
    yield store
    store.close()


def put(store: Store, id_: str, *refs: str, version: int = 1) -> None:
    stored = Stored("keys", id_, "{}", version, 1, 1)
    derived = Derived(((id_.encode().ljust(32), 0, 1, b"record"),), (), frozenset(refs))
    store.write(lambda db: objects.put(db, stored, derived)).result(10)


def test_what_fails_is_undone_alone(store: Store) -> None:
    """Those that share its commit are kept."""
    gate = threading.Event()
    blocker = store.write(lambda _: gate.wait(10))

    def spoil(db: sqlite3.Connection) -> None:
        db.execute("INSERT INTO refs VALUES ('team:a', 'keys', 'spoilt')")
        raise KeyError("spoilt")

    def keep(id_: str) -> None:
        derived = Derived((), (), frozenset({"team:a"}))
        futures.append(store.write(lambda db: objects.put(db, Stored("keys", id_, "{}", 1, 1, 1), derived)))

    futures = []
    keep("before")
    spoilt = store.write(spoil)
    keep("after")
    gate.set()
    assert blocker.result(10)
    with pytest.raises(KeyError):
        spoilt.result(10)
    for future in futures:
        future.result(10)
    with store.read() as db:
        assert objects.referrers(db, "team:a") == ["key:after", "key:before"]


def test_whoever_is_told_is_told_in_the_order_of_commits(store: Store) -> None:
    told: list[int] = []
    futures = [store.write(lambda _, number=number: number, told.append) for number in range(500)]  # type: ignore[misc]
    assert [future.result(10) for future in futures] == list(range(500)) == told


def test_what_cannot_be_told_is_kept_and_said(store: Store) -> None:
    def tell(_: object) -> None:
        raise OSError("no space")

    future = store.write(lambda db: objects.put(db, Stored("teams", "a", "{}", 1, 1, 1), Derived(())), tell)
    with pytest.raises(OSError, match="no space"):
        future.result(10)
    with store.read() as db:
        assert objects.find(db, "teams", "a") is not None


def test_names_are_found_by_hops(store: Store) -> None:
    for number in range(50):
        put(store, f"key-{number}", "team:a", f"provider:p{number % 3}", "ceiling:1/2")
    with store.read() as db:
        assert objects.targets(db) == ["ceiling:1/2", "provider:p0", "provider:p1", "provider:p2", "team:a"]
        assert objects.targets(db, "ceiling:") == ["ceiling:1/2"]
        assert objects.targets(db, "zzz") == []
        assert len(objects.page(db, "keys", "", 100, "provider:p1")) == 17


def test_a_file_of_a_later_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    Store(path).close()
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    before = path.read_bytes()
    with pytest.raises(NewerState, match=f"version {len(MIGRATIONS) + 1}, this program knows {len(MIGRATIONS)}"):
        Store(path)
    assert path.read_bytes() == before


def test_an_older_file_becomes_a_newer_one_and_keeps_what_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "state.db"
    store = Store(path)
    put(store, "kept", "team:a")
    store.close()
    further = "ALTER TABLE objects ADD COLUMN owner TEXT NOT NULL DEFAULT 'nobody';"
    monkeypatch.setattr(schema, "MIGRATIONS", (*MIGRATIONS, further))
    for _ in range(2):
        store = Store(path)
        with store.read() as db:
            assert schema.version_of(db) == len(MIGRATIONS) + 1
            assert db.execute("SELECT id, owner FROM objects").fetchall() == [("kept", "nobody")]
        store.close()


def test_a_migration_that_fails_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "state.db"
    Store(path).close()
    with monkeypatch.context() as patched:
        patched.setattr(schema, "MIGRATIONS", (*MIGRATIONS, "CREATE TABLE half (a INTEGER); NONSENSE;"))
        with pytest.raises(StateError, match="NONSENSE"):
            Store(path)
    store = Store(path)
    with store.read() as db:
        assert schema.version_of(db) == len(MIGRATIONS)
        assert db.execute("SELECT count(*) FROM sqlite_master WHERE name = 'half'").fetchone() == (0,)
    store.close()


def test_what_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state.db").write_bytes(b"not a database" * 100)
    with pytest.raises(StateError, match=r"state\.db cannot be used"):
        Store(tmp_path / "state.db")


def test_the_chain_shows_every_change(store: Store) -> None:
    for number in range(5):
        entry = audit.Entry(0, number, "admin", "create", "keys", f"k{number}", "", "{}")
        store.write(lambda db, entry=entry: audit.add(db, entry)).result(10)  # type: ignore[misc]
    with store.read() as db:
        assert list(audit.broken_links(db)) == []
        assert audit.head(db)[0] == 5
    for sql, found in (
        ("UPDATE audit SET id = 'other' WHERE seq = 2", ["row 2 was changed, or the one before it"]),
        ("UPDATE audit SET id = 'k1' WHERE seq = 2", []),
        ("DELETE FROM audit WHERE seq = 3", ["row 3 is missing"]),
    ):
        store.write(lambda db, sql=sql: db.execute(sql)).result(10)  # type: ignore[misc]
        with store.read() as db:
            assert list(audit.broken_links(db)) == found
