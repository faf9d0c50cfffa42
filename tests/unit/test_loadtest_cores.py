"""What the rig reads of processes."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from loadtest.cores import come_first, cpu_seconds, give_way, rests
from loadtest.errors import RigError
from loadtest.programs import until


def test_the_time_of_a_process_is_what_the_process_itself_reads() -> None:
    before = time.process_time()
    read = cpu_seconds(os.getpid())
    assert before <= read <= time.process_time()


def test_the_time_of_another_process_is_finer_than_a_tick() -> None:
    child = [sys.executable, "-c", "print(flush=True); input()"]
    with subprocess.Popen(child, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        used = cpu_seconds(process.pid)
        process.communicate(b"\n")
    assert used * 100 % 1
    with pytest.raises(RigError, match="has ended"):
        cpu_seconds(process.pid)


def test_who_gives_way_has_what_nobody_else_wants() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        give_way(process.pid)
        assert os.sched_getscheduler(process.pid) == os.SCHED_IDLE
        process.communicate(b"\n")


def may_schedule() -> bool:
    """Whether this process has CAP_SYS_NICE, which root is without in many containers."""
    [held] = [line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if line[:7] == "CapEff:"]
    return bool(int(held, 16) >> 23 & 1)


def test_who_comes_first_does_so_where_that_may_be_asked_for() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        before = os.sched_getscheduler(process.pid)
        came = come_first(process.pid)
        after = os.sched_getscheduler(process.pid)
        process.communicate(b"\n")
    assert after == (os.SCHED_RR | os.SCHED_RESET_ON_FORK if came else before)
    assert came == may_schedule()


@pytest.mark.parametrize(("code", "rest"), [("input()", True), ("while True: pass", False)])
def test_a_process_rests_where_it_wants_no_core(code: str, rest: bool) -> None:
    child = ["chrt", "--idle", "0", sys.executable, "-c", f"print(flush=True)\n{code}"]
    with subprocess.Popen(child, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        until(lambda: rests([process.pid]) == rest, "it rests, or not")
        process.kill()
