"""Logs for machines: whatever the processes of a gateway write to standard error is one JSON object per line."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from threading import Timer
from typing import Any

import httpx
import pytest

from tests.support.house import free_port

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"
FASTGATE = (sys.executable, "-m", "fastgate")
KEY = "sk-fg-a-key-of-the-test-of-logs"
SETTINGS = """
logging: {{format: json}}
providers:
  sim: {{type: sim, base_url: "http://127.0.0.1:{port}", keys: [{{name: k, value: upstream-secret-of-logs}}]}}
  dead: {{type: openai-compatible, base_url: "http://127.0.0.1:1/v1", keys: [{{name: k, value: v}}]}}
models:
  gone: {{targets: [{{provider: dead, model: sim-small}}]}}
teams:
  - {{id: t}}
keys:
  - {{id: k, team: t, secret: {key}, unpriced: allow}}
"""


class Log:
    """The standard error of a running gateway, read as JSON."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self.entries: list[dict[str, Any]] = []

    def until(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Reads on to the first entry that is wanted."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            entry = json.loads(line)
            self.entries.append(entry)
            if wanted(entry):
                return entry
        raise AssertionError(f"the log ended:\n{self.entries}")

    def end(self) -> int:
        """SIGTERM; reads the rest and returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.stderr is not None
        self.entries += [json.loads(line) for line in self.process.stderr]
        return self.process.wait(30)


@contextmanager
def serving(folder: Path, *arguments: str) -> Iterator[Log]:
    command = [*FASTGATE, "serve", "--workers", "1", "--state-dir", str(folder / "state"), *arguments]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    alarm = Timer(90, process.kill)
    alarm.start()
    try:
        yield Log(process)
    finally:
        alarm.cancel()
        process.kill()
        process.communicate()


def example() -> dict[str, Any]:
    """The line that the documents show."""
    [line] = re.findall(r"```json\n(\{\"ts\".*)\n```", PAGE.read_text())
    found: dict[str, Any] = json.loads(line)
    return found


def ask(url: str, model: str) -> httpx.Response:
    body = {"model": model, "messages": [{"role": "user", "content": "Hello"}]}
    headers = {"authorization": f"Bearer {KEY}"}
    return httpx.post(f"{url}/v1/chat/completions", json=body, headers=headers, timeout=30, trust_env=False)


def test_every_line_of_every_process_is_an_object(tmp_path: Path) -> None:
    port, admin_port, simulator = (str(free_port()) for _ in range(3))
    config = tmp_path / "fastgate.yaml"
    config.write_text(SETTINGS.format(port=simulator, key=KEY))
    ports = ("--port", port, "--admin-port", admin_port)
    with serving(tmp_path, "--with-simulator", "--config", str(config), *ports) as log:
        screen = log.until(lambda entry: "api" in entry)
        assert screen["api"] == f"http://127.0.0.1:{port}"
        assert screen["configuration"] == str(config)
        assert {one["name"]: one["state"] == "reachable" for one in screen["providers"]} == {"sim": True, "dead": False}

        answer = ask(screen["api"], "gone")
        assert answer.status_code == 502
        failed = log.until(lambda entry: "request_id" in entry)
        assert failed["request_id"] == answer.headers["x-fastgate-request-id"]
        assert (failed["process"], failed["worker"], failed["level"]) == ("worker", 0, "warning")
        assert list(failed) == list(example())

        children = json.loads((tmp_path / "state" / "supervisor.json").read_text())["children"]
        os.kill(next(child["pid"] for child in children if child["name"] == "worker 0"), signal.SIGKILL)
        died = log.until(lambda entry: "ended (signal SIGKILL)" in entry["message"])
        assert (died["process"], died["level"]) == ("supervisor", "warning")
        assert ask(screen["api"], "sim/sim-small").status_code == 200

        config.write_text("nonsense: 1\n")
        log.process.send_signal(signal.SIGHUP)
        refused = log.until(lambda entry: "nonsense" in entry["message"])
        assert (refused["process"], refused["level"]) == ("control", "error")
        assert log.end() == 0
        assert log.process.stdout is not None
        assert log.process.stdout.read() == ""
    assert {entry["process"] for entry in log.entries} == {"supervisor", "control", "worker", "simulator"}
    for entry in log.entries:
        assert datetime.fromisoformat(entry["ts"]).tzinfo is not None
        assert entry["ts"].endswith("Z")
        assert entry["level"] in {"info", "warning", "error"}
        assert ("worker" in entry) == (entry["process"] == "worker")
    written = json.dumps(log.entries)
    assert KEY not in written
    assert "upstream-secret-of-logs" not in written


def test_a_start_that_fails_says_so_in_the_form_that_was_asked_for(tmp_path: Path) -> None:
    (tmp_path / "fastgate.yaml").write_text("nonsense: 1\n")
    command = [*FASTGATE, "serve", "--log-format", "json"]
    refused = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (refused.returncode, refused.stdout) == (3, "")
    entries = [json.loads(line) for line in refused.stderr.splitlines()]
    assert "fastgate.yaml:1:1: nonsense: unknown setting" in [entry["message"] for entry in entries]


def test_lines_for_people_stay_what_they_are(tmp_path: Path) -> None:
    ports = ("--port", str(free_port()), "--admin-port", str(free_port()))
    with serving(tmp_path, "--log-format", "text", "--with-simulator", *ports) as log:
        assert log.process.stdout is not None
        while not log.process.stdout.readline().startswith("curl "):
            assert log.process.poll() is None
        log.process.send_signal(signal.SIGTERM)
        assert log.process.stderr is not None
        lines = log.process.stderr.read().splitlines()
    assert any(line.startswith("worker 0: snapshot 1 is in force") for line in lines)
    assert any(line.startswith("control: admin API on port") for line in lines)
    assert any("fastgate.supervisor: draining" in line for line in lines)


def entries_of(code: str) -> list[dict[str, Any]]:
    prelude = "import logging, sys, threading, warnings\nfrom fastgate import logs\nlogs.set_up('p', text='')\n"
    ended = subprocess.run(
        [sys.executable, "-c", prelude + code],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "FASTGATE_LOG_FORMAT": "json"},
    )
    return [json.loads(line) for line in ended.stderr.splitlines()]


@pytest.mark.parametrize(
    "code", ["1 / 0", "thread = threading.Thread(target=lambda: 1 / 0); thread.start(); thread.join()"]
)
def test_an_exception_that_nobody_caught_is_one_entry(code: str) -> None:
    [entry] = entries_of(code)
    assert entry["level"] == "critical"
    assert entry["exception"]["type"] == "ZeroDivisionError"
    assert entry["exception"]["message"] == "division by zero"
    assert entry["exception"]["trace"].startswith("Traceback (most recent call last):\n")


def test_what_is_printed_past_the_log_is_in_it() -> None:
    code = "print('two\\nlines', file=sys.stderr); warnings.warn('careful', stacklevel=1)"
    messages = [entry["message"] for entry in entries_of(code)]
    assert messages[:2] == ["two", "lines"]
    assert any("UserWarning: careful" in message for message in messages)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (r"logging.warning('a\nb')", "a\nb"),
        (r"logging.warning('half \ud83d of one')", "half ? of one"),
        ("logging.warning('%s', 'x', extra={'facts': {'level': 'forged', 'message': 'forged'}})", "x"),
    ],
)
def test_no_text_spoils_a_line(call: str, message: str) -> None:
    [entry] = entries_of(call)
    assert (entry["message"], entry["level"]) == (message, "warning")


def test_a_record_that_does_not_format_is_told_of() -> None:
    entries = entries_of("logging.warning('%d', 'no number'); logging.warning('next')")
    assert any("%d format" in entry["message"] for entry in entries)
    assert entries[-1]["message"] == "next"
