"""The gates of a run, and what is printed of them at its end."""

import ctypes
from typing import Final

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.gates import Gates
from benchmarks.turns import Compare

_GATES: Final = pytest.StashKey[Gates]()
_M_TRIM_THRESHOLD: Final = -1  # of mallopt(3), as are these
_M_MMAP_THRESHOLD: Final = -3
_LARGEST_BLOCK: Final = 32 << 20


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--move-gates", action="store_true", help="write what is found into benchmarks/gates.toml")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_GATES] = Gates(config.option.move_gates)
    keep_pages()


def keep_pages() -> None:
    """Let malloc keep every page that it has: a large block costs the same whatever was freed before it.

    By itself glibc moves its thresholds with what is freed, so that one of two sides of a ratio may fault its pages in
    anew at each call and the other may not: a copy of 200 KB was found to cost between 0.07 and 0.47 of its reference.
    """
    libc = ctypes.CDLL(None)
    if not (libc.mallopt(_M_MMAP_THRESHOLD, _LARGEST_BLOCK) and libc.mallopt(_M_TRIM_THRESHOLD, 8 * _LARGEST_BLOCK)):
        raise RuntimeError("malloc does not take its thresholds: this is not glibc, and no ratio can be trusted")


@pytest.fixture
def gates(pytestconfig: pytest.Config) -> Gates:
    return pytestconfig.stash[_GATES]


@pytest.fixture
def compare(benchmark: BenchmarkFixture, gates: Gates) -> Compare:
    return Compare(benchmark, gates)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """A run of all benchmarks fails where a committed figure was held against nothing: its benchmark is gone."""
    config, found = session.config, session.config.stash[_GATES]
    option = config.option
    whole = config.args == ["benchmarks"] and not (option.keyword or option.markexpr or option.collectonly)
    if whole and exitstatus == pytest.ExitCode.OK and not found.moving:
        found.idle = found.unused("ratios") + found.unused("nginx")
        if found.idle:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    found = config.stash[_GATES]
    if found.noted:
        terminalreporter.section("gates: what was found, and which share that is of what may pass")
    for line in found.lines():
        terminalreporter.write_line(line)
    for name in found.idle:
        terminalreporter.write_line(f"benchmarks/gates.toml has a figure that nothing measures: {name}", red=True)
    if found.moving:
        for line in found.move():
            terminalreporter.write_line(f"to be added to benchmarks/gates.toml: {line}")
