"""A kill between any two stores while the journal has no space: what is owed is journaled once there is some."""

import mmap
import resource
import signal
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path

from fastgate._core.owed import pay
from tests.chaos.arena_images import CELLS, SMALL_SEGMENT, Images, Outcome, Place, Step, live_on, perform, resolved
from tests.chaos.stores import traced

STEPS = (
    *(Step(f"row {number}", 100, 70 + number) for number in range(8)),
    Step("above", 100, 130),
    Step("later", 9, 8),
)
"""More than the smallest segment takes, so that the last ones are owed and become one sum."""
ACTUAL = [0, *accumulate(step.actual or 0 for step in STEPS)]


def limit_files(size: int) -> None:
    """No file may grow beyond ``size`` from now on: as on a full disk."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGXFSZ})  # the tracer would see it
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))


def check(outcome: Outcome) -> None:
    """Nothing is journaled twice, and the journal has what the counters have; a row may stand for several requests."""
    names = [name for name, _, _ in outcome.events]
    assert len(names) == len(set(names))
    assert outcome.cells == ((sum(cost for _, cost, _ in outcome.events), 0),) * len(CELLS)


def test_killed_after_any_store_without_space(folder: Path) -> None:
    marks = mmap.mmap(-1, 4096)

    def live(begin: Callable[[], None]) -> None:
        place = Place(folder / "live", SMALL_SEGMENT)
        place.settle(b"history.........", 100, 11)  # the records' chunk is there
        limit_files(4096)
        begin()
        perform(place, STEPS, marks)
        assert place.owner.owes == 1, "the rest is one sum"
        limit_files(resource.RLIM_INFINITY)
        place.journal.prepare()
        assert pay(place.owner, place.journal) == 1
        marks[2] = 1

    images = Images(folder / "live", folder / "image")
    process = traced(folder / "live", live)
    sums = 0
    for image in images.changed(process.stops()):
        begun, ended, paid = marks[0], marks[1], marks[2]
        outcome = resolved(image)
        check(outcome)
        total = outcome.cells[0][0] - 11
        unsettled = STEPS[begun - 1].amount if begun else 0
        assert total in {ACTUAL[ended], ACTUAL[begun], ACTUAL[ended] + unsettled}
        sums += len(outcome.events) < ended
        assert not paid or len(outcome.events) < len(STEPS)
        live_on(image)
    assert images.taken > 300, "too few stores were seen: is the tracer blind?"
    assert sums > 20, "nothing was ever summed"
