"""The gates of a run, and what is printed of them at its end."""

from typing import Final

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.gates import Gates
from benchmarks.turns import Compare

_GATES: Final = pytest.StashKey[Gates]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--move-gates", action="store_true", help="write what is found into benchmarks/gates.toml")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_GATES] = Gates(config.option.move_gates)


@pytest.fixture
def gates(pytestconfig: pytest.Config) -> Gates:
    return pytestconfig.stash[_GATES]


@pytest.fixture
def compare(benchmark: BenchmarkFixture, gates: Gates) -> Compare:
    return Compare(benchmark, gates)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    found = config.stash[_GATES]
    if found.noted:
        terminalreporter.section("gates: what was found, and which share that is of what may pass")
    for line in found.lines():
        terminalreporter.write_line(line)
    if found.moving:
        for line in found.move():
            terminalreporter.write_line(f"to be added to benchmarks/gates.toml: {line}")
