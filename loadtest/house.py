"""fastgate as an operator runs it: a configuration and ``fastgate serve``; the worker is then moved to its core."""

import json
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from fastgate.supervisor.folders import SHARED_MEMORY, choose_arena_dir
from loadtest import nginx, streamed
from loadtest.cores import Cores, pin
from loadtest.errors import RigError
from loadtest.programs import Programs, free_ports, until
from loadtest.trees import HERE, Tree

KEY: Final = "sk-fg-loadtest"
CONSTANT: Final = "constant"
SOURCE: Final = "source"
INPUT_USD: Final = Decimal("0.15")
OUTPUT_USD: Final = Decimal("0.60")
"""Per million tokens."""
LEDGER_SECONDS: Final = 30.0
_LOOK_SECONDS: Final = 0.1

_BUDGETS: Final = 'budgets: [{limit_usd: "1000000", window: month, grace: "10000"}]'
_PROVIDER: Final = """\
  {name}:
    type: openai-compatible
    base_url: http://127.0.0.1:{port}/v1
    keys: [{{name: main, value: upstream-secret}}]
    prices: {{{model}: {{input_usd_per_million: "{input}", output_usd_per_million: "{output}", source: load test}}}}
"""
_PLACE: Final = """\
server: {{port: {port}, admin_port: {admin_port}, workers: {workers}, drain_seconds: 5}}
state_dir: {state_dir}
arena_dir: {arena_dir}
"""
_SETTINGS: Final = """\
providers:
{providers}customers: [{{id: customer, {budgets}}}]
teams: [{{id: team, customer: customer, {budgets}}}]
keys:
  - id: key
    team: team
    secret: {key}
    {budgets}
    providers: [{{provider: constant, {budgets}}}, {{provider: source, {budgets}}}]
{key_settings}"""


@dataclass(frozen=True)
class Booked:
    """What the ledger has for one provider: answered requests, what they cost, how many are not exact, all others."""

    requests: int = 0
    cost: Decimal = Decimal(0)
    inexact: int = 0

    def since(self, before: "Booked") -> "Booked":
        return Booked(self.requests - before.requests, self.cost - before.cost, self.inexact - before.inexact)


def price(provider: str, output_tokens: int) -> Decimal:
    """USD of one request to a provider of the rig, from its usage and the prices above."""
    prompt = nginx.PROMPT_TOKENS if provider == CONSTANT else streamed.PROMPT_TOKENS
    return (prompt * INPUT_USD + output_tokens * OUTPUT_USD) / 1_000_000


def arena_folder() -> "tempfile.TemporaryDirectory[str]":
    """A folder for the arena where fastgate itself would put it: in shared memory if that is large enough."""
    roomy = choose_arena_dir(Path(tempfile.gettempdir())).parent == SHARED_MEMORY
    where = SHARED_MEMORY if roomy else None
    return tempfile.TemporaryDirectory(prefix="fastgate-loadtest-", dir=where, ignore_cleanup_errors=True)


