"""State of other versions: older state is brought up to date at the start, newer state is refused and left alone."""

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing

import duckdb
import pytest

from fastgate.ledger import schema as ledger
from fastgate.state import schema as state
from tests.integration.test_arena_lost import ask, overwrite
from tests.support.house import House, key

SETTINGS = {
    "customers": [{"id": "acme", "budgets": [{"limit_usd": "1000", "window": "month"}]}],
    "teams": [{"id": "platform", "customer": "acme"}],
    "keys": [key("ide", team="platform", budgets=[{"limit_usd": "9", "window": "week"}])],
}
BUDGETS = {"customer:acme/month/default", "key:ide/week/default"}
KEPT = ("arena.bin", "state.db", "ledger.duckdb")


def newer_state(house: House) -> tuple[int, int]:
    known = len(state.MIGRATIONS)
    with closing(sqlite3.connect(house.state_dir / "state.db")) as db:
        db.execute(f"PRAGMA user_version = {known + 1}")
    return known, known + 1


def newer_ledger(house: House) -> tuple[int, int]:
    known = len(ledger.MIGRATIONS)
    with duckdb.connect(str(house.state_dir / "ledger.duckdb")) as db:
        db.execute("INSERT INTO migrations VALUES (?, now()::TIMESTAMP)", [known + 1])
    return known, known + 1


def newer_arena(house: House) -> tuple[int, int]:
    known = (house.arena_dir / "arena.bin").read_bytes()[8]
    overwrite(house.arena_dir / "arena.bin", 8, bytes([known + 1]))
    return known, known + 1


def files(house: House) -> dict[str, bytes]:
    found = [*house.state_dir.iterdir(), *house.arena_dir.iterdir()]
    return {path.name: path.read_bytes() for path in found if path.name in KEPT}


def serve(house: House) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "fastgate.cli.main", "serve", "--config", str(house.config)]
    command += ["--port", str(house.port), "--admin-port", str(house.admin_port), "--workers", "1"]
    command += ["--state-dir", str(house.state_dir)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, cwd=house.folder)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A gateway that has served and was stopped; what its files held then lies beside them."""
    with House(tmp_path_factory.mktemp("house"), SETTINGS, workers=1, simulator={}) as house:
        assert ask(house, "ide").status_code == 200
        house.settled()
        house.stop()
        for folder in (house.state_dir, house.arena_dir):
            shutil.copytree(folder, house.folder / f"{folder.name}.kept")
        yield house


@pytest.fixture
def house(stopped: House) -> House:
    for folder in (stopped.state_dir, stopped.arena_dir):
        shutil.rmtree(folder)
        shutil.copytree(stopped.folder / f"{folder.name}.kept", folder)
    return stopped


@pytest.mark.parametrize("make_newer", [newer_state, newer_ledger, newer_arena])
def test_newer_state_is_refused_and_left_alone(house: House, make_newer: Callable[[House], tuple[int, int]]) -> None:
    known, found = make_newer(house)
    before = files(house)
    assert set(before) == set(KEPT)
    served = serve(house)
    assert served.returncode == 1
    assert f"{found}, this " in served.stderr
    assert f"knows {known}:" in served.stderr
    assert "Traceback" not in served.stderr
    after = files(house)
    assert after["state.db"] == before["state.db"]
    assert after["ledger.duckdb"] == before["ledger.duckdb"]
    if make_newer is newer_arena:
        assert after == before


@pytest.mark.parametrize("version", range(len(state.MIGRATIONS)))
def test_an_older_store_of_objects_is_brought_up_to_date(house: House, version: int) -> None:
    path = house.state_dir / "state.db"
    path.unlink()
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for step in state.MIGRATIONS[:version]:
            db.executescript(step)
        db.execute(f"PRAGMA user_version = {version}")
    house.start()
    assert ask(house, "ide").status_code == 200
    house.stop()
    with closing(sqlite3.connect(path)) as db:
        assert state.version_of(db) == len(state.MIGRATIONS)


@pytest.mark.parametrize("version", range(len(ledger.MIGRATIONS)))
def test_an_older_ledger_is_brought_up_to_date(house: House, version: int) -> None:
    path = house.state_dir / "ledger.duckdb"
    path.unlink()
    with duckdb.connect(str(path)) as db:
        db.execute("CREATE TABLE migrations (version INTEGER PRIMARY KEY, applied_at TIMESTAMP NOT NULL)")
        for number, statements in enumerate(ledger.MIGRATIONS[:version], 1):
            for statement in statements:
                db.execute(statement)
            db.execute("INSERT INTO migrations VALUES (?, now()::TIMESTAMP)", [number])
    house.start()
    assert ask(house, "ide").status_code == 200
    house.settled()
    assert house.admin("spend")["total"]["requests"] == 1
    house.stop()


def test_an_older_arena_is_replaced_and_its_counters_come_from_the_ledger(house: House) -> None:
    overwrite(house.arena_dir / "arena.bin", 8, b"\0")
    overwrite(house.arena_dir / "snapshot.bin", 8, b"\1")  # compiled by an earlier version, too
    house.start()
    spent = {budget["id"]: budget["spent_usd"] for budget in house.admin("budgets")["items"]}
    total = house.admin("spend")["total"]
    house.stop()
    assert spent == dict.fromkeys(BUDGETS, total["cost_usd"])
    assert total["requests"] == 1
