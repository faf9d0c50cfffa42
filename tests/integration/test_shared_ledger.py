"""From a host's own ledger into the one in PostgreSQL: each row once, whatever is killed, restored, copied or late."""

import multiprocessing
import os
import random
import shutil
import signal
import threading
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest

from fastgate.config.root import Config
from fastgate.config.scalars import Secret
from fastgate.config.settings import Postgres
from fastgate.control.shipping import Shipping
from fastgate.ledger import days, shipping
from fastgate.ledger.attributes import Filter
from fastgate.ledger.errors import LedgerUnavailable
from fastgate.ledger.shared import SharedRequests
from fastgate.ledger.shipping import Interfered
from fastgate.ledger.store import Ledger
from fastgate.postgres.errors import PostgresAway
from fastgate.postgres.place import Place
from tests.support.fault_proxy import FaultProxy
from tests.support.house import wait_for
from tests.support.ledger_rows import START_US, columns
from tests.support.postgres import PostgresServer
from tests.support.shared_ledger import Shipper, in_postgres, place

ROUNDS = int(os.environ.get("FASTGATE_CHAOS_ROUNDS", "4"))
ROWS = 4_000

context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(["numpy", "duckdb", "psycopg", "fastgate.ledger.shipping"])


@pytest.fixture
def database(postgres: PostgresServer) -> str:
    return postgres.fresh()


def ship_until_killed(path: Path, where: Place, batch: int, began: Any) -> None:
    shipping.BATCH_ROWS = batch
    with Shipper(path, where) as shipper:
        while True:
            try:
                shipper.shipment.send()
                began.set()
            except PostgresAway:
                time.sleep(0.01)


def test_each_row_arrives_once_whatever_is_killed(postgres: PostgresServer, database: str, tmp_path: Path) -> None:
    path, where, dice = tmp_path / "ledger.duckdb", place(postgres, database), random.Random(7)
    events = columns(ROWS, seed=3)
    with postgres.client("postgres") as client:
        client.execute(f"ALTER DATABASE {database} SET synchronous_commit TO off".encode())
    with Shipper(path, where) as shipper:
        shipper.book(events)
        shipper.shipment.drop_before(0)  # makes the tables
    moved, rows = 0, 0
    for number in range(ROUNDS):
        began = context.Event()
        process = context.Process(target=ship_until_killed, args=(path, where, dice.choice([7, 31, 97]), began))
        process.start()
        assert began.wait(30)
        time.sleep(dice.uniform(0, 0.1))  # a random point is what this is about
        if number % 4 == 3:
            postgres.kill()  # and what was committed last is lost
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        if number % 4 == 3:
            postgres.start()
        before, rows = rows, in_postgres(postgres, database)[0]
        moved += before < rows
    assert moved, "nothing was on its way"
    with Shipper(path, where) as shipper:
        shipper.ship()
        assert shipper.shipment.repeated == 0
    assert in_postgres(postgres, database) == (ROWS, ROWS, sum(events["cost_nano"]))


def test_a_ledger_that_was_restored_sends_all_again_and_nothing_twice(
    postgres: PostgresServer, database: str, tmp_path: Path
) -> None:
    path, where = tmp_path / "ledger.duckdb", place(postgres, database)
    parts = [columns(count, seed=seed, start=1000 * seed) for seed, count in enumerate((300, 200, 250))]
    with Shipper(path, where) as shipper:
        shipper.book(parts[0])
        shipper.ship()
    shutil.copy(path, tmp_path / "copy")
    with Shipper(path, where) as shipper:
        shipper.book(parts[1])
        assert shipper.ship() == 200
    shutil.copy(tmp_path / "copy", path)
    with Shipper(path, where) as shipper:
        shipper.book(parts[2])
        assert shipper.ship() == 550
        assert shipper.shipment.repeated == 300
    assert in_postgres(postgres, database) == (750, 750, sum(sum(part["cost_nano"]) for part in parts))


def test_a_database_that_was_restored_gets_what_it_lacks(
    postgres: PostgresServer, database: str, tmp_path: Path
) -> None:
    path, where = tmp_path / "ledger.duckdb", place(postgres, database)
    with Shipper(path, where) as shipper:
        shipper.book(columns(300, seed=1))
        shipper.ship()
    with postgres.client("postgres") as client:
        client.execute(f"CREATE DATABASE {database}_copy TEMPLATE {database}".encode())
    with Shipper(path, where) as shipper:
        shipper.book(columns(200, seed=2, start=300))
        shipper.ship()
    with Shipper(path, place(postgres, f"{database}_copy")) as shipper:
        assert shipper.ship() == 200
    assert in_postgres(postgres, f"{database}_copy") == in_postgres(postgres, database)


def test_hosts_of_one_name_lose_nothing_and_are_told(postgres: PostgresServer, database: str, tmp_path: Path) -> None:
    where = place(postgres, database)
    with Shipper(tmp_path / "one.duckdb", where) as one, Shipper(tmp_path / "two.duckdb", where) as two:
        one.book(columns(100, seed=1))
        two.book(columns(100, seed=2, start=100))
        one.ship()
        two.ship()
        assert in_postgres(postgres, database)[:2] == (200, 200)
        one.book(columns(10, seed=3, start=200))
        two.book(columns(10, seed=4, start=300))
        for shipper in (two, one):
            wait_for(lambda shipper=shipper: shipper.ship(), 10, "it has begun anew, once")
        two.shipment.look()
        with pytest.raises(Interfered, match="another host goes by the name a"):
            two.shipment.send()
    assert in_postgres(postgres, database)[:2] == (220, 220)


