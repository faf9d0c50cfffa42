"""The keeper and its children, with real processes that are as small as can be."""

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from fastgate.supervisor.child import Child, Command, describe_end
from fastgate.supervisor.errors import ChildFailed
from fastgate.supervisor.health import State
from fastgate.supervisor.keeper import LONGEST_PAUSE, LONGEST_TRY, Keeper, pause_before

READY = "import os; os.write(int(os.environ['FASTGATE_READY_FD']), b'ready\\n');"
SERVE = READY + "os.read(0, 1)"


def python(code: str, **environment: str) -> Command:
    return Command((sys.executable, "-S", "-c", code), environment)


def keeper(command: Command, **settings: object) -> Keeper:
    return Keeper("child", command, changed=lambda: None, **settings)  # type: ignore[arg-type]


async def until(condition: object, seconds: float = 10.0) -> None:
    """Waits for a state that only the operating system knows, by asking."""
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "the state was not reached in time"
        await asyncio.sleep(0.005)


async def test_a_child_says_that_it_is_ready_and_ends_when_its_input_ends() -> None:
    child = Child(python(SERVE))
    assert await asyncio.wait_for(child.ready, 10)
    assert child._process.stdin is not None
    child._process.stdin.close()
    await asyncio.wait_for(child.ended, 10)
    assert child.reap() == 0


async def test_a_child_is_not_reaped_before_its_remains_are_resolved() -> None:
    seen: list[str] = []
    alive: list[Keeper] = []

    def after_death() -> None:
        pid = alive[0].health.pid
        seen.append(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0])

    one = keeper(python(SERVE), after_death=after_death)
    alive.append(one)
    await one.start()
    await one.stop(5)
    assert seen == ["Z"]


async def test_a_child_that_speaks_and_dies_at_once_was_ready() -> None:
    child = Child(python(READY))
    await asyncio.wait_for(child.ended, 10)
    assert await child.ready
    assert child.reap() == 0


@pytest.mark.parametrize("code", ["import os; os.close(int(os.environ['FASTGATE_READY_FD'])); os.read(0, 1)", "pass"])
async def test_a_child_that_never_says_ready_is_not_ready(code: str) -> None:
    child = Child(python(code))
    assert await asyncio.wait_for(child.ready, 10) is False
    child.send(signal.SIGKILL)
    await asyncio.wait_for(child.ended, 10)
    child.reap()


async def test_children_do_not_hold_each_others_life_lines() -> None:
    first = Child(python(SERVE))
    second = Child(python(SERVE))
    assert await asyncio.gather(first.ready, second.ready) == [True, True]
    assert first._process.stdin is not None
    first._process.stdin.close()
    await asyncio.wait_for(first.ended, 10)
    assert not second.ended.done()
    second.send(signal.SIGTERM)
    await asyncio.wait_for(second.ended, 10)
    assert (first.reap(), second.reap()) == (0, -signal.SIGTERM)


async def test_a_run_leaves_no_descriptor_open() -> None:
    one = keeper(python(SERVE))
    before = len(os.listdir("/proc/self/fd"))
    await one.start()
    await one.stop(5)
    assert len(os.listdir("/proc/self/fd")) == before


async def test_a_killed_child_is_started_again_until_it_is_stopped() -> None:
    deaths = 0

    def after_death() -> None:
        nonlocal deaths
        deaths += 1

    one = keeper(python(SERVE), after_death=after_death)
    await one.start()
    for restart in range(1, 5):
        pid = one.health.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        await until(lambda pid=pid: one.health.state is State.READY and one.health.pid != pid)
        assert one.health.restarts == restart
        assert one.health.last_end == "signal SIGKILL"
    await one.stop(5)
    assert deaths == 5
    assert one.health.state is State.ENDED
    assert one.health.pid is None


async def test_a_first_start_that_exits_by_itself_is_a_failure_with_its_exit_code() -> None:
    with pytest.raises(ChildFailed, match="exit status 3") as caught:
        await keeper(python("raise SystemExit(3)")).start()
    assert caught.value.exit_code == 3


