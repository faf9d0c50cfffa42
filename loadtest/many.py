"""Very many virtual keys: created by the admin API, or written into the state store as the API would have."""

import hashlib
import http.client
import json
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Final

from fastgate.config.objects import encode_document, object_document
from fastgate.config.owners import Budget, Key
from fastgate.control.collections import derived
from fastgate.state import objects
from fastgate.state.objects import SecretRow, Stored
from fastgate.state.store import Store
from fastgate.wire.sealing import Sealer
from loadtest.errors import RigError
from loadtest.house import House

FILLED_AT_ONCE: Final = 20_000
FILL_SECONDS: Final = 300.0
_USD: Final = 10**9
"""In nano-USD."""


def secret_of(number: int) -> str:
    """The secret of key number so and so: who makes requests has to know it."""
    return f"sk-fg-{number:043d}"


def create(house: House, first: int, last: int, connections: int) -> float:
    """Create keys ``first`` to ``last`` (exclusive) by the API; how many a second. Raises RigError where one fails."""
    numbers = iter(range(first, last))  # next() on it is atomic: each number is somebody's, once

    def client() -> None:
        with closing(http.client.HTTPConnection("127.0.0.1", house.admin_port, timeout=60)) as connection:
            for number in numbers:
                _create_one(connection, house.token, number)

    began = time.monotonic()
    with ThreadPoolExecutor(connections) as pool:
        for done in [pool.submit(client) for _ in range(connections)]:
            done.result()
    return (last - first) / (time.monotonic() - began)


def _create_one(connection: http.client.HTTPConnection, token: str, number: int) -> None:
    document = {
        "id": _id_of(number),
        "team": "team",
        "secret": secret_of(number),
        "budgets": [{"limit_usd": "1000", "window": "month"}],
        "tags": {"number": str(number)},
    }
    headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    connection.request("POST", "/api/v1/keys", json.dumps(document), headers)
    answer = connection.getresponse()
    text = answer.read()
    if answer.status != 201:
        raise RigError(f"a key could not be created: {answer.status} {text[:500]!r}")


def fill(house: House, first: int, last: int) -> None:
    """Write keys ``first`` to ``last`` (exclusive) into the store; the next reload takes them up."""
    store = Store(house.state_dir / "state.db")
    try:
        for start in range(first, last, FILLED_AT_ONCE):
            store.write(_written(start, min(last, start + FILLED_AT_ONCE), store.sealer)).result(FILL_SECONDS)
    finally:
        store.close()


def _written(first: int, last: int, sealer: Sealer) -> Callable[[sqlite3.Connection], None]:
    def write(db: sqlite3.Connection) -> None:
        now = time.time_ns() // 1000
        for number in range(first, last):
            budget = Budget(limit_usd=1000 * _USD, window="month")
            key = Key(id=_id_of(number), team="team", budgets=(budget,), tags={"number": str(number)})
            digest = hashlib.sha256(secret_of(number).encode()).digest()
            stored = Stored("keys", key.id, encode_document(object_document(key)), 1, now, now)
            objects.put(db, stored, derived(key, stored, [SecretRow(digest, now, 0)], sealer))

    return write


def _id_of(number: int) -> str:
    return f"key-{number}"
