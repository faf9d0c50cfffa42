"""What is done to a gateway in duress is really done, and what comes of it is compared within a round."""

import subprocess
import sys
from pathlib import Path

import pytest

from loadtest.duress import DURESS, QUIET, Found, Run
from loadtest.openloop import Times
from loadtest.slow_disk import SlowDisk

SYNC = """
import os, sys, time
def seconds(what):
    began = time.monotonic()
    what()
    return time.monotonic() - began
fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
print(*(seconds(what) for what in (
    lambda: os.fdatasync(fd), lambda: os.posix_fallocate(fd, 0, 4096), lambda: os.pwrite(fd, b"x", 0),
    lambda: os.rename(sys.argv[1], sys.argv[1] + ".new"),
)))
"""


def test_every_call_takes_as_long_as_it_is_told_to(tmp_path: Path) -> None:
    disk = SlowDisk(tmp_path)
    command = [sys.executable, "-c", SYNC, str(tmp_path / "file")]
    with disk.slow(60):
        said = subprocess.run(command, env=dict(disk.variables), capture_output=True, text=True, check=True).stdout
    assert min(map(float, said.split())) >= 0.06


@pytest.mark.parametrize(("worst", "met"), [(19_000.0, True), (21_000.0, False)])
def test_duress_is_compared_with_the_quiet_beside_it(worst: float, met: bool) -> None:
    def run(name: str, number: int, p999: float) -> Run:
        return Run(name, number, Times(1, 1, 1, 1, 1, p999, 1), Times(1, 1, 1, 1, 1, 1, 1), 1, 1)

    found = Found()
    for number, slower in enumerate((1, 9, 2)):  # what disturbs a round disturbs all of it
        found.runs += [run(QUIET, number, 10_000.0 * slower), run(DURESS, number, worst * slower)]
    assert [bound.met for bound in found.bounds()] == [met]
