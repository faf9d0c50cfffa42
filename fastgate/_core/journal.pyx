"""The journal: one event per request, in a chain of preallocated segments per owner.

An event is written behind the committed offset, where no reader looks, and becomes visible by one store. A segment that is
full is sealed and the next one, prepared ahead, takes over; who has read a sealed segment to its end may delete it. Events
are self-contained: names, not numbers of some table, so that any later version or host can read them.
"""

import os
from array import array
from contextlib import suppress
from pathlib import Path

from libc.stdint cimport INT64_MAX, int64_t, uint32_t, uint64_t, uint8_t
from libc.string cimport memcpy, memset
from posix.mman cimport MAP_FAILED, MAP_SHARED, PROT_READ, PROT_WRITE, mmap, munmap

from fastgate._core.layout cimport MAX_EVENT, fg_load, fg_store

from fastgate._core.arena import ArenaFull

cdef extern from "fcntl.h" nogil:
    int posix_fallocate(int fd, int64_t offset, int64_t length)

cdef uint64_t MAGIC = 0x89544E5645474746
cdef uint64_t FIRST = 4096
SEGMENT_BYTES = 4 << 20

SETTLEMENTS = ("none", "exact", "estimated", "unsettled")
OUTCOMES = ("ok", "rejected", "upstream_error", "client_gone", "failed", "unknown", "reset")
TIERS = ("standard", "flex", "priority", "batch", "fast", "ultrafast")
CACHES = ("", "miss", "exact", "semantic", "bypass")
MEANINGS = ("", "miss", "explore", "audit", "shadow", "serve", "unanswered")
"""What the semantic cache decided; nothing: it was not asked, ``unanswered``: it did not say in time."""
TEXTS = (
    "key", "team", "customer", "provider", "provider_key", "model", "upstream_model", "route", "dialect", "environment",
    "user", "session", "operation", "tags", "error",
)
NUMBERS = (
    "seq", "started_us", "duration_us", "upstream_us", "ttft_us", "overhead_us", "status", "attempts", "stream",
    "cost_nano", "saved_nano", "hold_nano", "overrun_nano", "input_tokens", "cache_read_tokens", "cache_write_tokens",
    "cache_write_1h_tokens", "output_tokens", "reasoning_tokens", "audio_input_tokens", "audio_output_tokens",
    "image_input_tokens", "web_searches", "cache_read_audio_tokens", "cache_read_image_tokens", "file_searches", "audio_us",
    "characters", "similarity_e4", "cache_age_s",
)
"""All but the last two are fields of the event; those, and the text ``cache_entry``, are in what is given (see :func:`entry_note`)."""
GIVEN = b"\x1f"
"""Before what is given, behind the error's text in the event's last string."""


class CorruptSegment(Exception):
    """A journal file is not one of ours or is damaged; it is to be set aside, never overwritten."""


cdef uint32_t append_text(Event *event, uint32_t length, int which, const char *text, size_t size) noexcept nogil:
    """Append string ``which`` (they must come in order) and return the new length; what does not fit is cut."""
    if size > MAX_EVENT - 8 - length:
        size = MAX_EVENT - 8 - length
    memcpy(<char *>event + length, text, size)
    event.lengths[which] = <unsigned short>size
    return length + <uint32_t>size


def entry_note(str entry, int similarity_e4, int64_t age_s) -> bytes:
    """Which entry of a cache was given, or is compared with, as it stands in an event.

    ``similarity_e4``: of two questions, times 10,000; 0 where there is but one. What an event has no room for is cut, so it has
    an end.
    """
    return b"%b%b %d %d;" % (GIVEN, entry.encode(), similarity_e4, age_s)


cdef tuple given_of(bytes raw):
    """The error's text, the entry, the similarity and the age that stand in an event's last string."""
    error, _, said = raw.partition(GIVEN)
    parts = said.removesuffix(b";").split(b" ")
    if not said.endswith(b";") or len(parts) != 3:
        return error, "", 0, 0
    try:
        return error, parts[0].decode("ascii"), min(max(int(parts[1]), -10_000), 10_000), min(max(int(parts[2]), 0), 1 << 32)
    except ValueError:
        return error, "", 0, 0


