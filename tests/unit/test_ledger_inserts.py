"""Rows and positions are one transaction; what cannot be written is a visible state."""

import multiprocessing
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest

from fastgate.ledger import inserts, schema
from fastgate.ledger.errors import BadQuery, LedgerUnavailable, NewerLedger, QueryTimeout
from fastgate.ledger.inserts import join_id, split_ids
from fastgate.ledger.store import Ledger
from tests.support.ledger_rows import columns, rows


@pytest.fixture
def ledger(tmp_path: Path) -> Any:
    ledger = Ledger(tmp_path / "ledger.duckdb")
    ledger.open()
    yield ledger
    ledger.close()


def fetch(ledger: Ledger, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    with ledger.cursor() as cursor:
        return cursor.execute(statement, list(values)).fetchall()


def test_every_column_of_a_row_comes_back(ledger: Ledger) -> None:
    found = columns(500, seed=1)
    ledger.inserts.add(found, {"a": 500})
    names = [*schema.EVENT_NUMBERS, *schema.EVENT_TEXTS, *schema.ORIGIN_TEXTS, *schema.ORIGIN_NUMBERS]
    listed = ", ".join(f'"{name}"' for name in names)
    read = fetch(ledger, f"SELECT id_high, id_low, {listed} FROM requests ORDER BY started_us")
    assert [{"request_id": join_id(row[0], row[1]), **dict(zip(names, row[2:], strict=True))} for row in read] == [
        {name: value for name, value in row.items() if name != "seq"} for row in rows(found)
    ]


def test_ids_survive_whatever_their_bits() -> None:
    ids = ["0" * 32, "f" * 32, "8" + "0" * 31, "7" + "f" * 31, "0123456789abcdef" * 2]
    high, low = split_ids(ids)
    assert [join_id(int(h), int(lo)) for h, lo in zip(high, low, strict=True)] == ids


def test_a_failed_insert_leaves_neither_rows_nor_position_nor_origin(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.inserts.add(columns(10), {"a": 10})

    def fail(*_: object) -> None:
        raise duckdb.IOException("no space left on device")

    for step in ("_add_origins", "_add_events", "_move"):
        with monkeypatch.context() as patched:
            patched.setattr(ledger.inserts, step, fail)
            with pytest.raises(duckdb.IOException):
                ledger.inserts.add(columns(10, seed=9, start=10), {"a": 20})
        assert fetch(ledger, "SELECT count(*) FROM events") == [(10,)]
        assert fetch(ledger, "SELECT name, last_seq FROM segments") == [("a", 10)]
        assert ledger.inserts.positions() == {"a": 10}
    ledger.inserts.add(columns(10, seed=9, start=10), {"a": 20})
    assert fetch(ledger, "SELECT count(*) FROM requests") == [(20,)]


def test_positions_and_origins_outlive_a_restart(ledger: Ledger) -> None:
    ledger.inserts.add(columns(100, seed=3), {"a": 100, "b": 7})
    before = fetch(ledger, "SELECT count(*) FROM origins")
    ledger.close()
    ledger.open()
    assert ledger.inserts.positions() == {"a": 100, "b": 7}
    ledger.inserts.add(columns(100, seed=3), {"a": 200})
    assert fetch(ledger, "SELECT count(*) FROM origins") == before
    ledger.inserts.forget(["a"])
    assert ledger.inserts.positions() == {"b": 7}
    assert fetch(ledger, "SELECT name FROM segments") == [("b",)]


def test_forgotten_origins_get_second_numbers_and_sums_stay(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inserts, "MOST_ORIGINS", 20)
    for turn in range(4):
        ledger.inserts.add(columns(50, seed=4), {"a": turn})
    ((count, distinct),) = fetch(ledger, "SELECT count(*), count(DISTINCT key || team || model) FROM origins")
    assert count > distinct
    assert fetch(ledger, "SELECT count(*) FROM requests") == [(200,)]


def test_first_uses_keep_the_first(ledger: Ledger) -> None:
    ledger.inserts.note_first_uses({"key:a/day/default": 5})
    ledger.inserts.note_first_uses({"key:a/day/default": 9, "key:b/day/default": 7})
    assert fetch(ledger, "SELECT * FROM first_uses ORDER BY 1") == [("key:a/day/default", 5), ("key:b/day/default", 7)]


def test_a_schema_of_a_newer_version_is_refused_and_left_alone(ledger: Ledger) -> None:
    ledger.close()
    with duckdb.connect(str(ledger.path)) as connection:
        connection.execute("INSERT INTO migrations VALUES (99, now()::TIMESTAMP)")
    with pytest.raises(NewerLedger, match=f"schema 99, this version knows {len(schema.MIGRATIONS)}"):
        ledger.open()
    assert not ledger.is_open
    assert "99" in (ledger.error or "")


def test_a_newer_file_keeps_even_what_a_crash_left_beside_it(ledger: Ledger) -> None:
    """Opening it replays the log beside it; only closing would write that into the file."""
    ledger.close()
    crashing = (
        "import duckdb, os, sys; connection = duckdb.connect(sys.argv[1]);"
        'connection.execute("INSERT INTO migrations VALUES (99, now()::TIMESTAMP)"); os._exit(0)'
    )
    subprocess.run([sys.executable, "-c", crashing, str(ledger.path)], check=True)
    before = {path.name: path.read_bytes() for path in ledger.path.parent.iterdir()}
    assert len(before) == 2
    with pytest.raises(NewerLedger):
        ledger.open()
    assert {path.name: path.read_bytes() for path in ledger.path.parent.iterdir()} == before


def test_migrations_are_applied_once_each(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger.close()
    further = (*schema.MIGRATIONS, ("ALTER TABLE origins ADD COLUMN region VARCHAR DEFAULT 'none'",))
    monkeypatch.setattr(schema, "MIGRATIONS", further)
    for _ in range(2):
        ledger.open()
        versions = fetch(ledger, "SELECT version FROM migrations ORDER BY 1")
        assert versions == [(number,) for number in range(1, len(further) + 1)]
        ledger.close()
    ledger.open()


@pytest.mark.parametrize("version", [3, 4, 5])
def test_rows_of_an_older_ledger_stay_as_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: int
) -> None:
    """What it has no column for is nothing, and later rows have it."""
    known: dict[str, Any] = {}
    with duckdb.connect(str(tmp_path / "ledger.duckdb")) as connection:
        with monkeypatch.context() as patched:
            patched.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[:version])
            schema.migrate(connection)
        for table in ("events", "origins"):
            described = connection.execute(f"DESCRIBE {table}").fetchall()
            row = {name: len(known) + at if kind == "BIGINT" else name for at, (name, kind, *_) in enumerate(described)}
            known |= row | {"id": 1, "origin": 1, "id_low": 2}
            values = [known[name] for name in row]
            connection.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(values))})", values)
    ledger = Ledger(tmp_path / "ledger.duckdb")
    ledger.open()
    found = columns(10, seed=1)
    ledger.inserts.add(found, {"a": 10})
    names = [*schema.EVENT_NUMBERS, *schema.EVENT_TEXTS, *schema.ORIGIN_TEXTS, *schema.ORIGIN_NUMBERS]
    texts = {*schema.ORIGIN_TEXTS, *schema.EVENT_TEXTS}
    listed = ", ".join(f'"{name}"' for name in names)
    [before] = fetch(ledger, f"SELECT {listed} FROM requests WHERE id_low = 2")
    assert before == tuple(known.get(name, "" if name in texts else 0) for name in names)
    since = [name for name in names if name not in known]
    assert {"semantic", "cache_entry", "cache_age_s"} <= set(since)
    assert ({"cache", "saved_nano"} <= set(since)) == (version < 5)
    read = fetch(ledger, f"SELECT {', '.join(since)} FROM requests WHERE id_low <> 2 ORDER BY started_us")
    assert read == list(zip(*(found[name] for name in since), strict=True))
    ledger.close()


