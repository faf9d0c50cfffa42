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