cdef class Draft:
    """What is known of an event before the request is served: strings by name (see ``TEXTS``), UTF-8, cut where too long."""

    def __cinit__(self, **texts):
        cdef Event *event = <Event *>self.raw
        cdef bytes text
        memset(event, 0, sizeof(Event))
        event.version = EVENT_VERSION
        event.strings = STRINGS
        self.length = sizeof(Event)
        unknown = set(texts).difference(TEXTS)
        if unknown:
            raise TypeError(f"an event has no {', '.join(sorted(unknown))}")
        for which, name in enumerate(TEXTS):
            text = texts.get(name, "").encode()
            self.length = append_text(event, self.length, which, text, len(text))

    def attributed(self, str user, str session, str operation, str tags) -> Draft:
        """A copy with these in place of its own; an error's text is left out."""
        cdef Draft copy = Draft.__new__(Draft)
        cdef Event *event = copy.event()
        cdef uint32_t length = sizeof(Event)
        cdef int which
        cdef bytes text
        for which in range(USER):
            length += self.event().lengths[which]
        memcpy(event, self.raw, length)
        for which, said in enumerate((user, session, operation, tags), USER):
            text = (<str>said).encode("utf-8", "replace")
            length = append_text(event, length, which, text, len(text))
        event.lengths[<int>ERROR] = 0
        copy.length = length
        return copy

    cdef Event *event(self) noexcept nogil:
        return <Event *>self.raw


cdef class Segment:
    """One mapped file of the journal. Who only reads takes what is left of one that was cut off."""

    def __cinit__(self, str path, bint writable=False):
        self.path = path
        self.base = NULL
        fd = os.open(path, (os.O_RDWR if writable else os.O_RDONLY) | os.O_CLOEXEC)
        try:
            size = os.fstat(fd).st_size
            if size < FIRST:
                raise CorruptSegment(f"{path}: {size} bytes are too few for a segment")
            self.base = <char *>mmap(NULL, size, PROT_READ | (PROT_WRITE if writable else 0), MAP_SHARED, fd, 0)
            if self.base == <char *>MAP_FAILED:
                self.base = NULL
                raise OSError(f"{path}: cannot map")
            self.size = size
        finally:
            os.close(fd)
        head = self.head()
        if head.magic != MAGIC or head.version != EVENT_VERSION:
            raise CorruptSegment(f"{path}: not a journal segment of version {EVENT_VERSION}")
        self.whole = head.size == self.size and FIRST <= head.committed <= self.size
        if not self.whole and (writable or head.committed < FIRST):
            raise CorruptSegment(f"{path}: truncated or damaged: {self.size} bytes, {head.committed} committed of {head.size}")

    def __dealloc__(self):
        if self.base != NULL:
            munmap(self.base, self.size)

    cdef SegmentHeader *head(self) noexcept nogil:
        return <SegmentHeader *>self.base

    def seal(self) -> None:
        """Nothing will be appended any more."""
        fg_store(&self.head().sealed, 1)


def segment_path(str folder, int slot, uint64_t serial) -> str:
    """Where segment ``serial`` of owner ``slot`` lies."""
    return f"{folder}/journal-{slot:04d}-{serial:012d}.seg"


def serial_of(str path) -> int:
    """The inverse of :func:`segment_path`."""
    return int(path.rpartition("-")[2].removesuffix(".seg"))


def slot_of(str path) -> int:
    """Whose segment lies at ``path``."""
    return int(path.rsplit("-", 2)[1])


def open_segments(paths) -> list:
    """Those that can be written; what is damaged is left for people to look at, what is gone was read to its end."""
    found = []
    for path in paths:
        with suppress(CorruptSegment, FileNotFoundError):
            found.append(Segment(path, writable=True))
    return found


def segments_of(str folder, slot=None) -> list[str]:
    """Paths of all segments (of one owner), oldest first."""
    pattern = f"journal-{'[0-9]' * 4 if slot is None else f'{slot:04d}'}-{'[0-9]' * 12}.seg"
    return sorted(str(path) for path in Path(folder).glob(pattern))


