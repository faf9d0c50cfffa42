"""Entries, their vectors and their answers, as one: what is found, what is kept, what goes.

For one thread. Nothing here waits for a disk but the reading of an answer that is served.
"""

import random
from collections.abc import Iterable
from pathlib import Path
from time import time_ns
from typing import Final, NamedTuple

from fastgate.cache.about import unpacked
from fastgate.semantic import counts as counting
from fastgate.semantic.brute import Vector
from fastgate.semantic.counts import MEASURED
from fastgate.semantic.entries import MOST_SEEN, Entries, Entry
from fastgate.semantic.partitions import Partitions
from fastgate.semantic.policies import Policies
from fastgate.semantic.policy import Decision, Neighbour
from fastgate.semantic.settings import Settings
from fastgate.semantic.store import Kept, Store
from fastgate.semantic.tenants import Tenants
from fastgate.wire.semantic import Find, Found, Keep, Verdict

NEIGHBOURS: Final = 8
"""Entries that a decision sees."""
_IDENTICAL: Final = 0.999


class Compared(NamedTuple):
    """The entry that a new answer is to be compared with, and what it says."""

    entry: Entry
    said: str


class Repository:
    """``identity``: of the embedder. Raises StoreUnusable."""

    def __init__(self, folder: Path, identity: str, settings: Settings, rng: random.Random) -> None:
        self._settings = settings
        self._store = Store(folder, identity)
        self._entries = Entries()
        self._partitions = Partitions(folder, self._store)
        for entry in self._store.entries():
            self._entries.add(entry)
        self._partitions.load(self._entries)
        self.counts = counting.load(self._store.value("counts"))
        self.tenants = Tenants(self._store)
        self._policies = Policies(self._store, settings.max_error, rng)
        self._dirty = False

    def __len__(self) -> int:
        return len(self._entries)

    # ---- what is asked

    def find(self, asked: Find, vector: Vector, now_ms: int) -> Found:
        """The decision about one question, and the answer where it is to be served."""
        neighbours = self._neighbours(asked, vector, now_ms)
        decision = self._policies.of(asked.tenant).decide(asked.text, neighbours)
        verdict = self._verdict(decision)
        entry = self._entries.get(decision.entry) if decision.entry is not None else None
        if entry is None or verdict == "miss":
            reason = decision.reason or "unlike"
            return self._counted(asked, Found(asked.number, "miss", reason, similarity=decision.similarity))
        found = Found(asked.number, verdict, decision.reason, entry.id, decision.similarity, decision.error)
        if verdict != "serve":
            return self._counted(asked, found)
        kept = self._store.answer(entry.id)
        if kept is None:  # the disk would not have it
            self._remove(entry)
            return self._counted(asked, Found(asked.number, "miss", "answer_lost"))
        saved = int.from_bytes(kept.usage[:8], "little")
        self.counts.saved_nano += saved
        self.tenants.of(asked.tenant).saved_nano += saved
        entry.hits += 1
        self._entries.use(entry, now_ms)
        self._store.use(entry)
        return self._counted(
            asked,
            Found(
                asked.number, "serve", decision.reason, entry.id, decision.similarity, decision.error,
                entry.kind, kept.body, kept.usage, entry.created_ms,
            ),
        )  # fmt: skip

    def missed(self, asked: Find, reason: str) -> Found:
        """A miss for a reason that lies before any decision."""
        return self._counted(asked, Found(asked.number, "miss", reason))

    def _verdict(self, decision: Decision) -> Verdict:
        if decision.verdict == "serve":
            return "shadow" if self._settings.shadow else "serve"
        return "audit" if decision.audit else decision.verdict

    def _neighbours(self, asked: Find, vector: Vector, now_ms: int) -> list[Neighbour]:
        hits = self._partitions.search(asked.partition, vector, NEIGHBOURS)
        found = []
        for id_, similarity in hits:
            entry = self._entries.get(id_)
            # The partition says all of it; an answer still crosses no tenant should two partitions ever have one hash.
            if entry is not None and entry.expires_ms > now_ms and entry.tenant == asked.tenant:
                found.append(Neighbour(id_, entry.text, similarity, tuple(entry.seen), entry.answer))
        return found

    def _counted(self, asked: Find, found: Found) -> Found:
        self._dirty = True
        now_ms = time_ns() // 1_000_000
        self.counts.decide(found, now_ms)
        self.tenants.of(asked.tenant).decide(found, now_ms)
        if found.verdict == "miss":
            self.counts.events[f"miss {found.reason}"] += 1
        return found

    # ---- what is kept

    def to_compare(self, keep: Keep) -> Compared | None:
        """What the answer is to be compared with; None: with nothing."""
        decided = keep.decided
        if decided is None or decided.verdict not in {"explore", *MEASURED}:
            return None
        entry = self._entries.get(decided.entry)
        if entry is None or entry.partition != keep.partition or entry.tenant != keep.tenant:
            return None
        kept = self._store.answer(entry.id)
        return None if kept is None else Compared(entry, kept.said)

    def learn(self, keep: Keep, entry: Entry, same: bool, now_ms: int) -> None:
        """The provider's answer says the same as the entry's, or it does not; it may have gone while that was found
        out."""
        decided = keep.decided
        assert decided is not None
        neighbour = Neighbour(entry.id, entry.text, decided.similarity, tuple(entry.seen), entry.answer)
        self._policies.of(keep.tenant).learn(keep.text, neighbour, same)
        entry.seen.append((decided.similarity, same))
        del entry.seen[:-MOST_SEEN]
        self._store.seen(entry)
        for counts in (self.counts, self.tenants.of(keep.tenant)):
            counts.compare(decided.verdict, same, keep.cost_nano)
        # What it says is what the provider says now. A judge takes its time: it may be gone, or confirmed since.
        if same and self._entries.get(entry.id) is entry and entry.created_ms <= now_ms:
            entry.created_ms, entry.used_ms = now_ms, now_ms
            self._entries.renew(entry, now_ms + keep.ttl_ms)
            self._entries.use(entry, now_ms)
            self._store.confirm(entry)
        self._dirty = True

    def judged(self, keep: Keep, entry: Entry, added: Entry, same: bool, now_ms: int) -> None:
        """:meth:`learn` what a judge said of the answers of ``entry`` and ``added``, which was kept before it spoke."""
        self.learn(keep, entry, same, now_ms)
        if same:
            added.answer = entry.answer
        # If it took the place of ``entry``, whose question was the very same, both remember comparisons in one list.
        self._store.judged(added)

    def add(self, keep: Keep, vector: Vector, now_ms: int, like: Entry | None = None) -> Entry:
        """A new entry; one with the very same question goes. ``like``: one whose answer says the same."""
        id_, expires_ms = self._entries.new_id(), now_ms + keep.ttl_ms
        entry = Entry(id_, keep.partition, keep.tenant, keep.text, keep.kind, now_ms, expires_ms, now_ms)
        entry.answer = like.answer if like is not None else entry.id
        before = self._asked_before(keep, vector)
        if before is not None:
            entry.seen = before.seen
            self._remove(before)
        self._entries.add(entry)
        self._partitions.add(entry, vector)
        self._store.insert(
            entry, vector, Kept(keep.answer, keep.said, keep.usage), unpacked(keep.about).packed().decode()
        )
        self.counts.events["kept"] += 1
        if keep.sharers:
            self.tenants.of(keep.tenant).sharers = keep.sharers
        self._dirty = True
        return entry

    def _asked_before(self, keep: Keep, vector: Vector) -> Entry | None:
        """The entry of the very same question."""
        for id_, similarity in self._partitions.search(keep.partition, vector, NEIGHBOURS):
            entry = self._entries.get(id_) if similarity > _IDENTICAL else None
            if entry is not None and entry.text == keep.text:
                return entry
        return None

    # ---- what goes

    def tidy(self, now_ms: int) -> bool:
        """One step of what can wait; False: there is nothing to do."""
        entry = self._entries.expired(now_ms)
        if entry is not None:
            self._remove(entry)
            self.counts.events["expired"] += 1
            return True
        if len(self._entries) > self._settings.max_entries and (entry := self._entries.oldest()):
            self._remove(entry)
            self.counts.events["evicted"] += 1
            return True
        return self._partitions.step()

    def remove(self, ids: Iterable[int]) -> int:
        """Delete these; how many there were."""
        found = [entry for id_ in ids if (entry := self._entries.get(id_)) is not None]
        for entry in found:
            self._remove(entry)
        return len(found)

    def _remove(self, entry: Entry) -> None:
        self._entries.remove(entry.id)
        self._partitions.remove(entry)
        self._store.delete(entry.id)

    # ---- what is told of it

    @property
    def entries(self) -> Entries:
        """All of them."""
        return self._entries

    @property
    def partitions(self) -> int:
        """How many have an entry."""
        return len(self._partitions)

    @property
    def store(self) -> Store:
        """Where they are kept."""
        return self._store

    # ---- its end

    def save(self) -> None:
        """Put down what was learned and counted, where that has changed."""
        if self._dirty:
            self._policies.save()
            self.tenants.save()
            self._store.put("counts", self.counts.dump())
            self._dirty = False

    def close(self) -> None:
        """Save everything and let go."""
        self.save()
        self._partitions.save()
        self._store.close()
