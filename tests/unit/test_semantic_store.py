"""The store of the semantic process: what was kept outlives a restart, and a bad file keeps nobody from starting."""

import re
import sqlite3
import stat
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from fastgate.semantic.entries import Entries, Entry
from fastgate.semantic.errors import StoreUnusable
from fastgate.semantic.store import FILE, Kept, Store
from tests.support.semantic import ONE, TENANT

VECTOR = np.arange(8, dtype=np.float32)
KEPT = Kept(b'{"answer": 1}', "an answer", bytes(8))


def entry(id_: int, *, text: str = "What?", used: int = 5, expires: int = 10**15) -> Entry:
    return Entry(id_, ONE, TENANT, text, 0, 1, expires, used, 0, id_, [(0.9, True)])


def test_what_was_kept_is_there_after_a_restart(tmp_path: Path) -> None:
    store = Store(tmp_path, "embedder")
    for id_ in (3, 1, 2):
        store.insert(entry(id_, text=f"text {id_}", used=id_), VECTOR * id_, KEPT, '{"key": "k"}')
    store.put("policy", b"learned")
    changed = entry(1, used=9)
    changed.hits, changed.seen = 4, [(0.8, False)]
    store.use(changed)
    store.seen(changed)
    store.delete(3)
    store.close()

    again = Store(tmp_path, "embedder")
    found = list(again.entries())
    assert [(each.id, each.text, each.used_ms, each.hits) for each in found] == [
        (2, "text 2", 2, 0),
        (1, "text 1", 9, 4),
    ]
    assert [tuple(each) for each in found[1].seen] == [(0.8, False)]
    assert {id_: vector.tolist() for id_, vector in again.vectors([1, 2, 3])} == {
        1: VECTOR.tolist(), 2: (2 * VECTOR).tolist(),
    }  # fmt: skip
    assert again.answer(2) == KEPT
    assert again.answer(3) is None
    assert again.value("policy") == b"learned"
    again.close()


def test_an_answer_can_be_read_before_it_is_on_disk(tmp_path: Path) -> None:
    store = Store(tmp_path, "embedder")
    store.insert(entry(1), VECTOR, KEPT, "{}")
    assert store.answer(1) == KEPT
    store.flush()
    assert not store._fresh
    assert store.answer(1) == KEPT
    store.close()


def test_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    store = Store(tmp_path, "embedder")
    store.insert(entry(1), VECTOR, KEPT, "{}")
    store.flush()
    for path in tmp_path.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    store.close()


def test_what_is_deleted_is_overwritten(tmp_path: Path) -> None:
    store = Store(tmp_path, "embedder")
    store.insert(entry(1, text="my number is 078-05-1120"), VECTOR, KEPT, "{}")
    store.flush()
    store.delete(1)
    store.close()
    assert b"078-05-1120" not in (tmp_path / FILE).read_bytes()
    assert not (tmp_path / f"{FILE}-wal").exists()


def bytes_of(folder: Path) -> bytes:
    """Of all files that are there."""
    return b"".join(path.read_bytes() for path in folder.iterdir())


def test_who_waited_for_a_deletion_finds_it_in_no_file(tmp_path: Path) -> None:
    store = Store(tmp_path, "embedder")
    store.flush()
    for id_ in range(1, 40):
        said = Kept(b'{"answer": "%d-05-1120"}' % id_ * 300, f"said {id_}-06-1120 " * 300, bytes(8))
        store.insert(entry(id_, text=f"asked {id_}-07-1120"), VECTOR, said, f'{{"key": "{id_}-08-1120"}}')
    store.flush()
    assert b"-07-1120" in (tmp_path / f"{FILE}-wal").read_bytes()
    for id_ in range(2, 40):
        store.delete(id_)
    store.flush()
    assert not store.unwiped
    assert set(re.findall(rb"(\d+)-0[5678]-1120", bytes_of(tmp_path))) == {b"1"}
    assert store.answer(1) is not None
    store.close()


def test_what_expired_is_in_no_file_although_nobody_waited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    emptied = threading.Event()
    wipe = Store._wipe

    def heard(store: Store, connection: sqlite3.Connection) -> None:
        wipe(store, connection)
        if b"-07-1120" not in bytes_of(tmp_path):
            emptied.set()

    store = Store(tmp_path, "embedder")
    store.insert(entry(1, text="asked 1-07-1120"), VECTOR, KEPT, "{}")
    store.flush()
    monkeypatch.setattr(Store, "_wipe", heard)
    store.delete(1)
    assert emptied.wait(20)
    store.close()


