"""How the gates of ``make bench`` decide, and how instructions are counted, on what is known."""

from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import gates
from benchmarks.callgrind import NotCounted, core_instructions
from benchmarks.gates import Gate, Gates, TooMuch, gate, moved, section, written
from benchmarks.planted import with_planted
from benchmarks.turns import Turns, slowed

ROOT = Path("/tree")
FIGURES = """\
# Of what they are.
[ratios]
room = 1.5

[ratios.seen]
"body: scan, 1 KB" = 1.14
"price: cost" = 0.137

[instructions]
room = 1.04
of = "GCC 12"

[instructions.seen]
"body: scan, 1 KB" = 5329
"""


@pytest.fixture
def figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A ``gates.toml`` of this test's own."""
    path = tmp_path / "gates.toml"
    path.write_text(FIGURES)
    monkeypatch.setattr(gates, "FIGURES", path)
    return path


def finding(*found: float) -> Callable[[], float]:
    """Finds one after another."""
    left = iter(found)
    return lambda: next(left)


def test_a_gate_lets_its_room_pass_and_no_more() -> None:
    held = Gate("price: cost", 0.2, 1.5)
    held.hold(0.3)
    with pytest.raises(TooMuch, match=r"^price: cost: found 0\.301, which is 1\.50 times the 0\.2 of benchmarks/gates"):
        held.hold(0.301)


def test_a_gate_that_a_slowdown_passes_proves_nothing() -> None:
    held = Gate("price: cost", 0.2, 1.5)
    held.prove(0.301)
    with pytest.raises(AssertionError, match="too wide to prove anything"):
        held.prove(0.299)


def test_what_is_too_much_is_looked_for_again(figures: Path) -> None:
    run = Gates(moving=False)
    run.hold("ratios", "price: cost", finding(0.5, 0.4, 0.2), finding(0.9))
    assert run.lines() == ["  97%  ratios, price: cost: 0.2, at most 0.2055"]
    with pytest.raises(TooMuch, match=r"found 0\.4,"):
        run.hold("ratios", "price: cost", finding(0.5, 0.4, 0.6))
    with pytest.raises(AssertionError, match="too wide"):
        run.hold("ratios", "price: cost", finding(0.2), finding(0.2))


def test_what_has_no_figure_is_no_gate(figures: Path) -> None:
    with pytest.raises(KeyError, match=r"gates\.toml has no figure for 'price: bound' in \[ratios\.seen\]"):
        gate("ratios", "price: bound")


def test_gates_are_moved_to_what_was_found(figures: Path) -> None:
    run = Gates(moving=True)
    run.hold("instructions", "body: scan, 1 KB", finding(6001.4), finding())
    run.hold("ratios", "price: cost", finding(0.25))
    run.hold("ratios", "price: bound", finding(12.34))
    assert run.move() == ['[ratios.seen] "price: bound" = 12.3']
    expected = FIGURES.replace("= 5329", "= 6001").replace("= 0.137", "= 0.250")
    assert figures.read_text() == expected
    assert moved(expected, {}) == expected


@pytest.mark.parametrize(
    ("figure", "text"), [(0.04987, "0.0499"), (0.25, "0.250"), (1.166, "1.17"), (18.86, "18.9"), (63789.4, "63789")]
)
def test_a_figure_is_written_with_what_it_says(figure: float, text: str) -> None:
    assert written(figure) == text


def test_what_is_committed_can_be_read() -> None:
    for kind in ("ratios", "instructions", "nginx"):
        table = section(kind)
        assert 1 < table["room"] <= 1.5
        assert all(figure > 0 for figure in table["seen"].values())
    assert moved(gates.FIGURES.read_text(), {}) == gates.FIGURES.read_text()


def test_only_what_the_core_itself_executes_is_counted() -> None:
    lines = """\
        ob=(1) /usr/bin/python3.11
        fn=(1) call
        12 1000
        cob=(2) /tree/fastgate/_core/walk.so
        cfn=(2) walk
        calls=3 0
        12 5000
        ob=(2)
        fn=(2) walk
        0 7
        +1 20
        -1 300
        * 4000
        cob=(3) /lib/libc.so.6
        calls=1 0
        +3 9
        +1 50000
        ob=(4) /other/fastgate/_core/walk.so
        0 600000
        totals: 999999""".splitlines()
    assert core_instructions(map(str.strip, lines), ROOT) == 54327


def test_where_the_core_was_not_run_nothing_is_counted() -> None:
    with pytest.raises(NotCounted, match="nothing of /tree/fastgate/_core was run"):
        core_instructions(["ob=(1) /other/fastgate/_core/walk.so", "0 7"], ROOT)


def test_a_planted_slowdown_is_what_the_ratio_of_turns_shows() -> None:
    def work() -> None:
        sum(range(50_000))

    turns = Turns(work, work, before=None, counts=None, overall=False)
    assert 0.7 < turns.ratio(15) < 1.4
    assert 2.1 < Turns(slowed(work, 3), work, before=None, counts=None, overall=True).ratio(15) < 4.2


def test_rounds_that_do_not_count_are_taken_again() -> None:
    work = lambda: sum(range(1000))  # noqa: E731
    every_third = iter([False, False, True] * 9)
    assert Turns(work, work, before=None, counts=lambda: next(every_third), overall=False).ratio(9) > 0
    with pytest.raises(RuntimeError, match="only 0 of 40 rounds count"):
        Turns(work, work, before=None, counts=lambda: False, overall=False).ratio(2)


SOURCE = '''
cdef class Levels:
    cdef int ask(
        self, int64_t now_ns
    ) except -1:
        """Brings the windows
        up."""
        self.tick = 0

    def asked(self): return self.ask(0)

async def serve(call: Call) -> None:
    grant = call.ask()
'''


@pytest.mark.parametrize(
    ("function", "ahead_of", "margin"), [("ask", "self.tick = 0", 8), ("serve", "grant = call.ask()", 4)]
)
def test_what_is_planted_is_done_first(function: str, ahead_of: str, margin: int) -> None:
    space = " " * margin
    expected = SOURCE.replace(f"{space}{ahead_of}", f"{space}while i:\n{space}    i += 1\n{space}{ahead_of}")
    assert with_planted(SOURCE, function, "while i:\n    i += 1\n") == expected != SOURCE


@pytest.mark.parametrize(("source", "count"), [("x = ask()\n", 0), (SOURCE * 2, 2)])
def test_what_cannot_be_planted_is_told(source: str, count: int) -> None:
    with pytest.raises(ValueError, match=f"there are {count} functions 'ask'"):
        with_planted(source, "ask", "pass\n")