async def test_a_first_start_that_is_killed_is_tried_again(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    code = (
        f"import os; p = {str(mark)!r}\nif not os.path.exists(p): open(p, 'w').close(); os.kill(os.getpid(), 9)\n"
        + SERVE
    )
    one = keeper(python(code))
    await asyncio.wait_for(one.start(), 10)
    assert one.health.restarts == 1
    await one.stop(5)


async def test_a_later_start_that_fails_is_tried_again_for_ever(tmp_path: Path) -> None:
    count = tmp_path / "count"
    code = (
        f"import os; p = {str(count)!r}; n = os.path.getsize(p) if os.path.exists(p) else 0\n"
        "with open(p, 'a') as f: f.write('x')\n"
        "if 0 < n < 4: raise SystemExit(1)\n" + SERVE
    )
    one = keeper(python(code))
    await one.start()
    one.signal(signal.SIGKILL)
    await until(lambda: one.health.restarts == 4 and one.health.state is State.READY)
    await one.stop(5)


async def test_a_child_that_ignores_the_request_to_end_is_killed() -> None:
    one = keeper(python("import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);" + SERVE))
    await one.start()
    began = time.monotonic()
    await one.stop(0.2)
    assert 0.2 <= time.monotonic() - began < 5
    assert one.health.last_end == "signal SIGKILL"


async def test_a_child_that_hangs_before_it_is_ready_is_killed_and_started_again(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    code = f"import os; p = {str(mark)!r}\nif not os.path.exists(p): open(p, 'w').close(); os.read(0, 1)\n" + SERVE
    one = keeper(python(code), ready_seconds=0.5)
    await asyncio.wait_for(one.start(), 10)
    assert one.health.last_end == "signal SIGKILL"
    await one.stop(5)


async def test_what_fails_while_resolving_remains_is_told_and_does_not_end_the_service() -> None:
    def after_death() -> None:
        raise RuntimeError("no such slot")

    one = keeper(python(SERVE), after_death=after_death)
    await one.start()
    pid = one.health.pid
    one.signal(signal.SIGKILL)
    await until(lambda: one.health.state is State.READY and one.health.pid != pid)
    assert one.health.error == "recovery failed: no such slot"
    await one.stop(5)


async def test_one_that_nobody_needs_is_tried_again_and_says_why_it_does_not_serve(tmp_path: Path) -> None:
    fit = tmp_path / "fit"
    unfit = "os.write(int(os.environ['FASTGATE_READY_FD']), b'failed: no model\\n'); sys.exit(1)"
    one = keeper(python(f"import os, sys\nif not os.path.exists({str(fit)!r}): {unfit}\n{SERVE}"), needed=False)
    await asyncio.wait_for(one.start(), 10)
    assert one.health.error == "no model"
    assert one.health.last_end == "exit status 1"
    fit.touch()
    await until(lambda: one.health.state is State.READY)
    assert one.health.error is None
    await one.stop(5)


async def test_one_that_is_renewed_during_a_pause_begins_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fastgate.supervisor.keeper.pause_before", lambda *_: 60.0)
    fit = tmp_path / "fit"
    one = keeper(python(f"import os, sys\nif not os.path.exists({str(fit)!r}): sys.exit(1)\n{SERVE}"), needed=False)
    await one.start()
    await until(lambda: one.health.state is State.WAITING)
    fit.touch()
    assert await asyncio.wait_for(one.renew(20), 30)
    await one.stop(5)


async def test_stop_during_a_pause_does_not_wait_for_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastgate.supervisor.keeper.pause_before", lambda *_: 60.0)
    one = keeper(python(SERVE))
    await one.start()
    one.signal(signal.SIGKILL)
    await until(lambda: one.health.state is State.WAITING)
    await asyncio.wait_for(one.stop(60), 5)


def test_the_first_pause_is_none_and_all_are_short() -> None:
    pauses = [pause_before(deaths) for deaths in range(1, 5000)]
    assert pauses[0] == 0.0
    assert pauses == sorted(pauses)
    assert pauses[-1] == LONGEST_PAUSE
    assert pause_before(5000, LONGEST_TRY) == LONGEST_TRY


def test_ends_are_described_by_signal_or_status() -> None:
    assert describe_end(-9) == "signal SIGKILL"
    assert describe_end(3) == "exit status 3"
    assert describe_end(-63) == "signal 63"


async def test_what_a_starting_child_is_told_waits_until_it_serves(tmp_path: Path) -> None:
    told = tmp_path / "told"
    hear = f"import signal, time; signal.signal(signal.SIGHUP, lambda *_: open({str(told)!r}, 'w').close());"
    one = keeper(python("import time; time.sleep(0.1);" + hear + READY + "time.sleep(60)"))
    starting = asyncio.create_task(one.start())
    await until(lambda: one.health.pid)
    one.tell(signal.SIGHUP)
    await starting
    await until(told.exists)
    assert one.health.restarts == 0
    await one.stop(5)


async def test_a_renewed_child_is_back_without_a_pause() -> None:
    one = keeper(python(SERVE))
    await one.start()
    pids = {one.health.pid}
    for _ in range(4):
        assert await one.renew(10)
        pids.add(one.health.pid)
    assert len(pids) == 5
    await one.stop(5)