def test_a_migration_that_fails_changes_nothing(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger.close()
    with monkeypatch.context() as patched:
        patched.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, ("CREATE TABLE half (a INTEGER)", "NONSENSE")))
        with pytest.raises(LedgerUnavailable):
            ledger.open()
    ledger.open()
    assert fetch(ledger, "SELECT max(version) FROM migrations") == [(len(schema.MIGRATIONS),)]
    assert fetch(ledger, "SELECT count(*) FROM duckdb_tables() WHERE table_name = 'half'") == [(0,)]


def test_a_file_that_is_no_ledger_is_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "ledger.duckdb"
    path.write_bytes(b"something else entirely" * 1000)
    ledger = Ledger(path)
    with pytest.raises(LedgerUnavailable, match="cannot be opened"):
        ledger.open()
    assert path.read_bytes().startswith(b"something else")
    with pytest.raises(LedgerUnavailable), ledger.cursor():
        pass


def hold_open(path: Path, held: Any, release: Any) -> None:
    with duckdb.connect(str(path)):
        held.set()
        release.wait(60)


def test_a_locked_file_is_a_state_that_passes(tmp_path: Path) -> None:
    path = tmp_path / "ledger.duckdb"
    context = multiprocessing.get_context("spawn")
    held, release = context.Event(), context.Event()
    other = context.Process(target=hold_open, args=(path, held, release))
    other.start()
    try:
        assert held.wait(60)
        ledger = Ledger(path)
        with pytest.raises(LedgerUnavailable, match="lock"):
            ledger.open()
        assert "lock" in (ledger.error or "")
    finally:
        release.set()
        other.join()
    ledger.open()
    assert ledger.error is None
    ledger.close()


