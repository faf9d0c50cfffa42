"""The configuration in force: read, compiled, published to the workers; a reload replaces it or, failing, keeps it."""

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from fastgate._core.arena import Arena, ArenaError
from fastgate._core.price import PriceTable
from fastgate.config import Config, ConfigErrors, Problem, load_document
from fastgate.control.check import price_findings
from fastgate.control.compile import CompiledSnapshot, compile_snapshot
from fastgate.wire.snapshot import NO_PRICE, BudgetRecord

FIXED: Final[Mapping[str, Callable[[Config], object]]] = {
    "server.host": lambda config: config.server.host,
    "server.port": lambda config: config.server.port,
    "server.admin_port": lambda config: config.server.admin_port,
    "server.workers": lambda config: config.server.workers,
    "state_dir": lambda config: config.state_dir,
    "arena_dir": lambda config: config.arena_dir,
    "admin.host": lambda config: config.admin.host,
    "admin.token": lambda config: config.admin.token,
}
"""Settings that a running host does not take up."""

log = logging.getLogger("fastgate.control")


class ReloadFailed(Exception):
    """The configuration was not replaced. ``problems`` is empty where the cause is not the file's text."""

    def __init__(self, message: str, problems: tuple[Problem, ...] = ()) -> None:
        super().__init__(message)
        self.problems = problems


@dataclass(frozen=True)
class Published:
    """A compiled configuration that the workers were given."""

    compiled: CompiledSnapshot
    keys: int
    at: float
    """Unix seconds."""
    restart_needed: tuple[str, ...] = ()
    """Settings whose change waits for a restart."""
    prices: PriceTable = field(init=False, repr=False)
    order: tuple[str, ...] = field(init=False, repr=False)
    """Ids of all budgets, sorted."""
    by_owner: Mapping[str, tuple[BudgetRecord, ...]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        owners: dict[str, list[BudgetRecord]] = {}
        for record in self.compiled.budgets.values():
            owners.setdefault(record.owner, []).append(record)
        object.__setattr__(self, "prices", PriceTable(self.compiled.prices))
        object.__setattr__(self, "order", tuple(sorted(self.compiled.budgets)))
        object.__setattr__(self, "by_owner", {owner: tuple(records) for owner, records in owners.items()})

    @property
    def config(self) -> Config:
        """What the file said."""
        return self.compiled.config

    @property
    def generation(self) -> int:
        """Counts up with every configuration that was published on this arena."""
        return self.compiled.head.generation

    def price_of(self, provider: str, model: str) -> int:
        """The price index of an upstream model, or ``NO_PRICE``."""
        for record in self.compiled.head.providers:
            if record.name == provider:
                return record.price_of(model)
        return NO_PRICE


class Configuration:
    """Reads the file at ``path``; writes the snapshot into ``folder`` and tells its generation to the arena."""

    def __init__(self, path: Path, folder: Path, arena: Arena, environment: Mapping[str, str] = os.environ) -> None:
        self.path = path
        self.error: ReloadFailed | None = None
        self.failed_at: float | None = None
        self._snapshot = folder / "snapshot.bin"
        self._arena = arena
        self._environment = environment
        self.latest: Published | None = None
        self._lock = threading.Lock()

    @property
    def current(self) -> Published:
        """What is in force; ``latest`` where it may be that nothing is."""
        assert self.latest is not None, "nothing was published yet"
        return self.latest

    def load(self, before_publishing: Callable[[Published], None] = lambda _: None) -> Published:
        """Reads, compiles and publishes; one at a time, from any thread.

        ``before_publishing`` sees the new configuration when nobody uses it yet. Raises ReloadFailed: what was in force
        still is, and ``error`` says why.
        """
        with self._lock:
            try:
                published = self._compile()
                before_publishing(published)
                published.compiled.write(self._snapshot)
                self._arena.snapshot_generation = published.generation
            except ConfigErrors as errors:
                raise self._failed(ReloadFailed("the configuration has mistakes", tuple(errors.problems))) from errors
            except (OSError, ValueError, ArenaError) as error:
                raise self._failed(ReloadFailed(f"the configuration cannot be published: {error}")) from error
            self.latest, self.error, self.failed_at = published, None, None
        log.info("configuration %d is in force: %s, %d keys", published.generation, self.path, published.keys)
        return published

    def _compile(self) -> Published:
        document = load_document(self.path, self._environment)
        findings = list(price_findings(document.config))
        if findings:
            raise ConfigErrors([document.problem(finding) for finding in findings])
        generation = self._arena.snapshot_generation + 1
        compiled = compile_snapshot(document.config, generation, self.path.parent)
        changed: tuple[str, ...] = ()
        if self.latest is not None:
            old = self.latest.config
            changed = tuple(name for name, get in FIXED.items() if get(old) != get(document.config))
            changed = tuple(sorted({*self.latest.restart_needed, *changed}))
        return Published(compiled, len(document.config.keys), time.time(), changed)

    def _failed(self, failure: ReloadFailed) -> ReloadFailed:
        self.error, self.failed_at = failure, time.time()
        kept = "" if self.latest is None else f"; configuration {self.latest.generation} stays in force"
        lines = "".join(f"\n  {problem}" for problem in failure.problems)
        log.error("%s%s%s", failure, kept, lines)
        return failure
