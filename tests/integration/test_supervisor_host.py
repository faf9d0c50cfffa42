"""A whole supervisor as a process, with stand-in children: deaths, signals, the end."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).with_name("host_script.py")


class HostProcess:
    def __init__(self, state_dir: Path, workers: int = 2, drain_seconds: float = 5.0, port: int = 0) -> None:
        self.state_dir = state_dir
        self.process = subprocess.Popen(
            [sys.executable, str(SCRIPT), str(state_dir), str(workers), str(drain_seconds), str(port)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())

    def health(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads((self.state_dir / "supervisor.json").read_text())
        return document

    def child(self, name: str) -> dict[str, Any]:
        return next(child for child in self.health()["children"] if child["name"] == name)

    def ask(self) -> str:
        with socket.create_connection(("127.0.0.1", self.port), 5) as connection:
            return connection.recv(64).decode()


@contextmanager
def host(state_dir: Path, **settings: Any) -> Iterator[HostProcess]:
    one = HostProcess(state_dir, **settings)
    try:
        yield one
    finally:
        one.process.kill()
        one.process.communicate()


def until(condition: Callable[[], bool], seconds: float = 10.0) -> float:
    """Asks again and again for a state of other processes; returns how long it took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, "the state was not reached in time"
        time.sleep(0.005)
    return time.monotonic() - began


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):  # reaped before it was opened, or between opening and reading
        return True


@pytest.mark.alone
@pytest.mark.parametrize("name", ["worker 0", "worker 1", "control", "files"])
def test_a_killed_child_is_back_within_three_seconds_and_the_others_do_not_notice(tmp_path: Path, name: str) -> None:
    with host(tmp_path / "state") as one:
        before = {child["name"]: child["pid"] for child in one.health()["children"]}
        os.kill(before[name], signal.SIGKILL)
        took = until(lambda: one.child(name)["state"] == "ready" and one.child(name)["pid"] != before[name])
        after = {child["name"]: child["pid"] for child in one.health()["children"]}
        assert took < 3
        assert {child for child, pid in after.items() if pid != before[child]} == {name}
        assert one.child(name)["restarts"] == 1


def test_connections_are_not_refused_while_the_only_worker_restarts(tmp_path: Path) -> None:
    with host(tmp_path / "state", workers=1) as one:
        for _ in range(5):
            pid = one.child("worker 0")["pid"]
            os.kill(pid, signal.SIGKILL)
            until(lambda pid=pid: gone(pid))
            assert one.ask().startswith("0 ")


def test_children_end_with_a_killed_supervisor_and_the_next_one_can_start(tmp_path: Path) -> None:
    with host(tmp_path / "state") as one:
        pids = [child["pid"] for child in one.health()["children"]]
        one.process.kill()
        one.process.wait()
        assert until(lambda: all(gone(pid) for pid in pids)) < 3
    with host(tmp_path / "state") as one:
        assert one.ask()


def test_a_killed_supervisor_can_be_followed_at_once_though_its_children_take_a_moment_to_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LINGER", "0.7")
    with host(tmp_path / "state") as one:
        pids = [child["pid"] for child in one.health()["children"]]
        one.process.kill()
        one.process.wait()
        with host(tmp_path / "state", port=one.port) as next_one:
            assert all(gone(pid) for pid in pids)
            assert next_one.ask()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_request_to_end_ends_all_in_order_with_zero(tmp_path: Path, number: signal.Signals) -> None:
    with host(tmp_path / "state") as one:
        pids = [child["pid"] for child in one.health()["children"]]
        one.process.send_signal(number)
        assert one.process.wait(10) == 0
        assert all(gone(pid) for pid in pids)
        assert one.health()["phase"] == "stopped"
        assert (one.state_dir / "signals").read_text() == "SIGTERM\n"
        with pytest.raises(ConnectionRefusedError):
            one.ask()


def test_hangup_reaches_control_alone(tmp_path: Path) -> None:
    with host(tmp_path / "state") as one:
        before = one.health()["children"]
        one.process.send_signal(signal.SIGHUP)
        signals = one.state_dir / "signals"
        until(lambda: signals.exists() and signals.read_text() == "SIGHUP\n")
        assert one.health()["children"] == before
        assert one.ask()


def test_a_stopped_worker_is_killed_when_the_drain_bound_has_passed(tmp_path: Path) -> None:
    with host(tmp_path / "state", drain_seconds=0.2) as one:
        os.kill(one.child("worker 0")["pid"], signal.SIGSTOP)
        one.process.send_signal(signal.SIGTERM)
        assert one.process.wait(10) == 0
        assert one.child("worker 0")["last_end"] == "signal SIGKILL"
        assert one.child("worker 1")["last_end"] == "exit status 0"


def test_a_second_request_to_end_does_not_wait(tmp_path: Path) -> None:
    with host(tmp_path / "state", drain_seconds=60) as one:
        os.kill(one.child("worker 0")["pid"], signal.SIGSTOP)
        one.process.send_signal(signal.SIGTERM)
        until(lambda: one.health()["phase"] == "draining")
        one.process.send_signal(signal.SIGTERM)
        assert one.process.wait(5) == 0


def test_many_deaths_in_a_row_are_survived(tmp_path: Path) -> None:
    with host(tmp_path / "state") as one:
        for round_ in range(12):
            name = ("worker 0", "worker 1", "control")[round_ % 3]
            pid = one.child(name)["pid"]
            os.kill(pid, signal.SIGKILL)
            assert until(lambda n=name, p=pid: one.child(n)["state"] == "ready" and one.child(n)["pid"] != p) < 3
        assert one.ask()


def test_the_admin_token_is_kept_private(tmp_path: Path) -> None:
    with host(tmp_path / "state") as one:
        token = one.state_dir / "admin-token"
        assert token.stat().st_mode & 0o777 == 0o600
        assert len(token.read_text().strip()) == 43


def test_every_child_is_renewed_and_no_connection_is_refused(tmp_path: Path) -> None:
    with host(tmp_path / "state") as one:
        names = ("control", "worker 0", "worker 1")
        before = {name: one.child(name)["pid"] for name in names}
        one.process.send_signal(signal.SIGUSR2)

        def renewed() -> bool:
            assert one.ask()
            found = [one.child(name) for name in names]
            return all(child["state"] == "ready" and child["pid"] != before[child["name"]] for child in found)

        until(renewed)
        until(lambda: all(map(gone, before.values())))
        until(lambda: len(one.health()["children"]) == 4)  # those that left are no longer told of


def test_a_next_worker_that_does_not_start_leaves_the_one_before_in_place(tmp_path: Path) -> None:
    with host(tmp_path / "state") as one:
        workers = [one.child(f"worker {index}")["pid"] for index in range(2)]
        control = one.child("control")["pid"]
        (tmp_path / "state" / "broken").touch()
        one.process.send_signal(signal.SIGUSR2)
        assert one.process.stderr is not None
        said = next(line for line in one.process.stderr if "not renewed further" in line)
        assert "worker 0 failed to start (exit status 3)" in said
        assert [one.child(f"worker {index}")["pid"] for index in range(2)] == workers
        assert one.child("control")["pid"] != control
        assert one.ask()
