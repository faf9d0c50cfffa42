"""The store of the exact cache: one file that all workers of a host map, find answers in and put answers into.

Of a fixed size; where it is full, what was not asked for lately gives way (:mod:`fastgate._core.slab_writer`). No process waits
for another, and one that is killed leaves nothing that is wrong or out of use: what is handed out has the very fingerprint
that was asked for, and the checksum with which it was put in. Where everything lies: ``slab_layout.pxd``.
"""

import os

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.errno cimport errno
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset, strerror
from posix.mman cimport MAP_FAILED, MAP_SHARED, PROT_READ, PROT_WRITE, mmap, munmap

from fastgate._core.slab_layout cimport (
    BUCKETS_EACH, HITS, KEPT, LAYOUT, MOST_SEGMENTS, RECENT, SEGMENT, SLOTS, TAG_SHIFT, UNIT, UNITS, USE_SHIFT, Bucket, Entry, Header,
    Place, answers, bucket_of, check_of, fg_load, fg_siphash128, fg_store, lay_out, look, room_at, segment_of,
    unmoved,
)
from fastgate._core.slab_writer cimport Content, store, withdraw

from fastgate._core.arena import ArenaError, ArenaFull, CorruptArena, NewerArena, boot_id

cdef extern from "fcntl.h" nogil:
    int posix_fallocate(int fd, int64_t offset, int64_t length)

# "FGCACHE" and a byte that no text has: tells our file from any other.
cdef uint64_t MAGIC = 0x8945484341434746

LARGEST = 256 << 10
"""Bytes of an entry, all that belongs to it included, that are kept where nothing else is said."""


def create_slab(str path not None, int megabytes) -> None:
    """An empty slab of so many segments of a MiB each; who has mapped one of that path before keeps what it has.

    The index comes on top of it, 3 %. Each process that stores needs a segment of its own. Raises ValueError for a size that
    cannot be, ArenaFull where there is no space.
    """
    cdef Header header
    if not 0 < megabytes <= MOST_SEGMENTS:
        raise ValueError(f"a slab has 1 to {MOST_SEGMENTS} megabytes, not {megabytes}")
    memset(&header, 0, sizeof(Header))
    boot, salt = boot_id(), os.urandom(16)
    header.magic, header.layout, header.segments = MAGIC, LAYOUT, megabytes
    header.size = room_at(megabytes) + <uint64_t>megabytes * SEGMENT
    memcpy(header.boot, <const char *>boot, len(boot))
    memcpy(header.salt, <const char *>salt, 16)
    fresh = f"{path}.new"
    fd = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        error = posix_fallocate(fd, 0, header.size)
        if error != 0:
            os.unlink(fresh)
            raise ArenaFull(f"{path}: no space for {header.size} bytes: {os.strerror(error)}")
        os.pwrite(fd, (<char *>&header)[:sizeof(Header)], 0)
        os.rename(fresh, path)
    finally:
        os.close(fd)


cdef uint64_t _verify(str path, int fd) except 0:
    """The number of segments of a file that can be used."""
    cdef Header header
    size = os.fstat(fd).st_size
    raw = os.pread(fd, sizeof(Header), 0)
    if len(raw) < <Py_ssize_t>sizeof(Header):
        raise CorruptArena(f"{path}: {size} bytes are too few for a slab")
    memcpy(&header, <const char *>raw, sizeof(Header))
    if header.magic != MAGIC:
        raise CorruptArena(f"{path}: this is not a slab (its first bytes are {raw[:8].hex()})")
    if header.layout > LAYOUT:
        raise NewerArena(f"{path}: it has layout {header.layout}, this version knows {LAYOUT}: a newer fastgate wrote it")
    if header.layout < LAYOUT:
        raise CorruptArena(f"{path}: layout {header.layout}, this version reads {LAYOUT}")
    if not 0 < header.segments <= MOST_SEGMENTS or header.size != room_at(header.segments) + header.segments * SEGMENT:
        raise CorruptArena(f"{path}: {header.size} bytes cannot be those of {header.segments} segments")
    if size != <int64_t>header.size:
        raise CorruptArena(f"{path}: {size} bytes instead of {header.size}")
    if header.boot[:39].split(b"\0")[0] != boot_id():
        raise CorruptArena(f"{path}: written before the machine's last start, so what was not yet on disk may be missing")
    return header.segments


cdef bytes _keyed(bytes data, const uint8_t *salt):
    cdef uint64_t out[2]
    fg_siphash128(salt, <const uint8_t *>PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data), out)
    return PyBytes_FromStringAndSize(<char *>out, 16)


def hash128(bytes data not None, bytes salt not None=bytes(16)) -> bytes:
    """SipHash-2-4 of 128 bits, keyed by ``salt`` (16 bytes)."""
    if len(salt) != 16:
        raise ValueError(f"a salt has 16 bytes, not {len(salt)}")
    return _keyed(data, <const uint8_t *>PyBytes_AS_STRING(salt))