FULL_DISK = """
import resource, sys
from pathlib import Path
import duckdb
from fastgate.ledger.errors import LedgerUnavailable
from fastgate.ledger.store import Ledger
from tests.support.ledger_rows import columns
ledger = Ledger(Path(sys.argv[1]))
ledger.open()
ledger.inserts.add(columns(1000), {"a": 1000})
# A file that may not grow fails as a full disk does: the write returns an error.
resource.setrlimit(resource.RLIMIT_FSIZE, (ledger.size() + 10_000, resource.RLIM_INFINITY))
done = 1000
try:
    for turn in range(1, 200):
        ledger.inserts.add(columns(1000, start=done), {"a": done + 1000})
        done += 1000
except (duckdb.Error, LedgerUnavailable) as error:
    ledger.close(str(error))
else:
    sys.exit("the disk was never full")
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
ledger.open()
with ledger.cursor() as cursor:
    rows = cursor.execute("SELECT count(*) FROM requests").fetchone()[0]
assert ledger.inserts.positions() == {"a": rows}, (ledger.inserts.positions(), rows)
assert rows >= done, (rows, done)
ledger.inserts.add(columns(1000, start=rows), {"a": rows + 1000})
print("recovered", rows)
"""


def test_after_a_full_disk_rows_and_position_agree(tmp_path: Path) -> None:
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[1] == resource.RLIM_INFINITY
    run = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path / "ledger.duckdb")],
        capture_output=True, text=True, timeout=100, cwd=Path(__file__).parents[2], check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("recovered")


def test_the_file_is_private_and_confined(ledger: Ledger, tmp_path: Path) -> None:
    assert ledger.path.stat().st_mode & 0o777 == 0o600
    with ledger.cursor() as cursor:
        for statement in (f"COPY events TO '{tmp_path}/out.csv'", "SELECT * FROM read_text('/etc/hostname')"):
            with pytest.raises(duckdb.PermissionException):
                cursor.execute(statement)
        with pytest.raises(duckdb.Error, match="lock"):
            cursor.execute("SET enable_external_access = true")
        assert cursor.execute("SELECT 1").fetchone() == (1,)


def test_a_query_that_takes_too_long_is_interrupted(ledger: Ledger) -> None:
    with pytest.raises(QueryTimeout), ledger.cursor(seconds=0.05) as cursor:
        cursor.execute("SELECT sum(a.range * b.range) FROM range(10000000) a, range(10000000) b").fetchall()
    assert fetch(ledger, "SELECT 1") == [(1,)]


def test_what_duckdb_cannot_compute_is_the_callers_fault(ledger: Ledger) -> None:
    with pytest.raises(BadQuery), ledger.cursor() as cursor:
        cursor.execute("SELECT 'x'::INTEGER").fetchall()
