"""Very many virtual keys and teams: created by the admin API, or written into the state store as the API would have."""

import hashlib
import http.client
import json
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from typing import Final, Literal

from fastgate.config.objects import encode_document, object_document
from fastgate.config.owners import Budget, Key, Team
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
BUDGET: Final = Budget(limit_usd=1000 * _USD, window="month")
Write = Callable[[sqlite3.Connection], None]


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


def fill(house: House, first: int, last: int, teams: int) -> None:
    """Write so many teams, and keys ``first`` to ``last`` (exclusive) of theirs; the next reload takes them up."""
    store = Store(house.state_dir / "state.db")
    try:
        for writes, begin, end in ((_teams, 0, teams), (partial(_keys, teams), first, last)):
            for start in range(begin, end, FILLED_AT_ONCE):
                store.write(writes(start, min(end, start + FILLED_AT_ONCE), store.sealer)).result(FILL_SECONDS)
    finally:
        store.close()


def _teams(first: int, last: int, sealer: Sealer) -> Write:
    def write(db: sqlite3.Connection) -> None:
        for number in range(first, last):
            team = Team(id=_team_of(number), customer="customer", budgets=(BUDGET,))
            stored = _stored("teams", team)
            objects.put(db, stored, derived(team, stored, (), sealer))

    return write


def _keys(teams: int, first: int, last: int, sealer: Sealer) -> Write:
    def write(db: sqlite3.Connection) -> None:
        for number in range(first, last):
            team = _team_of(number % teams)
            key = Key(id=_id_of(number), team=team, budgets=(BUDGET,), tags={"number": str(number)})
            stored = _stored("keys", key)
            digest = hashlib.sha256(secret_of(number).encode()).digest()
            objects.put(db, stored, derived(key, stored, [SecretRow(digest, stored.created_us, 0)], sealer))

    return write


def _stored(collection: Literal["teams", "keys"], thing: Team | Key) -> Stored:
    now = time.time_ns() // 1000
    return Stored(collection, thing.id, encode_document(object_document(thing)), 1, now, now)


def _team_of(number: int) -> str:
    return f"team-{number}"


def _id_of(number: int) -> str:
    return f"key-{number}"
