"""What it takes to create a key, from its document to the disk and to the workers' log: the HTTP around it left out.

The reference writes the same documents as JSON into one table, all in one transaction: no check, digest, audit or log.
"""

import json
import sqlite3
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from benchmarks.turns import Compare
from fastgate._core.arena import Arena
from fastgate.control.configuration import Configuration
from fastgate.control.objects import Objects
from fastgate.control.publisher import Publisher
from fastgate.state.store import Store

BATCH = 100
ROUNDS = 11
CONFIGURATION = 'providers: {sim: {type: sim, base_url: "http://127.0.0.1:9"}}\nteams: [{id: t}]\n'


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Objects]:
    (tmp_path / "fastgate.yaml").write_text(CONFIGURATION)
    arena, store = Arena(str(tmp_path / "arena.bin"), True), Store(tmp_path / "state.db")
    publisher = Publisher(tmp_path, arena)
    configuration = Configuration(tmp_path / "fastgate.yaml", arena, store, publisher, kept=tmp_path / "kept")
    configuration.load()
    yield Objects(store, publisher, configuration, lambda *, compact: None)
    store.close()


def documents() -> Iterator[dict[str, Any]]:
    return (
        {"team": "t", "budgets": [{"limit_usd": "5", "window": "day"}], "tags": {"n": str(number)}}
        for number in count()
    )


def test_keys_are_created_fast(compare: Compare, made: Objects, tmp_path: Path) -> None:
    numbered, connection = documents(), sqlite3.connect(tmp_path / "reference.db")
    connection.execute("CREATE TABLE keys (document)")

    def create() -> None:
        for future in [made.create("keys", next(numbered), "admin") for _ in range(BATCH)]:
            future.result(30)

    def insert() -> None:
        with connection:
            rows = [(json.dumps(next(numbered)),) for _ in range(BATCH)]
            connection.executemany("INSERT INTO keys VALUES (?)", rows)

    compare("objects: keys created", create, insert, number=1, rounds=ROUNDS)
    connection.close()