class Gateway:
    """A running fastgate; its first worker is the subject."""

    def __init__(
        self,
        programs: Programs,
        cores: Cores,
        arena_dir: Path,
        settings: str,
        *,
        workers: int = 1,
        variables: Mapping[str, str] = MappingProxyType({}),
        tree: Tree = HERE,
    ) -> None:
        """``settings``: its configuration, but for its place; ``variables``: further ones of its environment."""
        self._programs = programs
        self.state_dir = programs.folder / "state"
        self.port, self.admin_port = free_ports(2)
        path = programs.folder / "fastgate.yaml"
        place = _PLACE.format(
            port=self.port,
            admin_port=self.admin_port,
            workers=workers,
            state_dir=self.state_dir,
            arena_dir=arena_dir,
        )
        path.write_text(place + settings)
        environment = {**tree.environment(), **variables}
        self.supervisor = programs.start("fastgate", tree.serve(path), cores.load, environment=environment)
        until(self._serving, "fastgate serves")
        children = {child["name"]: child["pid"] for child in self._health()["children"]}
        self.control = int(children["control"])
        self.workers = [int(children[f"worker {index}"]) for index in range(workers)]
        self.worker = self.workers[0]
        self.token = (self.state_dir / "admin-token").read_text().strip()
        tree.check(self.worker)
        pin(self.worker, cores.subject)

    def settled(self, provider: str, requests: int, seconds: float = LEDGER_SECONDS) -> Booked:
        """What the ledger has of a provider once it has so many requests, or more, or so many ``seconds`` have passed.

        Raises RigError where the worker died or its journal lost something.
        """
        deadline = time.monotonic() + seconds
        while True:
            if self._is_quiet():
                booked = self.booked(provider)
                if booked.requests >= requests or time.monotonic() > deadline:
                    return booked
            elif time.monotonic() > deadline:
                raise RigError(f"the journals are not drained within {seconds:g} s")
            time.sleep(_LOOK_SECONDS)

    def _is_quiet(self) -> bool:
        """Whether nothing is being served or waits in a journal, or for a ledger that can be written."""
        status = self._admin("status")
        journals, workers = status["journals"], [worker for worker in status["workers"] if worker["alive"]]
        if journals["dropped_events"] or journals["damaged"]:
            raise RigError(f"the journal lost events: {journals}")
        if {worker["pid"] for worker in workers} != {*self.workers}:
            raise RigError(f"the workers ({self.workers}) are not those that serve now: {workers}")
        waiting = journals["lag_events"] or any(worker["open_holds"] for worker in workers)
        return status["ledger"]["open"] and not waiting

    def served(self) -> list[int]:
        """How many requests each worker has had, a moment ago."""
        requests = {worker["pid"]: worker["requests"] for worker in self.status()["workers"]}
        return [requests[worker] for worker in self.workers]

    def open_requests(self) -> int:
        """For which money is held now."""
        return sum(int(worker["open_holds"]) for worker in self.status()["workers"])

    def booked(self, provider: str) -> Booked:
        """The ledger's rows of requests that ``provider`` answered with status 200."""
        groups = self.spend(by="provider,status")
        mine = [group for group in groups if group["provider"] == provider and group["status"] == 200]
        return Booked(
            sum(group["requests"] for group in mine),
            sum((Decimal(group["cost_usd"]) for group in mine), Decimal(0)),
            sum(group["estimated_requests"] + group["unsettled_requests"] for group in mine),
        )

    def spend(self, **how: str) -> list[dict[str, Any]]:
        """The groups that the admin API sums up."""
        found: list[dict[str, Any]] = self._admin(f"spend?{urllib.parse.urlencode(how)}")["groups"]
        return found

    def reload(self) -> float:
        """Have a new snapshot compiled; the seconds that it took until the worker served it."""
        began = time.monotonic()
        generation = self._admin("config/reload", "POST")["generation"]
        until(lambda: self._serves(generation), "the worker serves the new snapshot")
        return time.monotonic() - began

    def generation(self) -> int:
        """Of the snapshot in force; each reload counts it up."""
        return int(self.status()["config"]["generation"])

    def _serves(self, generation: int) -> bool:
        workers = self._admin("status")["workers"]
        return all(worker["generation"] >= generation for worker in workers if worker["alive"])

    def _serving(self) -> bool:
        self._programs.check()
        return (self.state_dir / "supervisor.json").exists() and self._health()["phase"] == "serving"

    def _health(self) -> dict[str, Any]:
        health: dict[str, Any] = json.loads((self.state_dir / "supervisor.json").read_text())
        return health

    def budgets(self, **which: str) -> list[dict[str, Any]]:
        """One page of the budgets that the admin API lists."""
        found: list[dict[str, Any]] = self._admin(f"budgets?{urllib.parse.urlencode(which)}")["items"]
        return found

    def status(self) -> dict[str, Any]:
        """Workers, journals and stores."""
        return self._admin("status")

    def _admin(self, path: str, method: str = "GET") -> dict[str, Any]:
        url = f"http://127.0.0.1:{self.admin_port}/api/v1/{path}"
        request = urllib.request.Request(url, method=method, headers={"authorization": f"Bearer {self.token}"})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=LEDGER_SECONDS) as answer:
            found: dict[str, Any] = json.load(answer)
        return found


class House(Gateway):
    """One in front of the constant upstreams."""

    def __init__(
        self,
        programs: Programs,
        cores: Cores,
        arena_dir: Path,
        *,
        upstream_port: int,
        source_port: int,
        key_settings: str = "",
        workers: int = 1,
        variables: Mapping[str, str] = MappingProxyType({}),
        tree: Tree = HERE,
    ) -> None:
        """``key_settings``: further lines of the key's entry in the configuration."""
        ports = {CONSTANT: (upstream_port, nginx.MODEL), SOURCE: (source_port, streamed.MODEL)}
        providers = [
            _PROVIDER.format(name=name, port=port, model=model, input=INPUT_USD, output=OUTPUT_USD)
            for name, (port, model) in ports.items()
        ]
        settings = _SETTINGS.format(providers="".join(providers), budgets=_BUDGETS, key=KEY, key_settings=key_settings)
        super().__init__(programs, cores, arena_dir, settings, workers=workers, variables=variables, tree=tree)
