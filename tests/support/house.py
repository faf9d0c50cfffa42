"""A whole gateway for a test: the simulator, `fastgate serve` as an operator runs it, and its admin API."""

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import ProxyHandler, Request, build_opener

import yaml

from fastgate.simulator.process import Simulator

LEDGER_SECONDS = 30
START_SECONDS = 60

# Straight to the gateway, whatever proxy the environment names.
_open = build_opener(ProxyHandler({})).open


def free_port() -> int:
    """A port that nobody listens on now, and that the kernel gives to no client: it stays free until it is used."""
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.randrange(10_000, lowest)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def wait_for(what: Callable[[], Any], seconds: float, why: str) -> Any:
    """The first truthy answer of ``what``, asked again and again; AssertionError after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not (answer := what()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {why}"
        time.sleep(0.01)
    return answer


class House:
    """``with House(folder, settings, workers=2) as house``: everything runs on its own ports, and ends with the block.

    ``settings``: the configuration of contract section 2, without ``server`` and ``providers`` where the simulator as
    provider ``sim`` (type ``sim``, key ``upstream-key``) will do. ``simulator``: its options, or a running Simulator to
    share. ``environment``: further variables of ``serve``.
    """

    def __init__(
        self,
        folder: Path,
        settings: Mapping[str, Any],
        *,
        workers: int = 2,
        simulator: Simulator | Mapping[str, Any] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.workers = workers
        self.settings = dict(settings)
        self.environment = {**os.environ, **(environment or {})}
        self.owns_simulator = not isinstance(simulator, Simulator)
        self.simulator = simulator if isinstance(simulator, Simulator) else Simulator(**(simulator or {}))
        self.port, self.admin_port = free_port(), free_port()
        self.state_dir = folder / "state"
        self.config = folder / "fastgate.yaml"
        self.process: subprocess.Popen[bytes] | None = None
        self.log = folder / "serve.log"

    # ---- its life

    def __enter__(self) -> Self:
        if self.owns_simulator:
            self.simulator.start()
        self.write_config(self.settings)
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process is not None:
            self.stop()
        if self.owns_simulator:
            self.simulator.stop()
        shutil.rmtree(self.arena_dir, ignore_errors=True)
        if kind is not None:
            sys.stderr.write(self.log.read_text())

    def write_config(self, settings: Mapping[str, Any]) -> None:
        """Write the configuration; a running gateway reads it at its next reload."""
        sim = {"sim": {"type": "sim", "base_url": self.simulator.url, "keys": [{"name": "k", "value": "upstream-key"}]}}
        document = {"providers": sim, "arena_dir": str(self.arena_dir), **settings}
        self.config.write_text(yaml.safe_dump(document, sort_keys=False))

    @property
    def arena_dir(self) -> Path:
        """On a tmpfs, as in production, whatever the test's folder lies on."""
        return Path("/dev/shm") / f"fastgate-test-{self.port}-{os.getpid()}"

    def start(self) -> None:
        """``fastgate serve``; returns when its first screen is complete."""
        command = [sys.executable, "-m", "fastgate.cli.main", "serve", "--config", str(self.config)]
        command += ["--port", str(self.port), "--admin-port", str(self.admin_port), "--workers", str(self.workers)]
        command += ["--state-dir", str(self.state_dir)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                cwd=self.folder,
                env=self.environment,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        assert self.process.stdout is not None
        if self.settings.get("logging", {}).get("format") == "json":  # then the first screen is a line of the log
            wait_for(self._says_so, START_SECONDS, "a first line in the log")
            return
        for raw in self.process.stdout:
            if b"admin token" in raw:
                return
        raise AssertionError(f"the gateway did not start:\n{self.log.read_text()}")

    def _says_so(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"the gateway did not start:\n{self.log.read_text()}"
        return b"fastgate serves at" in self.log.read_bytes()

    def stop(self) -> int:
        """SIGTERM, as an operator stops it; returns the exit code."""
        process, self.process = self.process, None
        assert process is not None
        process.send_signal(signal.SIGTERM)
        try:
            process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise
        return process.returncode

    def ends(self) -> int:
        """Wait until it has ended by itself; returns the exit code."""
        process, self.process = self.process, None
        assert process is not None
        process.communicate(timeout=30)
        return process.returncode

    def kill_everything(self) -> None:
        """SIGKILL for the supervisor and all its children at once."""
        process, self.process = self.process, None
        assert process is not None
        # The children have process groups of their own; the supervisor goes first, so that it starts no more of them.
        children = json.loads((self.state_dir / "supervisor.json").read_bytes())["children"]
        for pid in (process.pid, *(child["pid"] for child in children if child["pid"])):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.communicate()

    def kill_supervisor(self) -> None:
        """SIGKILL for the supervisor alone; its children notice."""
        process, self.process = self.process, None
        assert process is not None
        process.kill()
        process.communicate()

    def pause(self, kind: str) -> None:
        """SIGSTOP for all processes of a kind: alive, and of no use."""
        for pid in self.pids(kind):
            os.kill(pid, signal.SIGSTOP)

    # ---- what it says

    @property
    def url(self) -> str:
        """Base URL of Anthropic clients."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def openai_url(self) -> str:
        """Base URL of OpenAI clients."""
        return f"{self.url}/v1"

    @property
    def admin_url(self) -> str:
        """Where the control plane listens."""
        return f"http://127.0.0.1:{self.admin_port}"

    @property
    def admin_token(self) -> str:
        """What opens the admin API."""
        configured: str = self.settings.get("admin", {}).get("token", "")
        return configured or (self.state_dir / "admin-token").read_text().strip()

    def admin(self, path: str, method: str = "GET", **parameters: Any) -> Any:
        """The JSON of an admin endpoint (``spend``, ``requests``, ...)."""
        query = f"?{urlencode(parameters)}" if parameters else ""
        url = f"{self.admin_url}/api/v1/{path}{query}"
        request = Request(url, method=method, headers={"authorization": f"Bearer {self.admin_token}"})
        try:
            with _open(request, timeout=30) as answer:
                return json.load(answer)
        except HTTPError as error:
            raise AssertionError(f"{path}: {error.code} {error.read().decode()}") from None

    def pids(self, kind: str) -> list[int]:
        """Process ids of the running ``worker``s or of ``control``."""
        return [owner["pid"] for owner in self.admin("status")["owners"] if owner["kind"] == kind and owner["alive"]]

    def drained(self, requests: int) -> dict[str, Any]:
        """The ledger's totals, as soon as it has that many requests (it must not come to have more)."""

        def total() -> dict[str, Any] | None:
            sums: dict[str, Any] = self.admin("spend")["total"]
            return sums if sums["requests"] >= requests else None

        sums: dict[str, Any] = wait_for(total, LEDGER_SECONDS, f"{requests} requests in the ledger")
        return sums

    def bill(self) -> dict[str, Any]:
        """The simulator's own bill."""
        return self.simulator.bill()

    def holds(self, status: Mapping[str, Any] | None = None) -> int:
        """Open holds of all owners."""
        return sum(owner["open_holds"] for owner in (status or self.admin("status"))["owners"])

    def settled(self) -> None:
        """Wait until no hold is open and the ledger has all that was logged."""

        def idle() -> bool:
            status = self.admin("status")
            return not self.holds(status) and not status["journals"]["lag_events"]

        wait_for(idle, LEDGER_SECONDS, "no open hold, and an empty journal")

    def requests(self, **filters: Any) -> list[dict[str, Any]]:
        """All rows of the ledger that match, newest first."""
        rows: list[dict[str, Any]] = []
        page = self.admin("requests", limit=1000, **filters)
        while True:
            rows += page["items"]
            if page["next"] is None:
                return rows
            page = self.admin("requests", limit=1000, cursor=page["next"], **filters)

    def budget(self, id_: str) -> dict[str, Any]:
        """A budget, as the API shows it."""
        [found] = [each for each in self.admin("budgets", limit=1000)["items"] if each["id"] == id_]
        return dict(found)


def private_mb(pid: int) -> float:
    """Memory that a process has for itself alone."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Private_")) / 1024


def key(name: str, **settings: Any) -> dict[str, Any]:
    """A virtual key whose secret is ``sk-fg-<name>`` (padded)."""
    return {"id": name, "secret": secret(name), **settings}


def secret(name: str) -> str:
    """The secret of :func:`key`."""
    return f"sk-fg-{name:x<43}"


def compact(document: Any) -> bytes:
    """JSON as the SDKs send it."""
    return json.dumps(document, separators=(",", ":")).encode()
