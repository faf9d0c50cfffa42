"""Owners: who holds what. A slot with a generation and a lock, never a pid.

The lock is an open file description lock on one byte of the arena's file: the kernel drops it when the process ends, however it
ends, and anyone can see that it is gone. A slot whose lock is free but whose state is not is a dead owner: nobody takes it until
:mod:`fastgate._core.recovery` has resolved its holds.
"""

import os

from libc.errno cimport EACCES, EAGAIN, errno
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memset

from fastgate._core.arena cimport Arena, counts_at, record_at, slot_at
from fastgate._core.layout cimport (
    CHUNK_RECORDS, FREE, OWNER_COUNTS, OWNERS, RECORDS_PER_CHUNK, Slot, fg_cas, fg_load, fg_load_signed, fg_store, fg_store_signed,
)

from fastgate._core.arena import ArenaError

cdef extern from "locks.h" nogil:
    int fg_lock(int fd, long at, int command, short type)
    const int F_OFD_GETLK
    const int F_OFD_SETLK
    const short F_WRLCK
    const short F_UNLCK

WORKER = 1
SUPERVISOR = 2
CONTROL = 3

# Locks lie far behind everything that is mapped, so that they can never be mistaken for a lock on data.
cdef long LOCKS_AT = 1 << 50


def alive(Arena arena, int slot) -> bool:
    """Whether the process that claimed ``slot`` still runs."""
    kind = fg_lock(arena.fd, LOCKS_AT + slot, F_OFD_GETLK, F_WRLCK)
    if kind < 0:
        raise ArenaError(f"{arena.path}: cannot ask for the lock of owner {slot}: {os.strerror(errno)}")
    return kind != F_UNLCK


def owners(Arena arena) -> list[dict[str, int]]:
    """All slots in use: number, kind, whether alive, pid, open holds, heartbeat and journal position."""
    cdef Slot *at
    cdef uint32_t slot
    found = []
    for slot in range(fg_load(&arena.header.owners)):
        at = slot_at(arena, slot)
        if at.state & 0xFF == 0:
            continue
        found.append({
            "slot": slot, "kind": at.state & 0xFF, "alive": alive(arena, slot), "pid": at.pid,
            "open_holds": fg_load_signed(&at.open_holds), "heartbeat_ns": fg_load_signed(&at.heartbeat_ns),
            "journal_serial": fg_load(&at.journal_serial), "journal_sequence": fg_load(&at.journal_sequence),
            "journal_dropped": fg_load_signed(&at.journal_dropped), "dropped_nano": fg_load_signed(&at.dropped_nano),
            "requests": fg_load(&at.requests), "generation": fg_load(&at.generation), "strangers": fg_load(&at.strangers),
            "anomalies": fg_load(&at.anomalies),
        })
    return found


def counts_of(Arena arena, uint32_t slot) -> list[int]:
    """What the owner of a slot counts beside its events, as it last told; of whom there was before, until it is claimed again."""
    cdef uint32_t i
    if slot >= OWNERS:
        raise ValueError(f"an arena has {OWNERS} owner slots, so none is number {slot}")
    return [fg_load(counts_at(arena, slot) + i) for i in range(OWNER_COUNTS)]


def dead_slots(Arena arena) -> list[int]:
    """Slots whose owner ended without releasing them: their holds wait to be resolved, in this order.

    Supervisors come last: what one of them began to resolve is told by its slot, which nobody may take before that is finished.
    """
    dead = [owner for owner in owners(arena) if not owner["alive"]]
    return [owner["slot"] for owner in sorted(dead, key=_is_supervisor)]


def _is_supervisor(owner) -> bool:
    return owner["kind"] == SUPERVISOR


