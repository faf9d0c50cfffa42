"""A worker's place in the house: the arena, its journal, and the snapshot that is in force."""

import asyncio
import logging
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import time_ns
from typing import Any

import msgspec

from fastgate._core.arena import Arena, ArenaError, ArenaFull
from fastgate._core.counts import anomalies
from fastgate._core.ids import RequestIds
from fastgate._core.journal import Draft, Journal
from fastgate._core.owed import pay
from fastgate._core.owner import WORKER, Owner
from fastgate._core.runner import Runner
from fastgate._core.slab import Slab
from fastgate._core.snapshot import CorruptSnapshot
from fastgate.cache.semantic import SemanticClient
from fastgate.gateway.flights import Flights
from fastgate.gateway.forms import Forms
from fastgate.gateway.patience import Patience
from fastgate.gateway.recording import Room
from fastgate.gateway.records import Records, Superseded
from fastgate.gateway.shared import SharedTier
from fastgate.gateway.state import State
from fastgate.gateway.upstreams import Upstreams
from fastgate.gateway.wants import Wants
from fastgate.wire.caching import SHARED_OWNER, SharedEvent, SharedRecord, slab_path
from fastgate.wire.sealing import Sealer, SealError
from fastgate.wire.snapshot import LeasesRecord, SnapshotHead

log = logging.getLogger("fastgate.gateway")

BEAT_SECONDS = 0.05
COMPLAINTS_PER_BEAT = 3
BODIES = 256 << 20
"""Bytes of request bodies that a worker has in memory at once; four of the longest, where those are longer."""
ANSWERS = 128 << 20
"""Bytes of long answers that a worker keeps whole at once."""


