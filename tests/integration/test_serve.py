"""`fastgate serve` and `demo` as people run them: the first screen, its curl, signals, deaths, exit codes."""

import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

FASTGATE = (sys.executable, "-m", "fastgate")
PROVIDER_VARIABLES = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY", "GROQ_API_KEY")


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in PROVIDER_VARIABLES}
    return {**kept, **(more or {})}


def until(condition: Callable[[], bool], seconds: float = 15.0) -> float:
    """Asks again and again for a state of other processes; returns how long it took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, "the state was not reached in time"
        time.sleep(0.01)
    return time.monotonic() - began


class Served:
    """A running fastgate and what it printed on its first screen."""

    def __init__(self, process: "subprocess.Popen[str]", state_dir: Path, port: int, admin_port: int) -> None:
        self.process = process
        self.state_dir = state_dir
        self.url = f"http://127.0.0.1:{port}"
        self.admin_url = f"http://127.0.0.1:{admin_port}"
        self.screen: list[str] = []
        assert process.stdout is not None
        for line in process.stdout:
            self.screen.append(line.rstrip("\n"))
            if line.startswith("curl "):
                break

    def health(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads((self.state_dir / "supervisor.json").read_text())
        return document

    def child(self, name: str) -> dict[str, Any]:
        return next(child for child in self.health()["children"] if child["name"] == name)

    def key(self) -> str:
        return (self.state_dir / "quickstart-key").read_text().strip()

    def ask(self) -> httpx.Response:
        return httpx.post(
            f"{self.url}/v1/chat/completions",
            headers={"authorization": f"Bearer {self.key()}"},
            json={"model": "sim/sim-small", "messages": [{"role": "user", "content": "Hello"}]},
            timeout=30,
            trust_env=False,
        )

    def admin(self, path: str) -> Any:
        token = (self.state_dir / "admin-token").read_text().strip()
        answer = httpx.get(f"{self.admin_url}/api/v1/{path}", headers={"authorization": f"Bearer {token}"}, timeout=30)
        answer.raise_for_status()
        return answer.json()


@contextmanager
def served(
    folder: Path, command: str = "serve", *arguments: str, env: Mapping[str, str] | None = None
) -> Iterator[Served]:
    port, admin_port, state_dir = free_port(), free_port(), folder / "state"
    where = ["--port", str(port), "--admin-port", str(admin_port), "--state-dir", str(state_dir)]
    process = subprocess.Popen(
        [*FASTGATE, command, *where, "--workers", "1", *arguments],
        stdout=subprocess.PIPE,
        cwd=folder,
        text=True,
        env=environment(env),
    )
    alarm = threading.Timer(90, process.kill)
    alarm.start()
    try:
        yield Served(process, state_dir, port, admin_port)
    finally:
        alarm.cancel()
        process.kill()
        process.communicate()


def test_the_curl_of_the_first_screen_works_as_it_stands(tmp_path: Path) -> None:
    with served(tmp_path) as one:
        assert len(one.screen) <= 15
        answer = subprocess.run(["/bin/sh", "-c", one.screen[-1]], capture_output=True, text=True, check=True).stdout
        assert answer.startswith("HTTP/1.1 200")
        assert re.search(r"^x-fastgate-cost-usd: 0\.\d{9}\r?$", answer, re.MULTILINE)
        assert one.key() not in "\n".join(one.screen)
        one.process.send_signal(signal.SIGTERM)
        assert one.process.wait(30) == 0


def test_on_a_terminal_the_screen_shows_the_secrets(tmp_path: Path) -> None:
    leader, follower = pty.openpty()
    command = [*FASTGATE, "serve", "--port", str(free_port()), "--admin-port", str(free_port()), "--workers", "1"]
    process = subprocess.Popen(command, stdout=follower, stderr=subprocess.DEVNULL, cwd=tmp_path, env=environment())
    os.close(follower)
    alarm = threading.Timer(60, process.kill)
    alarm.start()
    try:
        shown = b""
        while b"curl " not in shown or not shown.endswith(b"\n"):
            shown += os.read(leader, 65_536)
    finally:
        alarm.cancel()
        process.kill()
        process.wait()
        os.close(leader)
    state = tmp_path / "fastgate-state"
    assert (state / "quickstart-key").read_text().strip() in shown.decode()
    assert (state / "dashboard-token").read_text().strip() in shown.decode()
    assert (state / "admin-token").read_text().strip() not in shown.decode()
    assert len(shown.splitlines()) <= 15


def test_the_dashboards_link_opens_once(tmp_path: Path) -> None:
    with served(tmp_path) as one:
        token = (one.state_dir / "dashboard-token").read_text().strip()
        pages = [httpx.get(one.admin_url, params={"token": token}, follow_redirects=False) for _ in range(2)]
        assert [bool(page.cookies) for page in pages] == [True, False]


def test_what_is_asked_reaches_the_ledger_and_the_report(tmp_path: Path) -> None:
    with served(tmp_path) as one:
        cost = one.ask().headers["x-fastgate-cost-usd"]
        until(lambda: one.admin("spend?by=model")["total"]["requests"] == 1)
        command = [*FASTGATE, "report", "--by", "key", "--format", "json"]  # the folder says where
        report = subprocess.run(
            [*command, "--state-dir", str(one.state_dir)], capture_output=True, text=True, check=True
        )
        [group] = json.loads(report.stdout)["groups"]
        assert (group["key"], group["requests"], group["cost_usd"]) == ("quickstart", 1, cost)


@pytest.mark.alone
@pytest.mark.parametrize("name", ["worker 0", "control", "simulator"])
def test_service_is_back_within_three_seconds_of_a_kill(tmp_path: Path, name: str) -> None:
    with served(tmp_path) as one:
        assert one.ask().status_code == 200
        for _ in range(3):
            pid = one.child(name)["pid"]
            os.kill(pid, signal.SIGKILL)
            took = until(lambda pid=pid: one.child(name)["state"] == "ready" and one.child(name)["pid"] != pid)
            assert took < 3
            assert one.ask().status_code == 200
        until(lambda: one.admin("spend?by=model")["total"]["requests"] == 4)


def test_the_next_serve_goes_on_where_a_killed_one_stopped(tmp_path: Path) -> None:
    with served(tmp_path) as one:
        key = one.key()
        assert one.ask().status_code == 200
        pids = [child["pid"] for child in one.health()["children"]]
        for pid in (one.process.pid, *pids):
            os.kill(pid, signal.SIGKILL)
    with served(tmp_path) as one:
        assert one.key() == key
        assert one.ask().status_code == 200
        until(lambda: one.admin("spend?by=model")["total"]["requests"] == 2)


def test_a_stream_is_finished_when_the_host_drains(tmp_path: Path) -> None:
    script = json.dumps({"chunks": 20, "chunk_ms": 50})
    with served(tmp_path) as one:
        request = {
            "model": "sim/sim-small",
            "stream": True,
            "messages": [{"role": "user", "content": f"sim: {script}"}],
        }
        headers = {"authorization": f"Bearer {one.key()}"}
        with (
            httpx.Client(trust_env=False, timeout=30) as client,
            client.stream("POST", f"{one.url}/v1/chat/completions", json=request, headers=headers) as answer,
        ):
            lines = answer.iter_lines()
            next(lines)
            one.process.send_signal(signal.SIGTERM)
            rest = [line for line in lines if line]
        assert rest[-1] == "data: [DONE]"
        assert one.process.wait(30) == 0


def test_a_reload_takes_up_a_new_key_and_a_bad_one_changes_nothing(tmp_path: Path) -> None:
    config = tmp_path / "fastgate.yaml"
    text = f"""