cdef inline int _read_key(bytes key, uint64_t *low, uint64_t *high) except -1:
    if PyBytes_GET_SIZE(key) != 16:
        raise ValueError(f"a key has 16 bytes, not {PyBytes_GET_SIZE(key)}")
    memcpy(low, PyBytes_AS_STRING(key), 8)
    memcpy(high, PyBytes_AS_STRING(key) + 8, 8)
    return 0


cdef inline void _touch(uint64_t *at, int64_t now_ms) noexcept nogil:
    """Note a use. Two at the same time may count as one."""
    cdef uint64_t hits = fg_load(at) & HITS
    fg_store(at, <uint64_t>now_ms << USE_SHIFT | RECENT | (hits + 1 if hits < HITS else hits))


cdef str _id(bytes key, uint64_t sequence):
    return f"{key.hex()}-{sequence}"


cdef class Hit:
    """An answer that was found: its bytes, ``kind`` and ``usage`` as they were stored; moments in Unix milliseconds."""

    @property
    def id(self) -> str:
        """What :meth:`Slab.scan` lists it as."""
        return _id(self.key, self.sequence)


class Listed:
    """An entry as it is listed: what it is about, its sizes in bytes, its moments in Unix milliseconds, how often it was found."""

    __slots__ = (
        "about", "answer_bytes", "created_ms", "expires_ms", "hits", "id", "key", "kind", "size", "tenant", "usage", "used_ms"
    )

    def __init__(self, **fields):
        for name, value in fields.items():
            setattr(self, name, value)

    def __repr__(self):
        return f"Listed(id={self.id!r}, about={self.about!r})"