def test_a_run_that_was_killed_leaves_nothing_that_it_deleted(tmp_path: Path) -> None:
    program = (
        "import os, sys; from pathlib import Path; from tests.unit.test_semantic_store import *\n"
        "store = Store(Path(sys.argv[1]), 'embedder')\n"
        "store.insert(entry(1, text='asked 1-07-1120'), VECTOR, KEPT, '{}'); store.flush()\n"
        "Store._wipe = lambda *_: None; store.delete(1); store.flush(); os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True)
    assert b"-07-1120" in bytes_of(tmp_path)
    store = Store(tmp_path, "embedder")
    store.flush()
    assert b"-07-1120" not in bytes_of(tmp_path)
    store.close()


def test_a_log_that_is_read_is_said_and_emptied_later(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = Store(tmp_path, "embedder")
    store.insert(entry(1, text="asked 1-07-1120"), VECTOR, KEPT, "{}")
    store.flush()
    with sqlite3.connect(tmp_path / FILE, isolation_level=None) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM entry").fetchone()
        store.delete(1)
        store.flush()
        assert store.unwiped
        assert "stays readable" in caplog.text
        reader.execute("COMMIT")
    reader.close()
    store.flush()
    assert not store.unwiped
    assert b"-07-1120" not in bytes_of(tmp_path)
    store.close()


def test_another_embedder_begins_with_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = Store(tmp_path, "one")
    store.insert(entry(1), VECTOR, KEPT, "{}")
    store.put("policy", b"learned")
    store.close()
    store = Store(tmp_path, "two")
    assert list(store.entries()) == []
    assert store.answer(1) is None
    assert store.value("policy") is None
    store.close()
    assert "another embedder than before: 1 entries are dropped" in caplog.text


@pytest.mark.parametrize("damage", ["garbage", "newer", "foreign"])
def test_a_file_that_cannot_be_used_is_set_aside(tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / FILE
    if damage == "garbage":
        path.write_bytes(b"no database at all" * 1_000)
    else:
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE other (id)")
            connection.execute(f"PRAGMA user_version = {99 if damage == 'newer' else 1}")
        connection.close()
    store = Store(tmp_path, "embedder")
    store.insert(entry(1), VECTOR, KEPT, "{}")
    store.close()
    (aside,) = tmp_path.glob(f"{FILE}.set-aside-*")
    if damage == "garbage":
        assert aside.read_bytes() == b"no database at all" * 1_000
    else:
        with sqlite3.connect(aside) as connection:
            assert connection.execute("SELECT count(*) FROM other").fetchone() == (0,)
        connection.close()
    assert str(aside) in caplog.text


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreUnusable, match="cannot be opened"):
        Store(tmp_path / "missing", "embedder")


def test_what_the_disk_does_not_take_is_counted_and_no_deletion_comes_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store(tmp_path, "embedder")
    store.insert(entry(1), VECTOR, KEPT, "{}")
    store.flush()
    with sqlite3.connect(tmp_path / FILE, timeout=30, isolation_level=None) as other:
        other.execute("CREATE TRIGGER full BEFORE INSERT ON answer BEGIN SELECT RAISE(ABORT, 'disk full'); END")
        other.execute("CREATE TRIGGER still BEFORE DELETE ON entry BEGIN SELECT RAISE(ABORT, 'disk full'); END")
    store.insert(entry(2), VECTOR, KEPT, "{}")
    store.flush()
    store.delete(1)
    store.flush()
    assert store.lost == 2
    assert store.answer(2) is None
    assert caplog.text.count("entries are not written: disk full") == 1
    other.execute("DROP TRIGGER full")
    other.execute("DROP TRIGGER still")
    other.close()
    store.insert(entry(3), VECTOR, KEPT, "{}")
    store.close()
    again = Store(tmp_path, "embedder")
    assert [each.id for each in again.entries()] == [3]
    again.close()


def test_entries_go_by_expiry_and_by_use() -> None:
    entries = Entries()
    for id_, expires in ((1, 100), (2, 50), (3, 200)):
        entries.add(entry(id_, expires=expires))
    first = entries.expired(60)
    assert first is not None
    assert first.id == 2
    entries.renew(first, 300)
    assert entries.expired(60) is None
    one = entries.get(1)
    assert one is not None
    entries.use(one, 7)
    assert (oldest := entries.oldest()) is not None
    assert oldest.id == 2
    entries.remove(2)
    later = entries.expired(10**6)
    assert later is not None
    assert later.id == 1
    assert entries.new_id() > 3
    assert len(entries) == 2