providers:
  sim: {{type: sim, base_url: "http://127.0.0.1:{free_port()}", keys: [{{name: k, value: v}}]}}
teams:
  - {{id: t}}
keys:
  - {{id: first, team: t, secret: sk-fg-first-of-the-reload-test}}
"""
    config.write_text(text)

    def status(one: Served, key: str) -> int:
        return httpx.get(
            f"{one.url}/v1/models", headers={"authorization": f"Bearer {key}"}, trust_env=False
        ).status_code

    with served(tmp_path, "serve", "--with-simulator") as one:
        assert one.ask().status_code == 200
        children = one.health()["children"]
        assert status(one, "sk-fg-second-of-the-reload-test") == 401
        config.write_text(text + "  - {id: second, team: t, secret: sk-fg-second-of-the-reload-test}\n")
        one.process.send_signal(signal.SIGHUP)
        until(lambda: status(one, "sk-fg-second-of-the-reload-test") == 200)
        config.write_text("nonsense: 1\n")
        one.process.send_signal(signal.SIGHUP)
        until(lambda: "nonsense" in json.dumps(one.admin("status")))
        assert status(one, "sk-fg-second-of-the-reload-test") == 200
        assert one.health()["children"] == children


def test_a_second_supervisor_of_a_state_folder_is_refused(tmp_path: Path) -> None:
    with served(tmp_path) as one:
        command = [*FASTGATE, "serve", "--state-dir", str(one.state_dir), "--port", str(free_port())]
        second = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment(), check=False)
        assert second.returncode == 1
        assert "already running" in second.stderr
        assert str(one.process.pid) in second.stderr
        assert one.ask().status_code == 200


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen(1)
        port = other.getsockname()[1]
        for option in ("--port", "--admin-port"):
            ports = {"--port": str(free_port()), "--admin-port": str(free_port()), option: str(port)}
            command = [*FASTGATE, "serve", *(text for pair in ports.items() for text in pair)]
            refused = subprocess.run(
                command, capture_output=True, text=True, cwd=tmp_path, env=environment(), check=False
            )
            assert refused.returncode == 1
            assert f"port {port} is in use" in refused.stderr


def test_a_bad_configuration_ends_with_three_and_all_its_problems(tmp_path: Path) -> None:
    (tmp_path / "fastgate.yaml").write_text("keys:\n  - {id: a, team: nobody}\nservr: {}\n")
    refused = subprocess.run([*FASTGATE], capture_output=True, text=True, cwd=tmp_path, env=environment(), check=False)
    assert refused.returncode == 3
    assert re.search(r"fastgate\.yaml:3:1: .*servr", refused.stderr)
    checked = subprocess.run(
        [*FASTGATE, "check"], capture_output=True, text=True, cwd=tmp_path, env=environment(), check=False
    )
    assert checked.returncode == 3
    assert checked.stdout.strip() == refused.stderr.strip()
    as_json = subprocess.run(
        [*FASTGATE, "check", "--json"], capture_output=True, text=True, cwd=tmp_path, env=environment(), check=False
    )
    assert as_json.returncode == 3
    assert len(json.loads(as_json.stdout)) == len(checked.stdout.splitlines())


def test_a_written_configuration_is_one_that_serves(tmp_path: Path) -> None:
    keys = {"OPENAI_API_KEY": "sk-none", "FASTGATE_FIRST_KEY": "sk-fg-first-key-of-a-test"}

    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*FASTGATE, *arguments], capture_output=True, text=True, cwd=tmp_path, env=environment(keys), check=False
        )

    assert run("config", "init").returncode == 0
    assert run("config", "init").returncode == 1
    assert (tmp_path / "fastgate.yaml").stat().st_size > 200
    checked = run("check")
    assert (checked.returncode, checked.stdout) == (0, "fastgate.yaml: ok\n")
    shown = run("config", "show")
    assert "sk-none" not in shown.stdout
    assert json.loads(shown.stdout)["keys"][0]["id"] == "first"
    assert json.loads(run("config", "schema").stdout)["$schema"].startswith("https://json-schema.org/")


def test_the_demo_lives(tmp_path: Path) -> None:
    with served(tmp_path, "demo") as one:
        assert len(one.screen) <= 15

        def lively() -> bool:
            groups = one.admin("spend?by=key")["groups"]
            return len(groups) == 4 and sum(group["requests"] for group in groups) >= 12

        until(lively, 40)
        one.process.send_signal(signal.SIGINT)
        assert one.process.wait(40) == 0
