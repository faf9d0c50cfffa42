"""Mapped files: what is read of them, and that they go."""

import os
from pathlib import Path

import pytest

from fastgate._core.mapping import Mapping
from tests.support.control_host import until


def mapped(path: Path) -> bool:
    return str(path) in Path("/proc/self/maps").read_text()


def threads() -> int:
    return len(os.listdir("/proc/self/task"))


def mapping_of(path: Path) -> Mapping:
    with path.open("rb") as file:
        return Mapping(file.fileno(), path.stat().st_size)


@pytest.mark.parametrize("size", [1, 4096, 5 << 20])
def test_a_file_is_read_where_it_lies_and_let_go_with_its_last_reader(tmp_path: Path, size: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(os.urandom(size))
    mapping = mapping_of(path)
    view = memoryview(mapping)
    assert (mapping.size, view.readonly, bytes(view)) == (size, True, path.read_bytes())
    del mapping
    assert bytes(view[-1:]) == path.read_bytes()[-1:]  # who reads keeps it
    assert mapped(path)
    del view
    until(lambda: not mapped(path))


def test_large_ones_are_let_go_by_threads_that_end(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(2 << 20))
    before = threads()
    for _ in range(2000):  # more than there may be threads, if one stayed
        mapping_of(path)
    until(lambda: not mapped(path))
    until(lambda: threads() <= before)


@pytest.mark.parametrize("size", [0, -1, 1 << 62])
def test_what_cannot_be_mapped_says_so(tmp_path: Path, size: int) -> None:
    (tmp_path / "file").write_bytes(b"x")
    with (tmp_path / "file").open("rb") as file, pytest.raises(OSError, match=r"Invalid argument|Cannot allocate"):
        Mapping(file.fileno(), size)