def create_segment(str folder, int slot, uint64_t serial, uint64_t size) -> str:
    """Allocate a segment beside its place and move it there; raises ArenaFull where there is no space."""
    cdef SegmentHeader head
    memset(&head, 0, sizeof(SegmentHeader))
    head.magic, head.version, head.slot, head.serial = MAGIC, EVENT_VERSION, slot, serial
    head.size, head.committed = size, FIRST
    path = segment_path(folder, slot, serial)
    fresh = f"{path}.new"
    cdef int fd = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    cdef int error
    try:
        with nogil:                             # others run meanwhile
            error = posix_fallocate(fd, 0, size)
        if error != 0:
            os.unlink(fresh)
            raise ArenaFull(f"{path}: no space for a journal segment: {os.strerror(error)}")
        os.pwrite(fd, (<char *>&head)[:sizeof(SegmentHeader)], 0)
        os.rename(fresh, path)
    finally:
        os.close(fd)
    return path


cdef class Journal:
    """``Journal(folder, slot)`` opens a new segment behind all that this owner ever wrote; ``resume`` appends to the last one."""

    def __cinit__(self, str folder, uint32_t slot, *, uint64_t segment_bytes=SEGMENT_BYTES, bint resume=False):
        self.folder = folder
        self.slot = slot
        self.segment_bytes = max(segment_bytes, FIRST + MAX_EVENT)
        paths = segments_of(folder, slot)
        if resume and self._resume(paths):
            return
        self.serial = serial_of(max(paths)) if paths else 0
        self.serial = max(self.serial + 1, <uint64_t>_clock_serial())
        self.current = Segment(create_segment(folder, slot, self.serial, self.segment_bytes), writable=True)

    cdef bint _resume(self, list paths) except -1:
        """Go on where the owner stopped: in its last segment, or in the one before where the last was only prepared."""
        cdef Segment before
        cdef list found = open_segments(paths)
        if not found:
            return False
        self.current = found.pop()
        if found and self.current.head().committed == FIRST:
            before = <Segment>found.pop()
            if not before.head().sealed:
                self.spare, self.current = self.current, before
        self.serial = self.current.head().serial
        try:
            self.sequence = _last_sequence(self.current)
        except CorruptSegment:
            return False
        return True

    def prepare(self, submit=None) -> None:
        """Allocate the next segment when this one is half full. Called off the request path. Raises ArenaFull, OSError.

        ``submit``: has a call made elsewhere and returns its future; a later ``prepare`` takes what came of it. The disk may
        take its time then: only who has no room left before it is done waits for it.
        """
        if self.coming is not None:
            if self.coming.done():
                self._take()
            return
        self.full = False
        if self.spare is None and self.current.head().committed * 2 > self.segment_bytes:
            if submit is None:
                self._allocate()
            else:
                self.coming = submit(create_segment, self.folder, self.slot, self.serial + 1, self.segment_bytes)

    cdef _take(self):
        """What was submitted, once it is there."""
        coming, self.coming = self.coming, None
        self.full = True
        self.spare = Segment(coming.result(), writable=True)
        self.full = False

    cdef _allocate(self):
        self.full = True
        self.spare = Segment(create_segment(self.folder, self.slot, self.serial + 1, self.segment_bytes), writable=True)
        self.full = False

    def close(self) -> None:
        """Seal what is open."""
        if self.coming is not None:
            with suppress(ArenaFull, OSError):
                self._take()
        self.current.seal()
        if self.spare is not None:
            self.spare.seal()

    cdef Event *reserve(self, uint32_t length) except NULL:
        """Room for an event of ``length`` bytes behind the committed offset, its size set; raises ArenaFull.

        Where there was no space for a segment another is not tried for before ``prepare``: that is for off the request path.
        """
        cdef uint32_t size = (length + 7) & ~<uint32_t>7
        if self.current.head().committed + size > self.current.size:
            if self.coming is not None:
                self._take()
            elif self.spare is None and self.full:
                raise ArenaFull(f"{self.folder}: no space for a journal segment")
            elif self.spare is None:
                self._allocate()
            self.current.seal()
            self.current, self.spare = self.spare, None
            self.serial += 1
            self.sequence = 0
        cdef Event *event = <Event *>(self.current.base + self.current.head().committed)
        event.size = size
        return event

    cdef void commit(self, Event *event) noexcept nogil:
        """Make the reserved event visible."""
        cdef SegmentHeader *head = self.current.head()
        self.sequence = event.sequence
        fg_store(&head.committed, head.committed + event.size)

    def log(self, Draft draft, bytes request_id, int64_t started_us, int64_t duration_us, int status, int outcome,
            bint stream=False, str error=""):
        """Append the event of a request that held nothing (rejected before a hold, or free). Raises ArenaFull."""
        cdef bytes text
        cdef Event *event = self.reserve(MAX_EVENT)
        cdef uint32_t length = draft.length
        memcpy(event, draft.raw, length)
        event.started_us, event.duration_us, event.overhead_us = started_us, duration_us, duration_us
        event.status, event.outcome, event.stream = status, outcome, stream
        memcpy(event.request_id, <const char *>request_id, 16)
        text = error.encode()
        length = append_text(event, length - event.lengths[<int>ERROR], ERROR, text, len(text))
        event.size = (length + 7) & ~<uint32_t>7
        event.sequence = self.sequence + 1
        self.commit(event)


