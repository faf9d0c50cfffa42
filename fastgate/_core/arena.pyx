"""The shared mapping that every process of a host counts money in.

The file is mapped once, at its largest possible size, and grows by whole chunks behind the mapping: nothing moves, and no
process remaps. Space is allocated for real before it is used (``posix_fallocate``), so that a full disk is an error and not a
signal. A file that is not ours, of another layout or from before the machine's last boot is refused with a reason.
"""

import os
from pathlib import Path
from time import time_ns

from xxhash import xxh64_intdigest

from libc.errno cimport EINTR, ENOSPC, errno
from libc.stdint cimport INT64_MAX, int64_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy, memset, strerror
from posix.mman cimport MAP_FAILED, MAP_NORESERVE, MAP_SHARED, PROT_READ, PROT_WRITE, mmap, munmap

from fastgate._core.layout cimport (
    BUCKETS, CELLS_PER_CHUNK, CHUNK, CHUNK_CELLS, CHUNK_RECORDS, CHUNKS, CHUNKS_AT, DIRECTORY_AT, INDEX_AT,
    LAYOUT, MAX_ID, Cell, Header, fg_add, fg_cas, fg_cas32, fg_cas_signed, fg_cas_word, fg_load, fg_load32,
    fg_load_signed, fg_load_word, fg_store, fg_word, WINDOW_SHIFT,
)
from fastgate._core.windows cimport Period, Window, end_of, number_of, present, tick_of

cdef extern from "fcntl.h" nogil:
    int posix_fallocate(int fd, int64_t offset, int64_t length)

# "FGARENA" and a byte that no text has: tells our file from any other.
cdef uint64_t MAGIC = 0x89414E4552414746
cdef uint64_t CAPACITY = CHUNKS_AT + <uint64_t>CHUNKS * CHUNK


class ArenaError(Exception):
    """The arena cannot be used; the message names the file and says what to do."""


class CorruptArena(ArenaError):
    """The file is not an arena of this layout and boot: set it aside and rebuild the counters from the ledger."""


class NewerArena(ArenaError):
    """A later version wrote the file: to set it aside could lose what that version has not settled yet."""


class ArenaFull(ArenaError):
    """No space is left for another chunk."""


def boot_id() -> bytes:
    """What the kernel calls this boot: counters written before another one may be incomplete."""
    return Path("/proc/sys/kernel/random/boot_id").read_bytes().strip()[:39]


