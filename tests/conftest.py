"""What all tests share: nothing of theirs outlives them."""

import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastgate.supervisor.folders import SHARED_MEMORY
from tests.support.postgres import PostgresServer

_ALONE = ("tests/chaos/", "tests/e2e/", "tests/integration/test_loadtest_")
_NOT_ALONE = (
    "tests/chaos/test_arena_kills.py",
    "tests/chaos/test_interleavings.py",
    "tests/chaos/test_no_space_kills.py",
)
"""They kill where a store is, not when."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What kills on the clock, drives whole clients or measures has the machine for itself (``.ci/tests``)."""
    for item in items:
        path = item.path.relative_to(config.rootpath).as_posix()
        if path.startswith(_ALONE) and path not in _NOT_ALONE:
            item.add_marker(pytest.mark.alone)


@pytest.fixture(scope="session", autouse=True)
def no_arena_is_left_in_shared_memory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A gateway's arena stays when it stops, as it must; those of state folders under pytest's own go at the end."""
    yield
    names = set()
    for folder, children, _ in os.walk(tmp_path_factory.getbasetemp()):
        names.update(hashlib.sha1(os.fsencode(Path(folder, child).resolve())).hexdigest()[:12] for child in children)
    for arena in SHARED_MEMORY.glob("fastgate-*"):
        if arena.name.removeprefix("fastgate-") in names:
            shutil.rmtree(arena, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One server for all that need one; whoever stops it starts it again."""
    with PostgresServer() as server:
        yield server
