"""Instructions of the compiled core's loops: exact, so that little is enough to be found, on however busy a machine."""

from pathlib import Path

import pytest

from benchmarks.callgrind import count, toolchain
from benchmarks.gates import Gates, gate, section
from benchmarks.planted import ROOT, planted

FIGURES = section("instructions")
PLANTED = """\
cdef volatile int planted = 0
while planted < 2000:
    planted += 1
"""
PLACES = [
    (f"fastgate/_core/{unit}.pyx", function)
    for unit, function in [
        ("walk", "walk"),
        ("body", "splice"),
        ("snapshot", "find"),
        ("slab", "store"),
        ("slab", "find"),
        ("slab", "_keyed"),
        ("canonical", "canonical"),
        ("price", "_cost"),
        ("price", "_bound"),
        ("terms", "_nano"),
        ("budget", "hold"),
        ("budget", "grow"),
        ("levels", "left"),
        ("journal", "log"),
        ("head", "status_line"),
        ("answer_head", "of"),
        ("answer_head", "behind"),
        ("connection", "start"),
    ]
]
"""Each loop goes through one of them."""

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(
        toolchain(ROOT) != FIGURES["of"],
        reason=f"instructions are those of {FIGURES['of']}, and the core was made by {toolchain(ROOT)}",
    ),
]


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    return count(ROOT, tmp_path_factory.mktemp("counted"))


def test_every_loop_is_gated(counted: dict[str, float]) -> None:
    assert set(counted) == set(FIGURES["seen"])


@pytest.mark.parametrize("name", FIGURES["seen"])
def test_instructions(gates: Gates, counted: dict[str, float], name: str) -> None:
    gates.hold("instructions", name, lambda: counted[name])


def test_every_gate_finds_a_planted_loop(tmp_path: Path) -> None:
    slow = count(planted(tmp_path, PLACES, PLANTED), tmp_path)
    for name in FIGURES["seen"]:
        gate("instructions", name).prove(slow[name])