cdef uint64_t _last_sequence(Segment segment) except? 0:
    cdef uint64_t at = FIRST, last = 0
    cdef uint64_t committed = segment.head().committed
    while at < committed:
        if not is_event(<Event *>(segment.base + at), committed - at):
            raise CorruptSegment(f"{segment.path}: no event at {at}")
        last = (<Event *>(segment.base + at)).sequence
        at += (<Event *>(segment.base + at)).size
    return last


cdef bint has_names(Event *event) noexcept nogil:
    """Whether its marks are numbers of names."""
    if event.settlement >= SETTLEMENT_COUNT or event.outcome >= OUTCOME_COUNT:
        return False
    return event.tier < TIER_COUNT and event.cache < CACHE_COUNT and event.meaning < MEANING_COUNT


cdef bint is_event(Event *event, uint64_t room) noexcept nogil:
    """Whether an event can lie there, whole, in ``room`` bytes, as long as its strings, with marks that have names."""
    cdef uint64_t length = sizeof(Event)
    cdef int text
    if room < sizeof(Event) or not sizeof(Event) <= event.size <= MAX_EVENT or event.size > room:
        return False
    if event.version != EVENT_VERSION or event.strings != STRINGS or event.sequence > <uint64_t>INT64_MAX:
        return False
    for text in range(STRINGS):
        length += event.lengths[text]
    if event.size != ((length + 7) & ~<uint64_t>7):
        return False
    return has_names(event)


cdef int64_t _clock_serial():
    """Serials follow the clock where the folder is empty, so that a name which was drained and deleted never comes again."""
    import time
    return int(time.time() * 1000) % 100_000_000_000


