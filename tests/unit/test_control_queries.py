"""Slow queries keep neither the event loop nor the writer waiting, and are bounded in number."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from fastgate.control import queries
from fastgate.control.access import Access, same
from fastgate.control.problems import Busy
from fastgate.control.queries import Queries
from fastgate.ledger.errors import LedgerUnavailable
from fastgate.ledger.store import Ledger
from tests.support.ledger_rows import columns


async def test_the_loop_and_the_writer_go_on_while_queries_run(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.duckdb")
    ledger.open()
    runner = Queries(ledger)
    release, running = threading.Event(), threading.Semaphore(0)

    def slow(cursor: Any) -> Any:
        found = cursor.execute("SELECT count(*) FROM events")
        running.release()
        assert release.wait(30)
        return found.fetchone()[0]

    waiting = [asyncio.create_task(runner.run(slow)) for _ in range(queries.THREADS)]
    for _ in waiting:
        await asyncio.to_thread(running.acquire)
    ledger.inserts.add(columns(100), {"a": 100})
    assert not any(task.done() for task in waiting)
    release.set()
    assert await asyncio.gather(*waiting) == [0] * queries.THREADS
    assert await runner.run(lambda cursor: cursor.execute("SELECT count(*) FROM events").fetchone()) == (100,)
    runner.close()
    ledger.close()


async def test_beyond_the_bound_queries_are_refused_and_later_served(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.duckdb")
    ledger.open()
    runner = Queries(ledger)
    release = threading.Event()
    waiting = [asyncio.create_task(runner.run(lambda _: release.wait(30))) for _ in range(queries.MOST_WAITING)]
    await asyncio.sleep(0)
    with pytest.raises(Busy):
        await runner.run(lambda _: None)
    release.set()
    assert all(await asyncio.gather(*waiting))
    assert await runner.run(lambda _: 1) == 1
    runner.close()
    ledger.close()
    with pytest.raises(LedgerUnavailable), ledger.cursor():
        pass


def test_without_room_for_the_link_the_token_still_signs_in(tmp_path: Path) -> None:
    access = Access(tmp_path / "missing", "token")
    assert access.open_link("") is None
    assert access.sign_in("") is None
    assert access.sign_in("token")


def test_sessions_are_bounded(tmp_path: Path) -> None:
    access = Access(tmp_path, "token")
    first = access.sign_in("token")
    for _ in range(64):
        access.sign_in("token")
    assert len(access._sessions) == 64
    assert first not in access._sessions


def test_an_empty_secret_equals_nothing() -> None:
    assert not same("", "")
    assert not same("é", "e")
    assert same("é", "é")