cdef class Slab:
    """``Slab(path, largest=LARGEST)``: the mapping. ``largest``: bytes of an entry that this process stores, at most 512 KiB.

    A process must not use one that another opened before it forked. Raises :class:`CorruptArena` where the file is not usable,
    :class:`NewerArena` where a later version wrote it.
    """

    def __cinit__(self, str path not None, int64_t largest=LARGEST):
        cdef uint64_t count
        cdef void *base
        self.place.fd = -1
        self.path = path
        if not 0 < largest <= KEPT:
            raise ValueError(f"entries have at most {KEPT} bytes, not {largest}")
        try:
            self.place.fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            raise CorruptArena(f"{path}: there is no slab here") from None
        count = _verify(path, self.place.fd)
        self.size = room_at(count) + count * SEGMENT
        base = mmap(NULL, self.size, PROT_READ | PROT_WRITE, MAP_SHARED, self.place.fd, 0)
        if base == MAP_FAILED:
            raise ArenaError(f"{path}: cannot map: {strerror(errno).decode()}")
        lay_out(&self.place, <char *>base, count)
        self.place.largest = largest

    def __dealloc__(self):
        if self.place.base != NULL:
            with nogil:  # page by page, of a large one for longer than others may wait
                munmap(self.place.base, self.size)
        if self.place.fd >= 0:
            os.close(self.place.fd)

    @property
    def capacity(self) -> int:
        """Bytes that all segments have."""
        return self.place.count * SEGMENT

    @property
    def slots(self) -> int:
        """Places in the index: entries that there can be."""
        return self.place.count * BUCKETS_EACH * SLOTS

    def hash128(self, bytes fingerprint not None) -> bytes:
        """The key of a fingerprint, by this slab's own salt: nobody outside can have two collide."""
        return _keyed(fingerprint, self.place.header.salt)

    def find(self, bytes key not None, bytes fingerprint not None, int64_t now_ms) -> Hit | None:
        """The answer that was stored for that fingerprint and has not expired."""
        cdef uint64_t low, high, word
        cdef Bucket *bucket
        cdef Hit hit
        cdef int slot
        _read_key(key, &low, &high)
        bucket = bucket_of(&self.place, low)
        for slot in range(SLOTS):
            word = fg_load(&bucket.words[slot])
            if word >> TAG_SHIFT == (high >> TAG_SHIFT | 1):
                hit = self._hit(word, key, fingerprint, now_ms)
                if hit is not None:
                    _touch(&bucket.uses[slot], now_ms)
                    return hit
        return None

    cdef Hit _hit(self, uint64_t word, bytes key, bytes fingerprint, int64_t now_ms):
        """What ``word`` leads to, where that is the answer."""
        cdef uint64_t generation, low, high
        cdef const uint8_t *entry
        cdef const char *content
        cdef Entry head
        cdef Hit hit
        _read_key(key, &low, &high)
        entry = look(&self.place, word, low, high, &head, &generation)
        if (
            entry == NULL or head.expires_ms <= now_ms
            or not answers(&head, entry, <const uint8_t *>PyBytes_AS_STRING(fingerprint), PyBytes_GET_SIZE(fingerprint))
        ):
            return None
        hit = Hit.__new__(Hit)
        content = <const char *>entry + sizeof(Entry) + head.fingerprint
        hit.usage = PyBytes_FromStringAndSize(content, head.usage)
        hit.answer = PyBytes_FromStringAndSize(content + head.usage + head.about, head.answer)
        if check_of(&self.place, entry, head.size) != head.check or not unmoved(&self.place, word, generation):
            return None
        hit.key, hit.sequence, hit.kind = key, head.sequence, <int>head.kind
        hit.created_ms, hit.expires_ms = head.created_ms, head.expires_ms
        return hit

    def store(
        self, bytes key not None, bytes fingerprint not None, bytes answer not None, *, int kind, bytes usage not None,
        bytes tenant not None, bytes about not None, int64_t now_ms, int64_t ttl_ms,
    ) -> bool:
        """Keep an answer, in place of what was stored for the same fingerprint; false where there is no room for it.

        ``kind``: any number, as ``usage``, ``tenant`` (16 bytes) and ``about`` are the caller's, who gets them back.
        """
        cdef Entry head
        cdef Content content
        cdef int64_t size = sizeof(Entry) + len(fingerprint) + len(usage) + len(about) + len(answer)
        if len(tenant) != 16 or len(usage) > 0xFFFF or len(about) > 0xFFFF or ttl_ms < 0 or now_ms < 0:
            raise ValueError("a tenant has 16 bytes; usage and what it is about have up to 65535; no time is negative")
        memset(&head, 0, sizeof(Entry))
        _read_key(key, &head.low, &head.high)
        memcpy(head.tenant, PyBytes_AS_STRING(tenant), 16)
        head.created_ms, head.expires_ms, head.kind = now_ms, now_ms + ttl_ms, kind
        head.size = <uint32_t>min(size, <int64_t>KEPT + 1)  # too large is too large
        head.fingerprint, head.answer = <uint32_t>len(fingerprint), <uint32_t>len(answer)
        head.usage, head.about = <uint16_t>len(usage), <uint16_t>len(about)
        content.fingerprint = <const uint8_t *>PyBytes_AS_STRING(fingerprint)
        content.usage = <const uint8_t *>PyBytes_AS_STRING(usage)
        content.about = <const uint8_t *>PyBytes_AS_STRING(about)
        content.answer = <const uint8_t *>PyBytes_AS_STRING(answer)
        return store(&self.place, &head, &content)

    def remove(self, bytes key not None, bytes fingerprint not None) -> bool:
        """Have that answer found no more; whether there was one."""
        cdef uint64_t low, high
        _read_key(key, &low, &high)
        return withdraw(
            &self.place, low, high, <const uint8_t *>PyBytes_AS_STRING(fingerprint), PyBytes_GET_SIZE(fingerprint)
        ) > 0

    def scan(self):
        """All entries, expired ones included, each as :class:`Listed`, in no order. What changes meanwhile may be there or not."""
        cdef uint64_t at
        for at in range(self.place.count * BUCKETS_EACH * SLOTS):
            listed = self._listed(at)
            if listed is not None:
                yield listed

    def _listed(self, uint64_t at):
        cdef Bucket *bucket = self.place.index + at // SLOTS
        cdef uint64_t word = fg_load(&bucket.words[at % SLOTS]), use = fg_load(&bucket.uses[at % SLOTS]), generation
        cdef const uint8_t *entry
        cdef const char *content
        cdef Entry head
        entry = self._entry_of(word, &head, &generation)
        if entry == NULL or bucket_of(&self.place, head.low) != bucket:
            return None
        content = <const char *>entry + sizeof(Entry) + head.fingerprint
        key = (<const char *>&head.low)[:16]
        found = Listed(
            id=_id(key, head.sequence), key=key, tenant=(<const char *>head.tenant)[:16], kind=head.kind,
            usage=content[:head.usage], about=content[head.usage:head.usage + head.about], size=head.size,
            answer_bytes=head.answer, created_ms=head.created_ms, expires_ms=head.expires_ms, used_ms=use >> USE_SHIFT,
            hits=use & HITS,
        )
        if check_of(&self.place, entry, head.size) != head.check or not unmoved(&self.place, word, generation):
            return None
        return found

    cdef const uint8_t *_entry_of(self, uint64_t word, Entry *head, uint64_t *generation):
        """As :func:`look`, of an entry whose key is not known before."""
        cdef uint64_t number = segment_of(word), at = (word & UNITS) * UNIT
        if word == 0 or number >= self.place.count or at + sizeof(Entry) > SEGMENT:
            return NULL
        head[0] = (<const Entry *>(self.place.room + number * SEGMENT + at))[0]
        return look(&self.place, word, head.low, head.high, head, generation)

    def counts(self) -> dict[str, int]:
        """Entries and segments' bytes in use; how often one was stored, has given way (expired ones included), was refused."""
        cdef Header *header = self.place.header
        cdef uint64_t at, entries = 0, filled = 0
        with nogil:
            for at in range(self.place.count * BUCKETS_EACH * SLOTS):
                entries += fg_load(&self.place.index[at // SLOTS].words[at % SLOTS]) != 0
            for at in range(self.place.count):
                filled += fg_load(&self.place.segments[at].fill)
        return {
            "entries": entries, "bytes": filled, "stored": fg_load(<uint64_t *>&header.stored),
            "evicted": fg_load(<uint64_t *>&header.evicted), "refused": fg_load(<uint64_t *>&header.refused),
        }
