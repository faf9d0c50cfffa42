"""A control process over real sockets, with this process in the place of a worker."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from fastgate._core.arena import Arena
from fastgate._core.budget import (
    CACHE_NONE,
    MEANING_NONE,
    OUTCOME_OK,
    OUTCOME_REJECTED,
    SETTLED_EXACT,
    SETTLED_NONE,
    hold,
)
from fastgate._core.journal import Draft, Journal, entry_note
from fastgate._core.levels import Level, Levels
from fastgate._core.owner import WORKER, Owner
from fastgate._core.price import PriceTable, Usage
from fastgate._core.snapshot import Snapshot
from fastgate._core.windows import Period

CONFIG = """
server: {port: 1, admin_port: 2}
admin: {token: "a-token-of-the-operator"}
providers:
  sim: {type: sim, base_url: "http://127.0.0.1:9/v1", keys: [{name: main, value: provider-secret}]}
models: {smart: {targets: [{provider: sim, model: sim-small}]}}
customers: [{id: acme, budgets: [{limit_usd: "100", window: month}]}]
teams:
  - {id: platform, customer: acme, environment: prod, budgets: [{limit_usd: "20", window: day}]}
keys:
  - {id: ide, team: platform, secret: virtual-secret, budgets: [{limit_usd: "5", window: {every: 3, unit: hour}}]}
  - {id: free, secret: other-secret}
"""
TOKEN = "a-token-of-the-operator"
ENTRY = "0011223344556677"
"""That hits were given."""
BUDGETS = ("key:ide/3-hour/default", "team:platform/day/default", "customer:acme/month/default")
WINDOWS = ((3, 3), (4, 1), (6, 1))
LIMITS = (5 * 10**9, 20 * 10**9, 100 * 10**9)
ROUTED = {"provider": "sim", "provider_key": "main", "route": "models.smart", "dialect": "openai-chat"}


def until(condition: Callable[[], Any], seconds: float = 20.0) -> Any:
    """What ``condition`` returns once it is true; other processes tell nothing when they are done."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.02)
    return found


def _draft(key: str, **texts: str) -> Draft:
    """With the key's team, where it has one."""
    team = {"team": "platform", "customer": "acme", "environment": "prod"} if key == "ide" else {}
    return Draft(key=key, **team, **texts)


class ControlHost:
    """Folders, a configuration, and a control process on a free port."""

    def __init__(self, folder: Path, config: str = CONFIG) -> None:
        self.state_dir, self.arena_dir = folder / "state", folder / "arena"
        self.config = folder / "fastgate.yaml"
        self.config.write_text(config)
        for made in (self.state_dir, self.arena_dir):
            made.mkdir(mode=0o700)
        self.log = folder / "control.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.start()
        self.arena = Arena(str(self.arena_dir / "arena.bin"))
        self.owner = Owner(self.arena, WORKER, os.getpid())
        self.journal = Journal(str(self.arena_dir), self.owner.slot)
        self.prices = PriceTable(Snapshot(str(self.arena_dir / "snapshot.bin")).prices)
        self.requests = 0

    def start(self) -> None:
        """Starts the process and waits until it says that it is ready."""
        ready, writer = os.pipe()
        options = ["--config", self.config, "--state-dir", self.state_dir, "--arena-dir", self.arena_dir]
        with self.log.open("ab") as log:
            began = self.log.stat().st_size
            self.process = subprocess.Popen(
                [sys.executable, "-m", "fastgate.control.process", *map(str, options), "--admin-port", "0"],
                stdin=subprocess.PIPE, stderr=log, pass_fds=(writer,),
                env={**os.environ, "FASTGATE_READY_FD": str(writer)},
            )  # fmt: skip
        os.close(writer)
        try:
            assert os.read(ready, 16) == b"ready\n", self.log.read_text()
        finally:
            os.close(ready)
        said = self.log.read_bytes()[began:].decode()
        port = int(said.split("admin API on port ")[1].split()[0])
        self.client = httpx.Client(
            base_url=f"http://127.0.0.1:{port}",
            headers={"authorization": f"Bearer {TOKEN}"},
            trust_env=False,
            timeout=30,
        )

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ends the process; returns its exit code."""
        assert self.process is not None
        assert self.process.stdin is not None
        self.client.close()
        self.process.send_signal(number)
        code = self.process.wait(30)
        self.process.stdin.close()
        return code

    def get(self, path: str, *pairs: tuple[str, str]) -> Any:
        """The answer's document; it has to be 200."""
        answer = self.client.get(f"/api/v1/{path}", params=list(pairs))
        assert answer.status_code == 200, answer.text
        return answer.json()

    def serve(
        self,
        usage: Usage,
        *,
        key: str = "ide",
        tags: str = "",
        user: str = "",
        settlement: int = SETTLED_EXACT,
        model: str = "sim-small",
        cache: int = CACHE_NONE,
        meaning: int = MEANING_NONE,
    ) -> int:
        """One request as a worker books it; returns its cost in nano-USD."""
        levels = [
            Level(self.arena.cell(name), limit, Period(*window))
            for name, limit, window in zip(BUDGETS, LIMITS, WINDOWS, strict=True)
            if key == "ide"
        ]
        draft = _draft(key, model="smart", upstream_model=model, tags=tags, user=user, **ROUTED)
        now, request_id = self._next()
        price = self.price(model)
        cost = self.prices.cost(price, usage, now)
        held = hold(self.owner, self.journal, Levels(self.arena, levels), draft, cost + 1000, now, request_id)
        assert not isinstance(held, int)
        held.sent()
        held.settle(
            cost, usage, settlement, OUTCOME_OK, 200,
            duration_us=2500, upstream_us=2000, overhead_us=500, cache=cache,
            meaning=meaning,
        )  # fmt: skip
        return cost

    def hit(self, saved: int, cache: int, meaning: int = MEANING_NONE) -> None:
        """One request that a cache answered."""
        draft = _draft("ide", model="smart", upstream_model="sim-small", **ROUTED)
        now, request_id = self._next()
        held = hold(self.owner, self.journal, Levels(self.arena, []), draft, 0, now, request_id)
        assert not isinstance(held, int)
        held.settle(
            0, None, SETTLED_NONE, OUTCOME_OK, 200, duration_us=30, overhead_us=30, cache=cache, saved=saved,
            meaning=meaning, given=entry_note(ENTRY, 9_123, 60),
        )  # fmt: skip

    def reject(self, error: str) -> None:
        """One request that was refused before a hold."""
        now, request_id = self._next()
        draft = _draft("ide", model="smart", dialect="openai-chat")
        self.journal.log(draft, request_id, now // 1000, 40, 402, OUTCOME_REJECTED, False, error)

    def _next(self) -> tuple[int, bytes]:
        """Now, and the id of a request that begins now."""
        self.requests += 1
        now = time.time_ns()
        return now, now.to_bytes(8, "big") + self.requests.to_bytes(8, "big")

    def price(self, model: str) -> int:
        """The price index of a model."""
        import msgspec

        from fastgate.wire.snapshot import SnapshotHead

        head = msgspec.msgpack.decode(Snapshot(str(self.arena_dir / "snapshot.bin")).head, type=SnapshotHead)
        return head.providers[0].price_of(model)

    def settled(self) -> Any:
        """Waits until every request is in the ledger; returns the whole spend."""
        return until(lambda: (found := self.get("spend"))["total"]["requests"] == self.requests and found)

    def close(self) -> None:
        """Ends whatever still runs."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self.process is not None and self.process.stdin is not None:
            self.process.stdin.close()
        self.client.close()
