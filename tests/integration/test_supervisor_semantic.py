"""The semantic process as a child of the supervisor: only where it is wanted, back when it dies, gone at the end."""

import asyncio
import json
import os
import signal
from pathlib import Path

import pytest

from fastgate.cache.semantic import SemanticClient
from fastgate.wire.semantic import SOCKET, Ping, Pong
from tests.integration.test_supervisor_host import HostProcess, gone, host, until
from tests.support.semantic import PREPARED

WANTED = {"embedder": {"type": "onnx", "model": str(PREPARED)}}


@pytest.fixture
def wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEMANTIC", json.dumps(WANTED))


def answers(one: HostProcess) -> bool:
    async def ask() -> bool:
        client = SemanticClient(one.state_dir / "arena", asyncio.get_running_loop())
        try:
            return await client.connected() and isinstance(await client.ask(Ping(1), 5), Pong)
        finally:
            client.close()

    return asyncio.run(ask())


def test_there_is_none_unless_it_is_wanted(tmp_path: Path) -> None:
    with host(tmp_path / "state", workers=1) as one:
        assert "semantic" not in {child["name"] for child in one.health()["children"]}
        assert not (tmp_path / "state" / "arena" / SOCKET).exists()


@pytest.mark.usefixtures("wanted")
def test_it_is_back_when_it_was_killed_and_the_others_do_not_notice(tmp_path: Path) -> None:
    with host(tmp_path / "state", workers=1) as one:
        assert answers(one)
        before = {child["name"]: child["pid"] for child in one.health()["children"]}
        os.kill(before["semantic"], signal.SIGKILL)
        until(lambda: one.child("semantic")["state"] == "ready" and one.child("semantic")["restarts"] == 1)
        assert answers(one)
        after = {child["name"]: child["pid"] for child in one.health()["children"]}
        assert {name for name, pid in after.items() if pid != before[name]} == {"semantic"}


@pytest.mark.usefixtures("wanted")
def test_one_that_hangs_is_ended_and_is_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTGATE_SILENT_LOOKS", "3")
    with host(tmp_path / "state", workers=1) as one:
        before = {child["name"]: child["pid"] for child in one.health()["children"]}
        os.kill(before["semantic"], signal.SIGSTOP)
        until(lambda: one.child("semantic")["state"] == "ready" and one.child("semantic")["restarts"] == 1, 30)
        assert one.child("semantic")["last_end"] == "signal SIGKILL"
        assert answers(one)
        after = {child["name"]: child["pid"] for child in one.health()["children"]}
        assert {name for name, pid in after.items() if pid != before[name]} == {"semantic"}
        assert one.process.stderr is not None
        assert next(line for line in one.process.stderr if "semantic has given no sign of life for 3 s: killed" in line)


@pytest.mark.usefixtures("wanted")
def test_it_ends_with_the_others_and_with_the_supervisor(tmp_path: Path) -> None:
    with host(tmp_path / "state", workers=1) as one:
        pid = one.child("semantic")["pid"]
        one.process.send_signal(signal.SIGTERM)
        assert one.process.wait(20) == 0
        assert gone(pid)
        assert not (tmp_path / "state" / "arena" / SOCKET).exists()
    with host(tmp_path / "state", workers=1) as one:
        pid = one.child("semantic")["pid"]
        one.process.kill()
        one.process.wait()
        assert until(lambda: gone(pid)) < 3


@pytest.mark.usefixtures("wanted")
def test_it_is_renewed_with_the_others(tmp_path: Path) -> None:
    with host(tmp_path / "state", workers=1) as one:
        before = one.child("semantic")["pid"]
        one.process.send_signal(signal.SIGUSR2)
        until(lambda: one.child("semantic")["pid"] != before and one.child("semantic")["state"] == "ready", 20)
        until(lambda: {child["name"] for child in one.health()["children"]} >= {"worker 0", "semantic"})
        assert answers(one)


def test_one_that_cannot_start_is_told_and_all_else_serves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEMANTIC", json.dumps({"embedder": {"type": "onnx", "model": str(tmp_path / "nothing")}}))
    with host(tmp_path / "state", workers=1) as one:
        assert one.ask()
        assert one.health()["phase"] == "serving"
        assert "fastgate embedder prepare" in one.child("semantic")["error"]
        assert one.process.stderr is not None
        said = next(line for line in one.process.stderr if "semantic does not serve" in line)
        assert "was not prepared" in said
        before = one.child("semantic")["restarts"]
        until(lambda: one.child("semantic")["restarts"] > before)
        one.process.send_signal(signal.SIGTERM)
        assert one.process.wait(20) == 0