cdef class Arena:
    """``Arena(path, create=False)``: the mapping. ``create`` makes the file where there is none.

    Raises :class:`CorruptArena` where the file is not usable, :class:`NewerArena` where a later version wrote it, and
    :class:`ArenaFull` where there is no space for it.
    """

    def __cinit__(self, str path, bint create=False):
        self.path = path
        self.fd = -1
        self.base = NULL
        if create and not os.path.exists(path):
            _create(path)
        try:
            self.fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            raise CorruptArena(f"{path}: there is no arena here") from None
        _verify(path, self.fd)
        self.base = <char *>mmap(NULL, CAPACITY, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, self.fd, 0)
        if self.base == <char *>MAP_FAILED:
            self.base = NULL
            raise ArenaError(f"{path}: cannot map: {strerror(errno).decode()}")
        self.header = <Header *>self.base

    def __dealloc__(self):
        if self.base != NULL:
            munmap(self.base, CAPACITY)
        if self.fd >= 0:
            os.close(self.fd)

    # ---- growth

    cdef int64_t append_chunk(self, int kind, int slot) except -1 nogil:
        """Append a chunk and return its number. One that a crash left without a purpose is not used again."""
        cdef uint64_t number
        cdef int error
        while True:
            number = fg_load(&self.header.chunks)
            if number >= CHUNKS:
                with gil:
                    raise ArenaFull(f"{self.path}: all {CHUNKS} chunks are in use")
            # The space first, then the number: where there is none, no number is lost. Two that ask for the space of
            # one number do no harm, and only one of them gets it.
            error = EINTR
            while error == EINTR:
                error = posix_fallocate(self.fd, CHUNKS_AT + <int64_t>number * CHUNK, CHUNK)
            if error != 0:
                with gil:
                    if error == ENOSPC:
                        raise ArenaFull(f"{self.path}: no space left on its file system for another MiB")
                    raise ArenaError(f"{self.path}: cannot grow: {strerror(error).decode()}")
            if fg_cas(&self.header.chunks, number, number + 1):
                break
        fg_store(self.directory() + number, <uint64_t>kind | (<uint64_t>slot << 8))
        return <int64_t>number

    cdef uint64_t *directory(self) noexcept nogil:
        return <uint64_t *>(self.base + DIRECTORY_AT)

    def record_chunks(self, int slot) -> list[int]:
        """The numbers of the chunks of hold records that belong to owner ``slot``."""
        cdef uint64_t mine = <uint64_t>CHUNK_RECORDS | (<uint64_t>slot << 8)
        cdef uint64_t i
        return [i for i in range(fg_load(&self.header.chunks)) if fg_load(self.directory() + i) == mine]

    # ---- cells

    cdef int64_t find_cell(self, const unsigned char *id, size_t length, uint64_t hash, uint32_t *head) noexcept nogil:
        """The cell of that id, or -1; ``head`` gets the bucket's first entry, for the insertion that may follow."""
        cdef uint32_t *bucket = <uint32_t *>(self.base + INDEX_AT) + hash % BUCKETS
        cdef uint32_t link = fg_load32(bucket)
        cdef Cell *cell
        head[0] = link
        while link != 0:
            cell = cell_at(self, link - 1)
            if cell.hash == hash and cell.length == length and memcmp(cell.id, id, length) == 0:
                return link - 1
            link = cell.next
        return -1

    def cell(self, str id) -> int:
        """The number of the cell called ``id`` ("owner/window/name"), made where there is none. Lock-free."""
        cdef bint made
        return self._make_cell(id.encode(), 0, &made)

    def member(self, str id, uint32_t group, int64_t most, uint16_t kind=1) -> int | None:
        """As :meth:`cell`, for one of at most ``most`` that the cell ``group`` counts; None: so many have been made.

        ``kind``: a number above 0, by which :meth:`scan` finds it again.
        """
        cdef Cell *counting = cell_at(self, group)
        cdef int64_t members
        cdef bint made = False
        found = self.find(id)
        if found is not None:
            return found
        while True:
            members = fg_load_signed(&counting.members)
            if members >= most:
                return None
            if fg_cas_signed(&counting.members, members, members + 1):
                break
        try:
            return self._make_cell(id.encode(), kind, &made)
        finally:
            if not made:  # another process was first, or there is no space
                fg_add(&counting.members, -1)

    def members(self, uint32_t group) -> int:
        """How many cells are counted in this one."""
        return fg_load_signed(&cell_at(self, group).members)

    cdef int64_t _make_cell(self, bytes text, uint16_t kind, bint *made) except -1:
        cdef const unsigned char *raw = text
        cdef size_t length = len(text)
        made[0] = False
        if not 0 < length <= MAX_ID:
            raise ValueError(f"a budget's id has 1 to {MAX_ID} bytes, not {length}: {text.decode()!r}")
        cdef uint64_t hash = xxh64_intdigest(text)
        cdef uint32_t head = 0
        cdef int64_t number = self.find_cell(raw, length, hash, &head)
        if number >= 0:
            return number
        cdef uint32_t fresh = <uint32_t>self._allocate_cell()
        cdef Cell *cell = cell_at(self, fresh)
        cell.hash = hash
        cell.length = <unsigned short>length
        cell.member = kind
        memcpy(cell.id, raw, length)
        cdef uint32_t *bucket = <uint32_t *>(self.base + INDEX_AT) + hash % BUCKETS
        while True:
            number = self.find_cell(raw, length, hash, &head)
            if number >= 0:
                return number  # another process was first; the fresh cell stays unused
            cell.next = head
            if fg_cas32(bucket, head, fresh + 1):
                fg_add(<int64_t *>&self.header.cells, 1)
                made[0] = True
                return fresh

    def find(self, str id) -> int | None:
        """The number of the cell called ``id``, None where nothing was ever held under that name."""
        cdef bytes text = id.encode()
        cdef const unsigned char *raw = text
        cdef uint32_t head = 0
        cdef int64_t number = self.find_cell(raw, len(text), xxh64_intdigest(text), &head)
        return None if number < 0 else number

    cdef int64_t _allocate_cell(self) except -1:
        cdef uint64_t at
        cdef int64_t chunk
        while True:
            at = fg_load(&self.header.next_cell)
            if at % CELLS_PER_CHUNK != 0:
                if fg_cas(&self.header.next_cell, at, at + 1):
                    return <int64_t>at
                continue
            chunk = self.append_chunk(CHUNK_CELLS, 0)
            # The first place of a chunk of cells is never given out, so that 0 modulo the size means "full".
            fg_cas(&self.header.next_cell, at, <uint64_t>chunk * CELLS_PER_CHUNK + 1)

    def cell_id(self, uint32_t cell) -> str:
        """The id of a cell."""
        cdef Cell *at = cell_at(self, cell)
        return (<bytes>at.id[:at.length]).decode()

    def scan(self, uint64_t after, int most, str prefix="", uint16_t kind=0) -> tuple[list[tuple[int, str]], int]:
        """``(cells, last)``: up to ``most`` cells behind the number ``after``, each with its id, in the order of their making;
        and the number to go on behind, 0 where there are no more.

        Of the members of other cells that were made as such a ``kind``, 0: of all that are no members, those whose ids begin
        with ``prefix``.
        """
        cdef bytes wanted = prefix.encode()
        cdef const char *raw = wanted
        cdef size_t length = len(wanted)
        cdef uint64_t number = after
        found = []
        while len(found) < most:
            with nogil:
                number = self._next_cell(number + 1, raw, length, kind)
            if number == 0:
                return found, 0
            found.append((number, self.cell_id(<uint32_t>number)))
        return found, number

    cdef uint64_t _next_cell(self, uint64_t number, const char *prefix, size_t length, uint16_t kind) noexcept nogil:
        """The first from ``number`` on that :meth:`scan` is asked for; 0: none. What is not in the index yet is no cell yet."""
        cdef uint64_t end = fg_load(&self.header.chunks) * CELLS_PER_CHUNK
        cdef uint32_t head
        cdef Cell *cell
        while number < end:
            if fg_load(self.directory() + number // CELLS_PER_CHUNK) != CHUNK_CELLS:
                number = (number // CELLS_PER_CHUNK + 1) * CELLS_PER_CHUNK
                continue
            cell = cell_at(self, <uint32_t>number)
            if (
                0 < cell.length <= MAX_ID and cell.length >= length and cell.member == kind
                and memcmp(cell.id, prefix, length) == 0
                and self.find_cell(cell.id, cell.length, cell.hash, &head) == <int64_t>number
            ):
                return number
            number += 1
        return 0

    def read_cell(self, uint32_t cell, Period period not None, int64_t now_ns) -> tuple[int, int, int, int]:
        """``(spent, held, overrun, resets_at)``: nano-USD in the window of ``now_ns``; Unix ns, 0 where it never resets."""
        cdef Cell *at = cell_at(self, cell)
        cdef int64_t anchor = fg_load_signed(&at.anchor_ns)
        cdef Window window
        cdef fg_word used, spent
        period.find(anchor, now_ns, &window)
        while True:  # a settlement changes one after the other: read until neither moved
            used = fg_load_word(&at.used)
            spent = fg_load_word(&at.spent)
            if fg_load_word(&at.used).tag == used.tag:
                break
        cdef uint64_t have = used.tag >> WINDOW_SHIFT
        cdef uint32_t number = number_of(window.end_ns)
        cdef uint64_t counts = present(have, number, tick_of(now_ns))
        cdef int64_t settled = spent.amount if spent.tag >> WINDOW_SHIFT >= counts else 0
        cdef int64_t taken = used.amount if have >= counts else 0
        cdef int64_t resets = end_of(counts, number, window.end_ns)
        return settled, max(taken - settled, 0), fg_load_signed(&at.overrun), 0 if resets == INT64_MAX else resets

    def anchor(self, uint32_t cell) -> int:
        """When the cell was first used, in Unix nanoseconds; 0: never."""
        return fg_load_signed(&cell_at(self, cell).anchor_ns)

    def restore_cell(self, uint32_t cell, Period period not None, int64_t anchor_ns, int64_t spent, int64_t now_ns,
                     before: int | None = None) -> bool:
        """Set a cell that was never used to what the ledger knows; false, and nothing changed, where it has been used.

        ``before``: what the window before the present one came to; None: there was none, or nobody asks. The first use is set last: who is killed before is followed by one that does it all again.
        """
        cdef Cell *at = cell_at(self, cell)
        cdef Window window
        cdef fg_word full, last
        period.find(anchor_ns, now_ns, &window)
        full.amount, full.tag = spent, <uint64_t>number_of(window.end_ns) << WINDOW_SHIFT
        last.amount, last.tag = before or 0, 0 if before is None else <uint64_t>number_of(window.begin_ns) << WINDOW_SHIFT
        if anchor_ns == 0 or fg_load_signed(&at.anchor_ns) != 0:
            return False
        if not fg_cas_word(&at.used, fg_load_word(&at.used), full) or not fg_cas_word(&at.spent, fg_load_word(&at.spent), full):
            return False
        if not fg_cas_word(&at.before, fg_load_word(&at.before), last):
            return False
        return fg_cas_signed(&at.anchor_ns, 0, anchor_ns)

    # ---- what the processes tell each other

    @property
    def counted(self) -> bool:
        """Whether the counters can be relied on: a new arena's cannot, until what the ledger knows is in them."""
        return fg_load32(&self.header.counted) != 0

    def set_counted(self) -> None:
        """The counters are what the ledger says, or begin at zero by the operator's word. For good: nothing takes it back."""
        fg_cas32(&self.header.counted, 0, 1)

    @property
    def created_ns(self) -> int:
        """When the file was made, in Unix nanoseconds: what tells it from any other."""
        return self.header.created_ns

    @property
    def snapshot_generation(self) -> int:
        """The snapshot in force; workers compare it with their own before each request."""
        return fg_load(&self.header.generation)

    @snapshot_generation.setter
    def snapshot_generation(self, uint64_t value) -> None:
        fg_store(&self.header.generation, value)

    def statistics(self) -> dict[str, int]:
        """Bytes allocated, chunks and cells."""
        cdef uint64_t chunks = fg_load(&self.header.chunks)
        return {"bytes": CHUNKS_AT + chunks * CHUNK, "chunks": chunks, "cells": fg_load(&self.header.cells)}


def _create(str path):
    """Write the empty file beside its place and move it there, so that nobody ever sees half of one."""
    cdef Header header
    memset(&header, 0, sizeof(Header))
    boot = boot_id()
    header.magic = MAGIC
    header.layout = LAYOUT
    header.capacity = CAPACITY
    header.created_ns = time_ns()
    memcpy(header.boot, <const char *>boot, len(boot))
    fresh = f"{path}.new"
    fd = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        error = posix_fallocate(fd, 0, CHUNKS_AT)
        if error != 0:
            raise ArenaFull(f"{path}: no space for {CHUNKS_AT} bytes: {os.strerror(error)}")
        os.pwrite(fd, (<char *>&header)[:sizeof(Header)], 0)
        os.rename(fresh, path)
    finally:
        os.close(fd)


def _verify(str path, int fd):
    cdef Header header
    size = os.fstat(fd).st_size
    if size < CHUNKS_AT:
        raise CorruptArena(f"{path}: {size} bytes are too few for an arena")
    raw = os.pread(fd, sizeof(Header), 0)
    memcpy(&header, <const char *>raw, sizeof(Header))
    if header.magic != MAGIC:
        raise CorruptArena(f"{path}: this is not an arena (its first bytes are {raw[:8].hex()})")
    if header.layout > LAYOUT:
        raise NewerArena(
            f"{path}: it has layout {header.layout}, this version knows {LAYOUT}: it was written by a newer fastgate; "
            "use that one, or move the file away, and the counters are rebuilt from the ledger"
        )
    if header.layout < LAYOUT:
        raise CorruptArena(f"{path}: layout {header.layout}, this version reads {LAYOUT}")
    if header.capacity != CAPACITY or header.chunks > CHUNKS or size < CHUNKS_AT + <int64_t>(header.chunks) * CHUNK - CHUNK:
        raise CorruptArena(f"{path}: truncated: {size} bytes for {header.chunks} chunks")
    if header.boot[:39].split(b"\0")[0] != boot_id():
        raise CorruptArena(f"{path}: written before the machine's last start, so what was not yet on disk may be missing")
