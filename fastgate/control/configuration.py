"""The configuration in force: read, compiled, published to the workers; a reload replaces it or, failing, keeps it."""

import logging
import os
import threading
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Final

from fastgate._core.arena import Arena, ArenaError
from fastgate._core.price import PriceTable
from fastgate.config import Config, ConfigErrors, Problem
from fastgate.config.additions import Additions
from fastgate.config.certificates import date_warning
from fastgate.config.documents import read_document, text_of
from fastgate.config.fixed import host_settings, process_settings
from fastgate.config.references import model_findings
from fastgate.config.variables import Variables
from fastgate.control.check import embedder_warnings, price_findings, proxy_findings
from fastgate.control.collections import CACHE, COLLECTIONS, stored_additions
from fastgate.control.compile import CompiledSnapshot, Record, compile_snapshot
from fastgate.control.names import FileNames, Names, resolves
from fastgate.control.publisher import Publisher
from fastgate.pricing.listed import SOURCE
from fastgate.state import objects
from fastgate.state.errors import StateError
from fastgate.state.store import Store
from fastgate.wire.sealing import SealError
from fastgate.wire.snapshot import NO_PRICE, BudgetRecord
from fastgate.wire.usage import Tier
from fastgate.wire.whole_files import replace

log = logging.getLogger("fastgate.control")


class ReloadFailed(Exception):
    """The configuration was not replaced. ``problems`` is empty where the cause is not the file's text."""

    def __init__(self, message: str, problems: tuple[Problem, ...] = ()) -> None:
        super().__init__(message)
        self.problems = problems


class NotPublished(Exception):
    """A change is kept, but no snapshot could be made that brings it to the workers: it is tried again."""


@dataclass(frozen=True)
class Published:
    """A compiled configuration that the workers were given."""

    config: Config
    """What the file said."""
    compiled: CompiledSnapshot
    """That, with what the store adds."""
    at: float
    """Unix seconds."""
    restart_needed: tuple[str, ...] = ()
    """Settings whose change waits for a restart."""
    misfits: tuple[str, ...] = ()
    """Why objects of the API that do not go together with the file are out of force: only ever after a start."""
    prices: PriceTable = field(init=False, repr=False)
    order: tuple[str, ...] = field(init=False, repr=False)
    """Ids of all budgets, sorted."""
    by_owner: Mapping[str, tuple[BudgetRecord, ...]] = field(init=False, repr=False)

    names: FileNames = field(init=False, repr=False)

    def __post_init__(self) -> None:
        owners: dict[str, list[BudgetRecord]] = {}
        for record in self.compiled.budgets.values():
            owners.setdefault(record.owner, []).append(record)
        object.__setattr__(self, "prices", PriceTable(self.compiled.prices))
        object.__setattr__(self, "order", tuple(sorted(self.compiled.budgets)))
        head = self.compiled.head
        names = FileNames(self.config, head.ceilings.keys(), cached=head.cache_mb > 0)
        object.__setattr__(self, "names", names)
        object.__setattr__(self, "by_owner", {owner: tuple(records) for owner, records in owners.items()})

    @property
    def generation(self) -> int:
        """Counts up with every configuration that was published on this arena."""
        return self.compiled.head.generation

    def order_after(self, id_: str) -> Iterator[str]:
        """Ids of budgets behind ``id_``."""
        return islice(self.order, bisect_right(self.order, id_), None)

    def lists_tier(self, price: int, tier: str) -> bool:
        """Whether a price has what a served tier costs now; prices that operators state hold for all of them."""
        record = self.compiled.head.prices[price]
        listed = record.source == SOURCE and tier.upper() in Tier.__members__
        return not listed or self.prices.has_tier(price, Tier[tier.upper()], time.time_ns())

    def price_of(self, provider: str, model: str) -> int:
        """The price index of an upstream model, or ``NO_PRICE``."""
        for record in self.compiled.head.providers:
            if record.name == provider:
                return record.price_of(model)
        return NO_PRICE


_KEPT_FOR: Final = "configuration"
"""For whom the file's text is sealed."""