cdef class Owner:
    """``Owner(arena, kind, pid)``: claims the lowest free slot and holds it until it is released or the process ends."""

    def __cinit__(self, Arena arena, int kind, int pid=0):
        cdef uint32_t slot
        self.arena = arena
        self.owed = []
        self.lock_fd = os.open(arena.path, os.O_RDWR | os.O_CLOEXEC)
        for slot in range(OWNERS):
            if self._claim(slot, kind):
                break
        else:
            raise ArenaError(f"{arena.path}: all {OWNERS} owner slots are taken")
        self.me.pid = pid
        for chunk in arena.record_chunks(slot):
            self._add_chunk(chunk)

    def __dealloc__(self):
        free(self.free)
        if self.lock_fd >= 0:
            os.close(self.lock_fd)

    cdef bint _claim(self, uint32_t slot, int kind) except -1:
        cdef Slot *at = slot_at(self.arena, slot)
        cdef uint64_t highest
        if fg_load(&at.state) & 0xFF != 0:
            return False
        if fg_lock(self.lock_fd, LOCKS_AT + slot, F_OFD_SETLK, F_WRLCK) < 0:
            if errno in (EAGAIN, EACCES):
                return False
            raise ArenaError(f"{self.arena.path}: cannot lock owner {slot}: {os.strerror(errno)}")
        if fg_load(&at.state) & 0xFF != 0:  # claimed and left dead in between
            fg_lock(self.lock_fd, LOCKS_AT + slot, F_OFD_SETLK, F_UNLCK)
            return False
        self.slot = slot
        self.me = at
        self.sequence = at.sequence
        at.inflight = (at.inflight >> 32) << 32
        fg_store_signed(&at.open_holds, 0)
        at.requests = 0
        at.strangers = 0
        at.anomalies = 0
        memset(counts_at(self.arena, slot), 0, OWNER_COUNTS * sizeof(uint64_t))
        fg_store(&at.state, ((at.state >> 8) + 1) << 8 | <uint64_t>kind)
        while True:
            highest = fg_load(&self.arena.header.owners)
            if highest > slot or fg_cas(&self.arena.header.owners, highest, slot + 1):
                return True

    def release(self) -> None:
        """Give the slot back; only when no hold is open and no event is owed: else it is for the recovery to do."""
        if self.open_holds or self.owed:
            raise ArenaError(f"owner {self.slot} still has {self.open_holds} open holds and owes {len(self.owed)} events")
        fg_store(&self.me.state, self.me.state & ~<uint64_t>0xFF)
        os.close(self.lock_fd)
        self.lock_fd = -1

    def _add_chunk(self, uint32_t chunk) -> None:
        cdef uint32_t room = self.free_room + RECORDS_PER_CHUNK
        cdef uint32_t *wider = <uint32_t *>realloc(self.free, room * sizeof(uint32_t))
        cdef uint32_t record, position
        if wider == NULL:
            raise MemoryError()
        self.free = wider
        self.free_room = room
        for position in range(RECORDS_PER_CHUNK, 0, -1):
            record = chunk * RECORDS_PER_CHUNK + position - 1
            if record_at(self.arena, record).progress & 0xF == FREE:
                self.free[self.free_count] = record
                self.free_count += 1

    cdef int64_t take_record(self) except -1:
        """A record that is free, from a new chunk where all are in use. Raises ArenaFull."""
        if self.free_count == 0:
            self._add_chunk(<uint32_t>self.arena.append_chunk(CHUNK_RECORDS, self.slot))
        self.me.open_holds += 1
        return self.take_out()

    cdef void give_record(self, uint32_t record) noexcept nogil:
        self.put_back(record)
        self.me.open_holds -= 1

    cdef uint32_t take_out(self) noexcept nogil:
        self.free_count -= 1
        return self.free[self.free_count]

    cdef void put_back(self, uint32_t record) noexcept nogil:
        self.free[self.free_count] = record
        self.free_count += 1

    @property
    def open_holds(self) -> int:
        """Holds that are neither settled nor void."""
        return self.me.open_holds

    @property
    def owes(self) -> int:
        """Events that wait for space in the journal."""
        return len(self.owed)

    def drop_event(self) -> None:
        """An event of a request that held nothing has no place, and is left out."""
        self.me.journal_dropped += 1

    def beat(
        self, int64_t now_ns, uint64_t requests, uint64_t generation, uint64_t strangers=0, uint64_t anomalies=0
    ) -> None:
        """Tell the others that this owner lives, how much it served and from which snapshot."""
        fg_store_signed(&self.me.heartbeat_ns, now_ns)
        fg_store(&self.me.requests, requests)
        fg_store(&self.me.generation, generation)
        fg_store(&self.me.strangers, strangers)
        fg_store(&self.me.anomalies, anomalies)

    def tell_counts(self, list counts not None) -> None:
        """Tell what this owner counted beside its events: so many numbers as ``counts_of`` gives."""
        cdef uint64_t *at = counts_at(self.arena, self.slot)
        cdef uint32_t i
        if len(counts) != OWNER_COUNTS:
            raise ValueError(f"an owner has {OWNER_COUNTS} counts, not {len(counts)}")
        for i in range(OWNER_COUNTS):
            fg_store(at + i, counts[i])
