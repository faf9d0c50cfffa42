"""The control plane's parts, put together: arena, configuration, ledger, drain and metrics. Knows no HTTP."""

import json
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from fastgate._core.arena import Arena
from fastgate._core.owner import CONTROL, WORKER, Owner, counts_of, owners
from fastgate.budgets.hierarchy import level_of
from fastgate.budgets.templates import BUDGETS, LEVELS, LIMITS
from fastgate.control.backup import Backup
from fastgate.control.budget_book import BudgetBook
from fastgate.control.cache_book import CacheBook
from fastgate.control.cache_shared import shared_entries
from fastgate.control.cache_tiers import CacheTiers
from fastgate.control.configuration import Configuration, NotPublished, Published, ReloadFailed
from fastgate.control.counters import FirstUses, Standing, standing
from fastgate.control.drain import Drain
from fastgate.control.hosts_report import gauges_of
from fastgate.control.leasing import Leasing
from fastgate.control.limit_book import LimitBook
from fastgate.control.objects import Objects
from fastgate.control.options import Options
from fastgate.control.overruns import Overruns
from fastgate.control.payments import Payments
from fastgate.control.publisher import Publisher
from fastgate.control.recount import Recount
from fastgate.control.resets import Resets
from fastgate.control.semantic_book import SemanticBook
from fastgate.control.semantic_report import metrics_of
from fastgate.control.sharing import Sharing
from fastgate.control.shipping import Shipping
from fastgate.control.thresholds import Thresholds
from fastgate.control.value_pages import ValuePages
from fastgate.ledger.alerts import Alert
from fastgate.ledger.errors import LedgerUnavailable, NewerLedger
from fastgate.ledger.inserts import ORIGIN, Batch, Columns
from fastgate.ledger.resets import Reset
from fastgate.ledger.store import Ledger
from fastgate.state import audit
from fastgate.state.errors import StateError
from fastgate.state.store import Store
from fastgate.telemetry.exposition import MOST_BUDGETS, BudgetLine, Exposition, Gauges
from fastgate.telemetry.tally import Origin, Tally
from fastgate.wire.caching import SharedEvent
from fastgate.wire.snapshot import NO_PRICE, BudgetRecord

HOUSEKEEPING_SECONDS = 30.0
_FLUSH_SECONDS = 2.0
LEDGER_MARK = "ledger.born"
LAST_GOOD = "last-good"
"""In the state folder: the configuration's text when it was last in force, sealed."""

log = logging.getLogger("fastgate.control")


