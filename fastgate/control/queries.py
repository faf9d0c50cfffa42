"""Work in threads of its own, bounded in number and time; the event loop never waits for it, nor for DuckDB."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

import duckdb

from fastgate.control.problems import Busy
from fastgate.ledger.store import Ledger
from fastgate.ledger.stores import OwnRequests, RequestStore

THREADS: Final = 2
MOST_WAITING: Final = 96

T = TypeVar("T")


class Threads:
    """A few of them, for what is asked for by their ``name``; of the event loop that calls ``run``."""

    def __init__(self, name: str) -> None:
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix=name)
        self._open = 0

    async def run(self, work: Callable[[], T]) -> T:
        """What ``work`` returns. Raises Busy where too many wait, and what the work raises."""
        if self._open >= MOST_WAITING:
            raise Busy(f"{self._open} queries are open already: try again in a moment")
        self._open += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._open -= 1

    def close(self) -> None:
        """Waits for no one."""
        self._pool.shutdown(wait=False, cancel_futures=True)


class Queries:
    """Runs functions that take a cursor of this host's own ledger, or it as a store of requests."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._own = OwnRequests(ledger)
        self._threads = Threads("query")

    async def run(self, query: Callable[[duckdb.DuckDBPyConnection], T]) -> T:
        """What ``query`` returns. Raises Busy where too many wait, and what the ledger raises."""
        return await self._threads.run(lambda: self._with_cursor(query))

    async def ask(self, question: Callable[[RequestStore], T]) -> T:
        """What this host's own ledger says. Raises likewise."""
        return await self._threads.run(lambda: question(self._own))

    def close(self) -> None:
        """Waits for no one."""
        self._threads.close()

    def _with_cursor(self, query: Callable[[duckdb.DuckDBPyConnection], T]) -> T:
        with self._ledger.cursor() as cursor:
            return query(cursor)
