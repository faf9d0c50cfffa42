"""The simulator as a subprocess, for tests, the demo and load rigs."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self
from urllib.request import ProxyHandler, Request, build_opener

READY = "simulator listening on "
STOP_SECONDS = 10.0

# Straight to the simulator, whatever proxy the environment names.
_open = build_opener(ProxyHandler({})).open


class SimulatorFailed(RuntimeError):
    """The simulator did not start; the text is what it wrote to stderr."""


class Simulator:
    """Starts ``python -m fastgate.simulator`` on a free port and ends it on leaving the ``with`` block.

    >>> with Simulator("--tokens", "8-32", seed=7) as simulator:
    ...     simulator.bill()["total"]["usd"]
    '0'

    Positional arguments are passed on as they are; ``chunk_ms=5`` stands for ``--chunk-ms 5``, ``require_key=True`` for
    ``--require-key``. The process ends, too, when this one dies.
    """

    def __init__(self, *arguments: str, **options: object) -> None:
        self._command = [sys.executable, "-m", "fastgate.simulator", "--exit-with-stdin", *arguments]
        for name, value in {"port": 0, **options}.items():
            flag = "--" + name.replace("_", "-")
            if value is not False:
                self._command += [flag] if value is True else [flag, str(value)]
        self._process: subprocess.Popen[str] | None = None
        self.url = ""
        """``http://127.0.0.1:<port>``: the base URL of Anthropic clients; OpenAI's add ``/v1``."""

    @property
    def openai_url(self) -> str:
        """The base URL of OpenAI clients."""
        return f"{self.url}/v1"

    @property
    def pid(self) -> int:
        """The id of the running process."""
        assert self._process is not None, "the simulator is not running"
        return self._process.pid

    def start(self) -> Self:
        """Starts it, and returns when it accepts connections; raises :class:`SimulatorFailed`."""
        # Options come from the caller alone, not from variables that were meant for the gateway.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("FASTGATE_")}
        process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line.startswith(READY):
            _, errors = process.communicate()
            raise SimulatorFailed(errors.strip() or f"the simulator ended with {process.returncode}")
        self._process = process
        self.url = line.removeprefix(READY).strip()
        return self

    def stop(self) -> str:
        """Ends it, and returns what it wrote to stderr: nothing, if all was well."""
        process, self._process = self._process, None
        if process is None:
            return ""
        process.terminate()
        try:
            _, errors = process.communicate(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            _, errors = process.communicate()
        return errors

    def bill(self) -> dict[str, Any]:
        """``GET /_bill``."""
        return self._get("/_bill")

    def charges(self) -> Iterator[dict[str, Any]]:
        """Every charge that was kept, in order, over the pages of ``GET /_bill/requests``."""
        after: int | None = 0
        while after is not None:
            page = self._get(f"/_bill/requests?after={after}&limit=10000")
            yield from page["items"]
            after = page["next"]

    def reset(self) -> None:
        """``POST /_reset``."""
        with _open(Request(f"{self.url}/_reset", method="POST"), timeout=STOP_SECONDS):
            pass

    def _get(self, path: str) -> dict[str, Any]:
        with _open(f"{self.url}{path}", timeout=STOP_SECONDS) as answer:
            body: dict[str, Any] = json.load(answer)
            return body

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