class Worker:
    """Everything that the requests of one worker share."""

    def __init__(
        self, arena_dir: Path, loop: asyncio.AbstractEventLoop, sealer: Sealer, patience: Patience | None = None
    ) -> None:
        self.arena = Arena(str(arena_dir / "arena.bin"))
        self.owner = Owner(self.arena, WORKER, os.getpid())
        self.journal = Journal(str(arena_dir), self.owner.slot)
        self._disk = ThreadPoolExecutor(1, thread_name_prefix="disk")
        self.strangers = 0
        self.open = 0
        self.body_bytes = 0
        self.answer_bytes = 0
        self.patience = patience or Patience()
        self.slab: Slab | None = None
        """What the exact cache keeps; None: nobody wants it, or there is no room for it."""
        self.forms = Forms()
        self.recordings = Room()
        """What streams may take that are kept aside on their way."""
        self.shared: SharedTier | None = None
        """Where other hosts keep theirs; None: nobody asks there."""
        self._shared_by: tuple[SharedRecord, str] | None = None
        self._shared_counts = [0] * len(SharedEvent)
        self._closing: set[asyncio.Task[None]] = set()
        self.meanings: SemanticClient | None = None
        """The line to the semantic process; None: there is none."""
        self.wants: Wants | None = None
        """Whom to tell that a slice of what hosts share does not suffice; None: nothing is shared."""
        self._arena_dir = arena_dir
        self._snapshot_path = arena_dir / "snapshot.bin"
        self.loop = loop
        self.flights = Flights(loop)
        self.runner = Runner(loop)
        self._sealer = sealer
        self._upstreams = Upstreams(self.runner, sealer)
        self._complaints = 0
        self._full = False
        self._anomalies_told = 0
        self.ids = RequestIds(int.from_bytes(os.urandom(8), "big"))
        self._generation = -1
        self.state = self._load()
        """The snapshot in force."""

    def task(self) -> asyncio.Task[Any]:
        """What serves the request that is served now, where it is no run of our own server's: a task of Granian's.

        The loop is named since finding out which one runs would be a call of the kernel.
        """
        task = asyncio.current_task(self.loop)
        assert task is not None
        return task

    def count_stranger(self) -> None:
        """A request that bore no valid key: counted, not journaled, so that a flood of them fills nothing."""
        self.strangers += 1

    def log(self, draft: Draft, *about: Any) -> None:
        """Journal a request that held nothing; where there is no space it is only counted."""
        try:
            self.journal.log(draft, *about)
        except (ArenaFull, OSError):
            self.owner.drop_event()

    def unread(self) -> int:
        """Requests whose answers may wait for their clients: open ones, and those whose answers are not taken yet."""
        return self.open + len(self.patience.lingering)

    def keep(self, size: int) -> bool:
        """Room for ``size`` bytes of an answer until its client has taken it; False: relay it as it comes."""
        fits = self.answer_bytes + size <= ANSWERS
        self.answer_bytes += size if fits else 0
        return fits

    def complain(self, what: str, **facts: str) -> None:
        """Tell the operator's log, unless it has heard enough already: a few lines between two beats."""
        self._complaints += 1
        if self._complaints <= COMPLAINTS_PER_BEAT:
            log.warning("%s", what, extra={"facts": facts})

    def beat(self) -> None:
        """Off the request path, many times a second: prepare the journal, take what changed, end idle waits."""
        try:
            self.journal.prepare(self._disk.submit)
            if self.owner.owes:
                pay(self.owner, self.journal)
            self._full = False
        except (ArenaFull, OSError) as error:
            self._say_full(error)
        if self.arena.snapshot_generation != self._generation:
            self._renew()
        else:
            self._follow()
        self.owner.beat(time_ns(), self.ids.made, self._generation, self.strangers, self._anomalies())
        self.owner.tell_counts(self._shared_counts)
        self.patience.look()
        self.flights.renew()
        if self.meanings is not None:
            self.meanings.look()
        if self._complaints > COMPLAINTS_PER_BEAT:
            log.warning("... and %d more like it", self._complaints - COMPLAINTS_PER_BEAT)
        self._complaints = 0

    def _say_full(self, error: Exception) -> None:
        """The journal gets no further segment: once, not at every beat."""
        if not self._full:
            log.warning("events are kept as sums once the journal is full: %s", error)
        self._full = True

    def _anomalies(self) -> int:
        """How many reports of usage contradicted themselves; new ones are told to the operator."""
        count = anomalies.total()
        if count != self._anomalies_told:
            self._anomalies_told = count
            kinds = ", ".join(f"{kind} {number}" for kind, number in sorted(anomalies.items()))
            log.warning("providers' reports of usage contradicted themselves and were corrected: %s", kinds)
        return count

    def _renew(self) -> None:
        """Serve the snapshot that the control plane announced; one that cannot be read leaves the old one in force."""
        before = self.state
        try:
            self.state = self._load()
        except Superseded:
            return  # the next beat finds the snapshot that came instead
        except (CorruptSnapshot, msgspec.MsgspecError, OSError, ValueError, SealError) as error:
            self._generation = self.arena.snapshot_generation
            log.error("snapshot %d cannot be used, the one before stays in force: %s", self._generation, error)  # noqa: TRY400
            return
        before.close()

    def _follow(self) -> None:
        """Serve by what changed since the snapshot was written."""
        try:
            self.state.follow()
        except (CorruptSnapshot, OSError) as error:
            self.complain(
                f"changes of keys and budgets cannot be read, so none is in force until the next reload: {error}"
            )

    async def cut(self) -> None:
        """Whatever providers still answer has to end here and now; it is settled by what was seen of it."""
        await self._upstreams.close()

    async def close(self) -> None:
        """Leave in order: connections closed, journal sealed, slot given back."""
        await self._upstreams.close()
        self._share(None, "")
        await asyncio.gather(*self._closing, return_exceptions=True)
        self._follow_meanings(False)
        self._follow_leases(None)
        pay(self.owner, self.journal)
        self.journal.close()
        self._disk.shutdown()
        if self.owner.open_holds == self.owner.owes == 0:
            self.owner.release()

    def _follow_slab(self, megabytes: int) -> None:
        """Use the cache's file of this size. One that cannot be used is a miss, not a failure."""
        path = str(slab_path(self._arena_dir, megabytes)) if megabytes else ""
        if path == (self.slab.path if self.slab is not None else ""):
            return
        try:
            self.slab = Slab(path) if path else None
        except (ArenaError, OSError) as error:
            self.slab = None
            log.warning("the exact cache is not used: %s", error)

    def _share(self, record: SharedRecord | None, credentials: str) -> None:
        """Use this Redis, None: no more. The one before gets what waits to be written there, within a bound."""
        by = None if record is None else (msgspec.structs.replace(record, credentials=b""), credentials)
        if by == self._shared_by:
            return
        if self.shared is not None:
            closing = self.loop.create_task(self.shared.close())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)
        self._shared_by = by
        self.shared = None if by is None else SharedTier(self.loop, *by, self._shared_counts)

    def _follow_meanings(self, wanted: bool) -> None:
        """Have a line to the semantic process, or none."""
        if self.meanings is not None and not wanted:
            self.meanings.close()
            self.meanings = None
        elif self.meanings is None and wanted:
            self.meanings = SemanticClient(self._arena_dir, self.loop)

    def _follow_leases(self, record: LeasesRecord | None) -> None:
        """Have a line to what leases from other hosts, or none."""
        if self.wants is not None:
            self.wants.close()
        self.wants = None if record is None else Wants(self._arena_dir, record.wait_ms)

    def _load(self) -> State:
        generation = self.arena.snapshot_generation
        records = Records(self._snapshot_path)
        head = msgspec.msgpack.decode(records.snapshot.head, type=SnapshotHead)
        credentials = "" if head.shared is None else self._sealer.open(head.shared.credentials, SHARED_OWNER)
        upstreams = self._upstreams.renew(head.providers)
        self._follow_slab(head.cache_mb)
        self._share(head.shared, credentials)
        self._follow_meanings(head.semantic is not None)
        self._follow_leases(head.leases)
        self._generation = generation
        self.most_body_bytes = max(BODIES, 4 * head.max_body)
        log.info("snapshot %d is in force: %d records", records.snapshot.generation, len(records))
        return State(records, head, self.arena, upstreams)