cdef class SegmentReader:
    """``SegmentReader(path)``: reads committed events while the owner goes on appending.

    Damage is passed over: events bear their length twice and a number that counts up, so the next whole one is known. ``damage`` is
    a sentence on the first place that was met, None where all is well.
    """

    cdef Segment segment
    cdef uint64_t at
    cdef uint64_t sequence      # of the last event passed
    cdef uint64_t skipped       # bytes since then that are no event
    cdef int64_t missing        # events that were in what was skipped
    cdef readonly str damage

    def __cinit__(self, str path):
        self.segment = Segment(path)
        self.at = FIRST
        if not self.segment.whole:
            self.damage = f"cut off: {self.segment.size} bytes of {self.segment.head().size}"

    cdef uint64_t committed(self) noexcept nogil:
        cdef uint64_t committed = fg_load(&self.segment.head().committed)
        return committed if committed < self.segment.size else self.segment.size

    @property
    def sealed(self) -> bool:
        """Whether nothing will be appended any more."""
        return fg_load(&self.segment.head().sealed) != 0 or not self.segment.whole

    @property
    def pending(self) -> int:
        """Bytes committed that this reader has not passed yet."""
        return self.committed() - self.at

    @property
    def lost(self) -> int:
        """Events that damage took; of what stands at the end only that there was one, at least, can be told."""
        return self.missing + (self.skipped != 0 or not self.segment.whole)

    def read(self, uint64_t after, int limit):
        """Up to ``limit`` events with a sequence above ``after`` as columns (see ``NUMBERS`` and ``TEXTS``); None: no more."""
        cdef uint64_t committed = self.committed()
        cdef Event *event
        if after < self.sequence:
            self.at, self.sequence, self.skipped, self.missing = FIRST, 0, 0, 0
        numbers = [array("q") for _ in NUMBERS]
        texts = [[] for _ in TEXTS]
        ids, settlements, outcomes, tiers, caches, meanings, entries = [], [], [], [], [], [], []
        seen = {}
        cdef int count = 0
        while self.at < committed and count < limit:
            event = <Event *>(self.segment.base + self.at)
            if not self._is_next(event, committed - self.at):
                self._pass_over(committed)
                continue
            self.missing += event.sequence - self.sequence - 1
            self.at += event.size
            self.sequence, self.skipped = event.sequence, 0
            if event.sequence <= after:
                continue
            _append_numbers(numbers, event)
            entries.append(_append_texts(texts, numbers, event, seen))
            ids.append((<bytes>event.request_id[:16]).hex())
            settlements.append(SETTLEMENTS[event.settlement])
            outcomes.append(OUTCOMES[event.outcome])
            tiers.append(TIERS[event.tier])
            caches.append(CACHES[event.cache])
            meanings.append(MEANINGS[event.meaning])
            count += 1
        if count == 0:
            return None
        columns = dict(zip(NUMBERS, numbers, strict=True))
        columns.update(zip(TEXTS, texts, strict=True))
        columns.update(request_id=ids, settlement=settlements, outcome=outcomes, tier=tiers, cache=caches)
        columns.update(semantic=meanings, cache_entry=entries)
        return columns

    cdef bint _is_next(self, Event *event, uint64_t room) noexcept nogil:
        """Whether the event behind the last one lies there, or one of those that what was skipped leaves room for."""
        if not is_event(event, room):
            return False
        return self.sequence < event.sequence <= self.sequence + 1 + self.skipped // sizeof(Event)

    cdef _pass_over(self, uint64_t committed):
        """Go to the next whole event, or to the end."""
        cdef uint64_t began = self.at
        while self.at < committed:
            self.at += 8
            self.skipped += 8
            if self._is_next(<Event *>(self.segment.base + self.at), committed - self.at):
                break
        self.at = min(self.at, committed)
        if self.damage is None:
            self.damage = f"{self.at - began} bytes at {began} are no event"


cdef _append_numbers(list numbers, Event *event):
    cdef int64_t *tokens = event.tokens
    values = (
        event.sequence, event.started_us, event.duration_us, event.upstream_us, event.ttft_us, event.overhead_us,
        event.status, event.attempts, event.stream, event.cost_nano, event.saved_nano, event.hold_nano, event.overrun_nano,
        tokens[0], tokens[1] + tokens[11] + tokens[12], tokens[2], tokens[3], tokens[4] + tokens[5] + tokens[7], tokens[5],
        tokens[6], tokens[7], tokens[8], tokens[9], tokens[11], tokens[12], tokens[13], tokens[14], tokens[15],
    )
    for column, value in zip(numbers, values):  # the other columns are what is given, which is a text
        column.append(value)


cdef str _append_texts(list texts, list numbers, Event *event, dict seen):
    """Equal strings become one object: a batch has few keys, teams and models. Returns the entry that was given."""
    cdef char *at = <char *>event + sizeof(Event)
    cdef int which
    cdef bytes raw
    cdef str entry = ""
    similarity_e4 = age_s = 0
    for which in range(STRINGS):
        raw = at[:event.lengths[which]]
        at += event.lengths[which]
        if which == ERROR and GIVEN in raw:
            raw, entry, similarity_e4, age_s = given_of(raw)
        text = seen.get(raw)
        if text is None:
            text = seen[raw] = raw.decode(errors="replace")
        (<list>texts[which]).append(text)
    numbers[len(numbers) - 2].append(similarity_e4)
    numbers[len(numbers) - 1].append(age_s)
    return entry
