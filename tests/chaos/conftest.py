"""What the tests of kills share."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def folder() -> Iterator[Path]:
    """In memory: thousands of files are written."""
    path = Path(tempfile.mkdtemp(prefix="fastgate-chaos-", dir="/dev/shm"))
    (path / "live").mkdir()
    yield path
    shutil.rmtree(path)
