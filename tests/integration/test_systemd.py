"""The unit of systemd, and what the supervisor tells a service manager. No systemd needs to run here."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from fastgate.config.settings import Server
from fastgate.supervisor.patience import MARGIN
from fastgate.supervisor.serve import CONTROL_SECONDS, PROGRAM_SECONDS
from tests.support.house import House, free_port

UNIT = Path(__file__).parents[2] / "packaging" / "fastgate.service"
SETTINGS = {"teams": [{"id": "t"}], "keys": [{"id": "k", "team": "t", "secret": "sk-fg-a-key-of-the-service"}]}
SECONDS = 60.0

REFUSE_EXECUTABLE_MEMORY = (
    "import ctypes, os, sys; ctypes.CDLL(None).prctl(65, 1, 0, 0, 0); os.execv(sys.argv[1], sys.argv[1:])"
)
"""What ``MemoryDenyWriteExecute=`` does, by the kernel's ``PR_SET_MDWE``, inherited by children; it takes Linux 6.3."""


def settings() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in re.findall(r"^(\w+)=(.*)$", UNIT.read_text(), re.MULTILINE):
        found.setdefault(name, []).append(value)
    return found


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit as it would be installed on this machine."""
    copy = tmp_path / UNIT.name
    installed = str(Path(sys.executable).with_name("fastgate"))
    copy.write_text(UNIT.read_text().replace("/opt/fastgate/bin/fastgate", installed))
    return copy


def test_the_unit_is_one_that_systemd_takes(unit: Path) -> None:
    said = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    assert (said.returncode, said.stdout + said.stderr) == (0, "")


def test_little_is_exposed(unit: Path) -> None:
    command = ["systemd-analyze", "security", "--no-pager", "--offline=true", "--threshold=15", unit]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stdout[-300:]


def test_the_user_is_made(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    subprocess.run(["systemd-sysusers", f"--root={tmp_path}", UNIT.with_suffix(".sysusers")], check=True)
    user = (tmp_path / "etc" / "passwd").read_text().splitlines()[-1].split(":")
    assert user[0] == settings()["User"][0]
    assert user[5] == "/var/lib/" + settings()["StateDirectory"][0]


def test_systemd_waits_for_the_longest_drain() -> None:
    [bound] = settings()["TimeoutStopSec"]
    assert float(bound.removesuffix("s")) > Server().drain_seconds + MARGIN + CONTROL_SECONDS + 2 * PROGRAM_SECONDS


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(SECONDS)
        yield listener


def test_a_service_manager_hears_when_it_serves_and_when_it_stops(tmp_path: Path, manager: socket.socket) -> None:
    with House(tmp_path, SETTINGS, workers=1, environment={"NOTIFY_SOCKET": str(tmp_path / "notify")}) as house:
        assert manager.recv(1024).decode().splitlines() == [
            "READY=1",
            f"STATUS=serving at http://127.0.0.1:{house.port}",
        ]
        assert httpx.get(f"{house.url}/readyz", trust_env=False).status_code == 200
        assert house.stop() == 0
        assert manager.recv(1024).decode().splitlines()[0] == "STOPPING=1"


def test_a_manager_in_the_abstract_namespace_hears_too(tmp_path: Path) -> None:
    name = f"fastgate-test-{tmp_path.name}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"\0{name}")
        manager.settimeout(SECONDS)
        with House(tmp_path, SETTINGS, workers=1, environment={"NOTIFY_SOCKET": f"@{name}"}):
            assert manager.recv(1024).startswith(b"READY=1\n")


def test_a_manager_that_is_gone_does_not_keep_it_from_serving(tmp_path: Path) -> None:
    with House(tmp_path, SETTINGS, workers=1, environment={"NOTIFY_SOCKET": str(tmp_path / "nobody")}) as house:
        assert house.stop() == 0
        assert "the service manager could not be told of READY" in house.log.read_text()


def calls(name: str) -> set[str]:
    """The system calls of a set of systemd, those of the sets in it included; a call is a set of itself."""
    if not name.startswith("@"):
        return {name}
    said = subprocess.run(["systemd-analyze", "syscall-filter", "--no-pager", name], capture_output=True, check=True)
    members = [line.strip() for line in said.stdout.decode().splitlines()[1:]]
    return set().union(*(calls(member) for member in members if member and not member.startswith("#")))


def forbidden_calls() -> set[str]:
    allowed: set[str] = set()
    for line in settings()["SystemCallFilter"]:
        named = set().union(*(calls(name) for name in line.removeprefix("~").split()))
        allowed = allowed - named if line.startswith("~") else allowed | named
    # SQLite gives its files to their folder's owner where it runs as root, as a test may and the unit does not.
    of_root = {"fchown"} if os.geteuid() == 0 else set()
    return calls("@known") - allowed - of_root


def test_nothing_that_the_unit_forbids_is_done(tmp_path: Path) -> None:
    """The kernel refuses executable memory, and every system call that the filter would refuse is looked for."""
    trace, state = tmp_path / "trace", tmp_path / "state"
    watched = ",".join(["socket", *(f"?{name}" for name in sorted(forbidden_calls()))])
    command = ["strace", "-f", "--seccomp-bpf", "-qq", "-o", str(trace), "-e", f"trace={watched}", "-e", "signal=none"]
    command += [sys.executable, "-c", REFUSE_EXECUTABLE_MEMORY, sys.executable, "-m", "fastgate", "serve"]
    ports = ("--port", str(port := free_port()), "--admin-port", str(free_port()), "--workers", "1")
    command += ["--with-simulator", "--state-dir", str(state), *ports]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            while not process.stdout.readline().startswith("curl "):
                assert process.poll() is None
            headers = {"authorization": f"Bearer {(state / 'quickstart-key').read_text().strip()}"}
            body = {"model": "sim/sim-small", "messages": [{"role": "user", "content": "Hello"}]}
            url = f"http://127.0.0.1:{port}/v1/chat/completions"
            assert httpx.post(url, json=body, headers=headers, timeout=SECONDS, trust_env=False).status_code == 200
            os.kill(json.loads((state / "supervisor.json").read_text())["pid"], signal.SIGTERM)
            assert process.wait(SECONDS) == 0
        finally:
            process.kill()
    sockets, others = [], []
    for line in trace.read_text().splitlines():
        # Left out: the call without a name in which strace lost a process that ended, and the second half of a call
        # that another process came between, of which the first half names the call.
        if "<detached ...>" not in line and not re.match(r"\d+ +<\.\.\. \w+ resumed>", line):
            (sockets if " socket(" in line else others).append(line)
    assert others == []
    families = {family for line in sockets for family in re.findall(r"socket\((\w+)", line)}
    assert families
    assert families <= set(settings()["RestrictAddressFamilies"][0].split())
