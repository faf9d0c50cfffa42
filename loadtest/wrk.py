"""The load: wrk with unique prompts or users, one thread, as many requests as get answered."""

import json
import os
import secrets
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from loadtest.errors import RigError
from loadtest.programs import find, leashed
from loadtest.prompts import NO_HEADERS

PROMPTS: Final = Path(__file__).with_name("prompts.lua")
USERS: Final = Path(__file__).with_name("users.lua")
_LIBRARY: Final = f"{Path(__file__).parent}/?.lua;;"
"""Where its scripts find what they share."""
_ERRORS: Final = ("connect", "read", "write", "status", "timeout", "wrong")


@dataclass(frozen=True)
class Loaded:
    """What the load saw; latencies in microseconds."""

    requests: int
    seconds: float
    p50: int
    p99: int
    p999: int
    cpu_seconds: float
    """Of the load itself."""


def load(
    port: int,
    *,
    prompt_bytes: int,
    model: str,
    key: str,
    connections: int,
    seconds: int,
    headers: Mapping[str, str] = NO_HEADERS,
    text: str = "",
    pause_ms: int = 0,
    questions: int = 0,
    stamp: str = "",
) -> Loaded:
    """Run wrk for ``seconds``; prompts are unique, or so many ``questions`` in turn, which are those of a ``stamp``.

    ``pause_ms`` before each request of a connection, so that the rate has a bound.

    Raises RigError unless every answer was good: a 200 that has ``text`` somewhere in its body, byte for byte.
    """
    lines = [f"{name}: {value}" for name, value in headers.items()]
    what = [str(prompt_bytes), model, key, stamp or secrets.token_hex(8), str(pause_ms), str(questions), text, *lines]
    return _run(port, PROMPTS, what, connections, seconds)


def load_users(port: int, *, model: str, key: str, connections: int, first: int, seconds: int) -> Loaded:
    """Likewise, each request of a user of its own, numbered from ``first`` on; ``connections`` may come unanswered."""
    return _run(port, USERS, [model, key, str(first)], connections, seconds)


def _run(port: int, script: Path, what: list[str], connections: int, seconds: int) -> Loaded:
    how = ["-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "20s", "-s", str(script)]
    command = leashed([find("wrk"), *how, f"http://127.0.0.1:{port}/", "--", *what])
    environment = {**os.environ, "LUA_PATH": _LIBRARY}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        try:
            out = process.stdout.read()
        except BaseException:
            process.kill()
            raise
        cpu = _reap(process)
    lines = [line for line in out.splitlines() if line.startswith("RESULT ")]
    if process.returncode or not lines:
        raise RigError(f"wrk failed with status {process.returncode}: {out[-500:]}")
    found: dict[str, Any] = json.loads(lines[0].removeprefix("RESULT "))
    bad = {name: found[name] for name in _ERRORS if found[name]}
    if bad or not found["requests"]:
        raise RigError(f"not every answer had status 200 and its text: {bad} of {found['requests']}")
    return Loaded(found["requests"], found["microseconds"] / 1e6, found["p50"], found["p99"], found["p999"], cpu)


def _reap(process: "subprocess.Popen[str]") -> float:
    """Wait for the end of a child; the CPU time that it took."""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_utime + usage.ru_stime