class ControlPlane:
    """``start`` to ``stop``. Methods may be called from any thread."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.started_at = time.time()
        self.arena = Arena(str(options.arena_dir / "arena.bin"), True)
        self.owner = Owner(self.arena, CONTROL, os.getpid())
        self.store = Store(options.state_dir / "state.db")
        self.publisher = Publisher(options.arena_dir, self.arena)
        self.configuration = Configuration(
            options.config,
            self.arena,
            self.store,
            self.publisher,
            kept=options.state_dir / LAST_GOOD,
            started_with=options.started_with,
        )
        self.budgets = BudgetBook(self.store, lambda: self.configuration.current)
        self.all_budgets = ValuePages(self.arena, self.budgets, BUDGETS)
        self.all_limits = ValuePages(self.arena, LimitBook(self.store, lambda: self.configuration.current), LIMITS)
        self.objects = Objects(self.store, self.publisher, self.configuration, self._changed)
        self.sharing = Sharing(self.store, self.objects, options.state_dir)
        self.configuration.before_compiling = lambda config: self.sharing.join(config, options.config.parent)
        self.caches = CacheTiers(
            CacheBook(
                self.arena,
                options.arena_dir,
                self.publisher,
                self.store,
                lambda: shared_entries(self.configuration.latest),
            ),
            SemanticBook(options.arena_dir, lambda: self.configuration.current.config.cache.semantic, self.store),
        )
        self.leasing = Leasing(self.arena, options.arena_dir, options.state_dir, self._written)
        self.resets = Resets(self.arena, self.owner, options.arena_dir)
        self.ledger = Ledger(options.state_dir / "ledger.duckdb")
        self.shipping = Shipping(self.ledger, options.state_dir)
        self.tally = Tally()
        self.exposition = Exposition(self.tally, self._look)
        self.drain = Drain(options.arena_dir, self.ledger, self._taken, self._slots, self._beat, coming=self._coming)
        self.backup = Backup(options.state_dir, self.store, self.ledger, self.drain)
        self.recount = Recount(self.arena, self.ledger, self.drain.flush, options.state_dir / LEDGER_MARK)
        self._first_uses = FirstUses(self.arena, self.ledger)
        self._thresholds = Thresholds(self.arena, self.ledger, lambda: self.shares)
        self._soft = Payments(lambda record: record.soft)
        self._overruns = Overruns()
        self._origins: dict[int, Origin] = {}
        self._due, self._ending = threading.Event(), threading.Event()
        self._housekeeper = threading.Thread(target=self._keep_house, name="housekeeping", daemon=True)
        self._noted = (0, 0)
        """The generation whose budgets were all looked at for a first use, and for which opening of the ledger."""
        self.news: Callable[[], None] = lambda: None
        """Called when there are new rows in the ledger, in the drain's thread."""

    def start(self) -> None:
        """Publishes the configuration, then drains in the background. Raises ReloadFailed, and NewerLedger.

        Without a ledger the data plane is served all the same; the state is shown, and the ledger tried again.
        """
        try:
            self.ledger.open()
        except NewerLedger:
            raise
        except LedgerUnavailable as error:
            log.warning("%s", error)
        self._load()
        self.drain.start()
        self._housekeeper.start()

    def _load(self) -> None:
        """Workers that serve already go on by what was in force, where the file has mistakes by now."""
        serves = self.arena.snapshot_generation > self.options.stale
        try:
            self.configuration.load(self._rebuild)
        except ReloadFailed as failure:
            if not (serves and failure.problems):
                raise
            try:
                self.configuration.load_kept(self._rebuild)
            except ReloadFailed:
                raise failure from None

    def stop(self, seconds: float | None = None) -> None:
        """Drains what is left and lets go of everything."""
        self._ending.set()
        began = time.monotonic()
        if self.shipping.shared() is not None:
            self.drain.flush(_FLUSH_SECONDS)  # so that all of it can go there
        self.shipping.stop()
        self.drain.stop(None if seconds is None else max(_FLUSH_SECONDS, seconds + began - time.monotonic()))
        self.leasing.stop()
        self.sharing.stop()
        self.store.close()
        self.sharing.close()
        self.resets.close()
        self.owner.release()

    def reload(self) -> Published:
        """Reads the configuration again. Raises ReloadFailed; then the old one stays."""
        return self.configuration.load(self._rebuild)

    @property
    def shares(self) -> bool:
        """Whether budgets and limits are shared with other hosts."""
        current = self.configuration.latest
        return current is not None and current.compiled.head.leases is not None

    def budget(self, id_: str) -> BudgetRecord | None:
        """The one with this id; of a template where a request of its value has come. Raises StateError."""
        return self.all_budgets.made(id_) if level_of(id_) in LEVELS else self.budgets.find(id_)

    def standing(self, record: BudgetRecord) -> Standing:
        """How it stands, with what other hosts have of it."""
        if not self.shares:
            return standing(self.arena, record)
        return replace(standing(self.arena, record, shared=True), elsewhere=self.leasing.elsewhere(record.id))

    def accept_loss(self, db: sqlite3.Connection, actor: str) -> None:
        """Counters that are not known begin at zero, and the chain of changes says so."""
        reason = json.dumps({"not_compared": self.recount.not_compared})
        audit.add(db, audit.Entry(0, time.time_ns() // 1000, actor, "accept-loss", "budgets", "", reason, ""))
        self.recount.accept_loss()

    def status(self) -> dict[str, Any]:
        """Processes, journals, stores: everything that can be in a bad state."""
        found = owners(self.arena)
        segments, lag_bytes, lag_events = self.drain.lag()
        return {
            "owners": found,
            "processes": self._supervisor(),
            "journals": {
                "segments": segments,
                "lag_bytes": lag_bytes,
                "lag_events": lag_events,
                "dropped_events": sum(owner["journal_dropped"] for owner in found),
                "dropped_nano": sum(owner["dropped_nano"] for owner in found),
                "damaged": dict(self.drain.damaged),
                "lost_events": self.drain.lost,
            },
            "ledger": {
                "path": str(self.ledger.path),
                "open": self.ledger.is_open,
                "error": self.ledger.error,
                "bytes": self.ledger.size(),
                "memory_bytes": self.ledger.memory(),
                "rows_added": self.drain.rows,
                "last_commit": self.drain.last_commit,
                "failures": self.drain.failures,
            },
            "arena": {
                "path": self.arena.path,
                **self.arena.statistics(),
                "counted": self.arena.counted,
                "not_compared": self.recount.not_compared,
            },
            "leases": self.leasing.status(),
            "sharing": self.sharing.status(),
            "shipping": self.shipping.status(),
        }

    # ---- called by the parts

    def _written(self, id_: str) -> BudgetRecord | None:
        """None, too, where it cannot be read now."""
        try:
            return self.budget(id_)
        except StateError:
            return None

    def _rebuild(self, published: Published) -> None:
        """Before workers may count on new cells: counters that a lost arena took with it come back."""
        self._first_uses.forget_callers()
        self.recount.before(BudgetBook(self.store, lambda: published))
        self._thresholds.forget()
        self._soft.forget()
        self.leasing.follow(published.config, self.options.config.parent)
        self.shipping.follow(published.config, self.options.config.parent)

    def _changed(self, *, compact: bool) -> None:
        """Objects changed; ``compact``: there are so many changes that a new snapshot is due, soon."""
        self._first_uses.forget_callers()
        self._thresholds.forget()
        self._soft.forget()
        self.leasing.doubt()
        if compact:
            self._due.set()

    def _keep_house(self) -> None:
        """Off every other path: new snapshots when they are due, secrets whose time is over."""
        while not self._ending.is_set():
            due = self._due.wait(HOUSEKEEPING_SECONDS)
            try:
                if due and not self._ending.is_set():
                    self._due.clear()
                    self.configuration.republish()
                if self.publisher.pending:  # what could not be told must not wait for the next change
                    self.publisher.change(())
                self.objects.sweep()
            except NotPublished:
                self._due.set()  # logged where it happened
                self._ending.wait(HOUSEKEEPING_SECONDS)
            except (StateError, OSError) as error:
                log.warning("housekeeping: %s", error)

    def _coming(self, columns: Columns, resets: Sequence[Reset]) -> Sequence[Alert]:
        """A batch is about to go into the ledger; the thresholds that it reaches go with it."""
        if not columns:
            return self._thresholds.of_others()
        of_owner = self._of_owner
        if self.shares and (soft := self._soft.of_batch(columns, of_owner)):
            self.leasing.count(soft)
        self._first_uses.note_batch(columns, of_owner, arena_is_new=not self.arena.counted)
        return self._thresholds.of_batch(columns, resets, of_owner)

    def _of_owner(self, owner: str) -> Iterable[BudgetRecord]:
        return self.recount.book.of_owner(owner) if self.recount.book else ()

    def _taken(self, batch: Batch) -> None:
        """A batch is in the ledger."""
        self._thresholds.taken()
        if not len(batch):
            return  # it had resets only
        self.tally.add(batch.columns, batch.origins, lambda number: self._origin(number, batch))
        self._overruns.note_batch(batch.columns, self._of_owner)
        self.news()

    def _origin(self, number: int, batch: Batch) -> Origin:
        known = self._origins.get(number)
        if known is None:
            if len(self._origins) >= 4 * self.tally.most_sets:
                self._origins.clear()
            known = self._origins[number] = self._describe(dict(zip(ORIGIN, batch.values[number], strict=True)))
        return known

    def _describe(self, values: dict[str, Any]) -> Origin:
        unpriced, unlisted_tier = values["error"] == "model_unpriced", False
        current = self.configuration.latest
        if current is not None and values["provider"] and values["settlement"] != "none":
            price = current.price_of(values["provider"], values["upstream_model"])
            unpriced = price == NO_PRICE
            unlisted_tier = not unpriced and not current.lists_tier(price, values["tier"])
        # A request that reached no provider may name any model: what clients invent must not fill the metrics.
        model = values["model"] if values["provider"] else ""
        labels = (values["provider"], model, values["key"], values["team"], str(values["status"]), values["cache"])
        return Origin(labels, values["outcome"], values["error"], values["route"], unpriced, unlisted_tier)

    def _slots(self) -> tuple[set[int], set[int]]:
        found = owners(self.arena)
        return {owner["slot"] for owner in found if not owner["alive"]}, {owner["slot"] for owner in found}

    def _beat(self, drained: bool) -> None:
        """After each pass of the drain."""
        published = self.configuration.latest
        if published is None:
            return
        self.owner.beat(time.time_ns(), self.drain.rows, published.generation)
        if drained:
            self.recount.after_drain()
        noted = (published.generation, self.ledger.openings)
        if self._noted != noted and self.ledger.is_open:
            self._first_uses.note_all()
            self._origins.clear()  # a model may have got a price
            self._noted = noted

    def _look(self) -> Gauges:
        found = owners(self.arena)
        workers = [owner for owner in found if owner["kind"] == WORKER]
        lines = []
        for record in self.budgets.page("", MOST_BUDGETS):
            now = self.standing(record)
            lines.append(BudgetLine((record.level, record.owner, record.id), now.limit, now.spent, now.held))
        return Gauges(
            budgets=lines,
            alerts=dict(self._thresholds.counts),
            overruns=dict(self._overruns.by_level),
            budgets_left_out=max(0, self.budgets.count() - MOST_BUDGETS),
            open_holds=sum(owner["open_holds"] for owner in found),
            journal_lag_events=self.drain.lag()[2],
            journal_dropped=sum(owner["journal_dropped"] for owner in found) + self.drain.lost,
            journal_dropped_nano=sum(owner["dropped_nano"] for owner in found),
            strangers=sum(owner["strangers"] for owner in workers),
            usage_anomalies=sum(owner["anomalies"] for owner in workers),
            shared_cache=self._shared_cache([owner["slot"] for owner in workers]),
            ledger_up=self.ledger.is_open,
            counted=self.arena.counted,
            semantic=metrics_of(self.options.arena_dir, self.configuration.current.compiled.head),
            workers=sum(owner["alive"] for owner in workers),
            hosts=gauges_of(self.leasing.status(), self.sharing.status(), self.shipping.status()),
        )

    def _shared_cache(self, slots: Sequence[int]) -> dict[str, int]:
        """What workers did with the tier that hosts share, once there is one."""
        told = [counts_of(self.arena, slot) for slot in slots]
        sums = {event.name.lower(): sum(each[event] for each in told) for event in SharedEvent}
        current = self.configuration.latest
        wanted = current is not None and current.compiled.head.shared is not None
        return sums if wanted or any(sums.values()) else {}

    def _supervisor(self) -> list[dict[str, Any]]:
        """The children's health as the supervisor wrote it; none where there is no supervisor."""
        try:
            document = json.loads(Path(self.options.state_dir / "supervisor.json").read_bytes())
        except (OSError, ValueError):
            return []
        children = document.get("children") if isinstance(document, dict) else None
        return children if isinstance(children, list) else []