def test_days_are_made_for_late_rows_too_and_go_as_a_whole(
    postgres: PostgresServer, database: str, tmp_path: Path
) -> None:
    where = place(postgres, database)
    today = START_US // days.DAY_US
    with Shipper(tmp_path / "ledger.duckdb", where) as shipper:
        shipper.book(columns(50, seed=1))
        late = columns(20, seed=2, start=50)
        for position in range(20):
            late["started_us"][position] -= (position + 1) * days.DAY_US
        shipper.book(late)
        shipper.ship()
        with postgres.client(database) as client:
            client.execute("SET search_path TO fastgate")
            assert days.there(client) >= {*range(today - 20, today + 2)}
            with client.transaction():
                client.execute("SELECT count(*) FROM events")  # who reads keeps the day, for now
                assert shipper.shipment.drop_before(today - 4) == 0
        assert shipper.shipment.drop_before(today - 4) == 16
        assert in_postgres(postgres, database)[0] == 54
        again = columns(1, seed=9, start=90)
        again["started_us"][0] -= 12 * days.DAY_US
        shipper.book(again)
        assert shipper.ship() == 1
        with postgres.client(database) as client:  # somebody else drops it, while we take it to be there
            client.execute(f"DROP TABLE fastgate.{days.name_of(today - 12)}".encode())
        more = columns(1, seed=10, start=91)
        more["started_us"][0] -= 12 * days.DAY_US
        shipper.book(more)
        with pytest.raises(psycopg.errors.CheckViolation):
            shipper.ship()
        assert shipper.ship() == 1
    assert in_postgres(postgres, database)[0] == 55


def test_hosts_that_begin_at_once_share_days_and_origins(
    postgres: PostgresServer, database: str, tmp_path: Path
) -> None:
    where, begin, failures = place(postgres, database), threading.Barrier(4), []

    def ship(name: str, seed: int) -> None:
        try:
            with Shipper(tmp_path / name, where, name) as shipper:
                shipper.book(columns(400, seed=seed, start=400 * seed))
                begin.wait(20)
                shipper.ship()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=ship, args=(f"host{seed}", seed)) for seed in range(begin.parties)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert in_postgres(postgres, database)[:2] == (1600, 1600)
    with postgres.client(database) as client:
        places = client.execute("SELECT host, place FROM fastgate.shipped ORDER BY host").fetchall()
    assert places == [(f"host{seed}", 400) for seed in range(4)]


def test_a_database_of_another_encoding_is_refused(postgres: PostgresServer, database: str, tmp_path: Path) -> None:
    with postgres.client("postgres") as client:
        client.execute(f"CREATE DATABASE {database}_latin ENCODING 'LATIN1' TEMPLATE template0".encode())
    with Shipper(tmp_path / "ledger.duckdb", place(postgres, f"{database}_latin")) as shipper:
        shipper.book(columns(1))
        with pytest.raises(PostgresAway, match="is in LATIN1: it has to be in UTF8"):
            shipper.ship()


def test_questions_are_answered_again_once_it_is_back(postgres: PostgresServer, database: str, tmp_path: Path) -> None:
    where = place(postgres, database)
    with Shipper(tmp_path / "ledger.duckdb", where) as shipper:
        shipper.book(columns(5))
        shipper.ship()
        shared = SharedRequests(where)
        assert len(shared.page(Filter()).rows) == 5
        with postgres.away(), pytest.raises(LedgerUnavailable, match="cannot be asked"):
            shared.page(Filter())

        def rows() -> bool:
            try:
                return len(shared.page(Filter()).rows) == 5
            except LedgerUnavailable:
                return False

        wait_for(rows, 20, "it is asked again")
        shared.close()


def test_a_database_that_hangs_keeps_no_question_waiting_and_old_days_go(
    postgres: PostgresServer, database: str, tmp_path: Path
) -> None:
    ledger = Ledger(tmp_path / "ledger.duckdb")
    ledger.open()
    ledger.inserts.add(columns(30), {"a": 30})
    shippings = Shipping(ledger, tmp_path)
    with FaultProxy(postgres.port) as proxy:
        url = postgres.url(database).replace(str(postgres.port), str(proxy.port))
        shippings.follow(Config(postgres=Postgres(url=Secret(url), ledger_days=1)), tmp_path)
        wait_for(lambda: shippings.caught_up(10) == 0, 10, "all is sent")
        wait_for(lambda: in_postgres(postgres, database)[0] == 0, 10, "which was long ago")
        proxy.mode = "hole"

        def refused() -> bool:
            try:
                shippings.caught_up(0.5)
            except LedgerUnavailable as error:
                return "does not answer" in str(error)
            return False

        wait_for(refused, 5, "who asks is told so before long")
        proxy.mode = "cut"
        shippings.stop()
    ledger.close()