class Configuration:
    """Reads the file at ``path``; what comes of it goes to the workers together with the objects of the store.

    Its text is kept at ``kept`` when it is in force, for a start amid the service that finds mistakes in it: sealed, as
    there may be secrets in it. ``started_with``: settings that the host took up when it started, as
    :func:`~fastgate.config.fixed.host_settings` gives them; the rest of what is fixed is as the first load finds it.
    """

    def __init__(
        self,
        path: Path,
        arena: Arena,
        store: Store,
        publisher: Publisher,
        *,
        kept: Path,
        environment: Mapping[str, str] = os.environ,
        started_with: Mapping[str, Any] | None = None,
    ) -> None:
        self.path = path
        self._kept = kept
        self.error: ReloadFailed | None = None
        self.failed_at: float | None = None
        self.names = Names()
        self.latest: Published | None = None
        self.before_compiling: Callable[[Config], None] = lambda config: None
        """Called with what the file says, before it is looked at beside what the store has."""
        self._arena = arena
        self._store = store
        self._publisher = publisher
        self._environment = environment
        self._started_with = started_with
        self._fixed: Mapping[str, Any] = {}
        self._lock = threading.RLock()

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
        published = self._load(lambda: text_of(self.path), before_publishing)
        self.error, self.failed_at = None, None
        return published

    def load_kept(self, before_publishing: Callable[[Published], None] = lambda _: None) -> Published:
        """As ``load``, of what the file said when it was last in force; ``error`` stays: it says what is wrong now."""
        failure, failed_at = self.error, self.failed_at
        published = self._load(lambda: self._store.sealer.open(self._kept.read_bytes(), _KEPT_FOR), before_publishing)
        self.error, self.failed_at = failure, failed_at
        log.warning("what the configuration said when it was last in force is served: correct it and reload")
        return published

    def _load(self, read: Callable[[], str], before_publishing: Callable[[Published], None]) -> Published:
        with self._lock:
            try:
                text = read()
                config = self._read(text)
                self.before_compiling(config)
                self.names.coming = FileNames(config)  # from here on, new objects have to fit in both
                misfits = self._acceptable_misfits(self.names.coming, config)
                published = Published(
                    config, self._compiled(config), time.time(), self._restart_needed(config), misfits
                )
                before_publishing(published)
                records = self._publisher.publish(published.compiled, lambda: self._stored(published.names))
            except ReloadFailed as failure:
                self._failed(failure)
                raise
            except ConfigErrors as errors:
                raise self._failed(ReloadFailed("the configuration has mistakes", tuple(errors.problems))) from errors
            except (OSError, ValueError, ArenaError, StateError, SealError) as error:
                raise self._failed(ReloadFailed(f"the configuration cannot be published: {error}")) from error
            finally:
                self.names.coming = None
            self._take(published)
            self._keep(text)
        for misfit in misfits:
            log.warning("out of force: %s", misfit)
        log.info("configuration %d is in force: %s, %d records", published.generation, self.path, records)
        tls = published.config.server.tls
        warning = date_warning(self.path.parent, tls) if tls is not None else None
        if warning is not None:
            log.warning("%s", warning)
        if "cache.semantic.embedder" in published.restart_needed:
            for warning in embedder_warnings(published.config, self.path.parent):
                log.warning("the embedder that runs stays in force; of the file's: %s", warning)
        return published

    def republish(self) -> None:
        """Writes a new snapshot of what is in force, so that it holds what has changed since the last one.

        Raises NotPublished; then the last one and its changes stay in force.
        """
        with self._lock:
            before = self.current
            try:
                compiled = self._compiled(before.config)
                self._publisher.publish(compiled, lambda: self._stored(before.names))
                misfits = tuple(self._misfits(before.names, before.config)) if before.misfits else ()
            except (ConfigErrors, OSError, ValueError, ArenaError, StateError, SealError) as error:
                log.error("no new snapshot could be written: %s", error)  # noqa: TRY400
                raise NotPublished(f"no new snapshot could be written: {error}") from error
            self._take(Published(before.config, compiled, before.at, before.restart_needed, misfits))

    def rehearse(self, additions: Additions) -> None:
        """Raises ConfigErrors where no snapshot could be made of the file in force and these."""
        config = self.current.config
        compile_snapshot(additions.fitting(config).added_to(config), 0, self.path.parent)

    def _take(self, published: Published) -> None:
        self.latest = published
        self.names.current = published.names

    def _compiled(self, config: Config) -> CompiledSnapshot:
        with self._store.read() as db:
            additions = stored_additions(db, self._store.sealer)
            ceilings = [target.partition(":")[2] for target in objects.targets(db, "ceiling:")]
            cached = bool(objects.targets(db, CACHE))
        whole, generation = additions.fitting(config).added_to(config), self._arena.snapshot_generation + 1
        return compile_snapshot(
            whole,
            generation,
            self.path.parent,
            ceilings,
            cached=cached,
            environment=self._environment,
            seal=self._store.sealer.seal,
        )

    def _stored(self, names: FileNames) -> Iterator[Record]:
        """The records of the API's objects, but for those whose ids or secrets the file has, too."""
        with self._store.read() as db:
            hidden = {digest for digest in names.digests if objects.owner_of_digest(db, digest)}
            for collection in COLLECTIONS:
                for id_ in names.of(collection):
                    hidden |= objects.digests(db, collection, id_)
            yield from objects.records(db, hidden)

    def _acceptable_misfits(self, names: FileNames, config: Config) -> tuple[str, ...]:
        """A start goes on without them: who cannot start cannot set it right by the API. Raises ReloadFailed later."""
        misfits = tuple(self._misfits(names, config))
        if misfits and self.latest is not None:
            raise ReloadFailed(misfits[0])
        return misfits

    def _misfits(self, names: FileNames, config: Config) -> Iterator[str]:
        """How the objects of the API do not go together with a file."""
        with self._store.read() as db:
            for collection in COLLECTIONS:
                for id_ in names.of(collection):
                    if objects.find(db, collection, id_):
                        one = collection.removesuffix("s")
                        yield f"the {one} {id_} was created by the API already: rename the file's, or delete the other"
            for digest in names.digests:
                if other := objects.owner_of_digest(db, digest):
                    yield f"a key of the file has the secret of {other}, which was created by the API: change one"
            known = names.known(db)
            for target in objects.targets(db):
                if not resolves(target, known):
                    users = ", ".join(objects.referrers(db, target))
                    yield f"the file has no {target} any more, which {users} of the API names"
            fitting = stored_additions(db, self._store.sealer).fitting(config)
            for name, model in fitting.added_to(config).models.items():
                for finding in model_findings((), name, model, known):
                    yield f"beside what the API created, model {name} {finding.message}: {finding.hint}"

    def _keep(self, text: str) -> None:
        try:
            replace(self._kept, self._store.sealer.seal(text, _KEPT_FOR), private=True)
        except (OSError, SealError) as error:
            log.warning("%s cannot be kept, in case that the configuration is broken: %s", self._kept, error)

    def _read(self, text: str) -> Config:
        """The configuration in ``text``, which stands in the file or did; what it refers to is beside the file."""
        document = read_document(text, str(self.path), Variables(self._environment, self.path.parent))
        findings = [*price_findings(document.config), *proxy_findings(document.config, self._environment)]
        if findings:
            raise ConfigErrors([document.problem(finding) for finding in findings])
        return document.config

    def _restart_needed(self, config: Config) -> tuple[str, ...]:
        """What the processes that run have otherwise than the file says now."""
        of_host, of_processes = host_settings(config), process_settings(config)
        if self.latest is None:
            self._fixed = {**(of_host if self._started_with is None else self._started_with), **of_processes}
        found = {**of_host, **of_processes}
        return tuple(sorted(name for name, value in self._fixed.items() if found[name] != value))

    def _failed(self, failure: ReloadFailed) -> ReloadFailed:
        self.error, self.failed_at = failure, time.time()
        kept = "" if self.latest is None else f"; configuration {self.latest.generation} stays in force"
        lines = "".join(f"\n  {problem}" for problem in failure.problems)
        log.error("%s%s%s", failure, kept, lines)
        return failure
