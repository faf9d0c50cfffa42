"""The compiled configuration as one mapped file: searched where it lies, no Python object per record.

::

    header   128 bytes: magic, version, generation, where the sections are, checksums
    blobs    one MessagePack record per key, team and customer
    index    open addressing by SHA-256 digest, linear probing; an entry is digest, offset, length, check (48 bytes)
    head     one MessagePack record: providers, models, settings
    prices   the compiled price table, on a 64-byte boundary

Numbers are little-endian. Header, head and prices are verified when the file is opened, a record each time it is
found: opening stays quick with a million of them, and nothing unverified is ever handed out.
"""

import os
import stat

from xxhash import xxh3_64, xxh3_64_intdigest

from fastgate._core.mapping cimport Mapping

from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcmp, memcpy

cdef extern from *:
    """
    typedef unsigned __int128 fg_wide;
    """
    ctypedef unsigned long long fg_wide

cdef packed struct Header:
    char magic[8]
    uint32_t version
    uint32_t unused
    uint64_t generation
    uint64_t size
    uint64_t keys
    uint64_t blobs_at
    uint64_t blobs_size
    uint64_t index_at
    uint64_t slots
    uint64_t head_at
    uint64_t head_size
    uint64_t prices_at
    uint64_t prices_size
    uint64_t body_check
    uint64_t spare
    uint64_t header_check

cdef packed struct Entry:
    unsigned char digest[32]
    uint64_t offset  # from the start of the blobs
    uint32_t length  # 0: an empty slot
    uint32_t check

cdef enum:
    DIGEST = 32
    ENTRY = 48
    HEADER = 128
    CHECKED = 120  # bytes of the header that its checksum covers

cdef bytes MAGIC = b"FGSNAP\x89\n"
VERSION = 3
HEADER_SIZE = HEADER
ENTRY_SIZE = ENTRY


class CorruptSnapshot(Exception):
    """The file is not a whole snapshot of this version; the message names it and says what is wrong."""


cdef inline uint64_t home_of(const unsigned char *digest, uint64_t slots) noexcept nogil:
    """The slot that a digest hashes to: its first eight bytes scaled to the number of slots."""
    cdef uint64_t prefix
    memcpy(&prefix, digest, sizeof(prefix))
    return <uint64_t>((<fg_wide>prefix * slots) >> 64)


cdef inline const Entry *search(const Entry *index, uint64_t slots, const unsigned char *digest) noexcept nogil:
    """The entry of ``digest``, or NULL. Ends even where a damaged index has no empty slot."""
    cdef uint64_t slot = home_of(digest, slots)
    cdef uint64_t probes
    for probes in range(slots):
        if index[slot].length == 0:
            return NULL
        if memcmp(index[slot].digest, digest, DIGEST) == 0:
            return &index[slot]
        slot = slot + 1 if slot + 1 < slots else 0
    return NULL


cdef inline bint within(uint64_t at, uint64_t size, uint64_t whole) noexcept nogil:
    return at <= whole and size <= whole - at


def slots_for(uint64_t keys):
    """How many slots an index of ``keys`` entries has: a third stays empty, and there is always one."""
    return keys + keys // 2 + 1


def blob_check(bytes digest not None, bytes blob not None):
    """The 32-bit checksum of a record. It depends on the digest, so that a record cannot pass for another one."""
    return xxh3_64_intdigest(blob, int.from_bytes(digest[:8], "little")) & 0xFFFFFFFF


def build_index(const unsigned char[::1] entries not None, uint64_t slots):
    """The index with the given packed entries (``ENTRY_SIZE`` bytes each).

    Raises ``ValueError`` where a digest occurs twice or the slots do not suffice.
    """
    cdef uint64_t count = entries.shape[0] // ENTRY
    if <uint64_t>entries.shape[0] != count * ENTRY or slots <= count:
        raise ValueError("entries do not fit the index")
    result = bytearray(slots * ENTRY)
    cdef unsigned char[::1] view = result
    cdef Entry *index = <Entry *>&view[0]
    cdef const Entry *source = <const Entry *>&entries[0] if count else NULL
    cdef uint64_t i, slot
    for i in range(count):
        slot = home_of(source[i].digest, slots)
        while index[slot].length != 0:
            if memcmp(index[slot].digest, source[i].digest, DIGEST) == 0:
                raise ValueError(f"entry {i}: the same secret belongs to an earlier key")
            slot = slot + 1 if slot + 1 < slots else 0
        memcpy(&index[slot], &source[i], ENTRY)
    return result


cdef class Snapshot:
    """``Snapshot(path)``: a snapshot file mapped read-only. The file may be replaced by a rename meanwhile, never written to.

    Raises :class:`CorruptSnapshot`, or ``OSError`` where the file cannot be opened. Attributes: ``path``, ``generation``,
    ``record_count``, ``head`` (bytes), ``prices`` (memoryview).
    """

    cdef readonly str path
    cdef readonly uint64_t generation
    cdef readonly uint64_t record_count
    cdef readonly bytes head
    cdef readonly object prices
    cdef const unsigned char[::1] data
    cdef Header header
    cdef const Entry *index

    def __init__(self, path):
        self.path = os.fspath(path)
        mapping = self._map()
        self.data = mapping
        self._read_header()
        view = memoryview(mapping)
        self.head = bytes(view[self.header.head_at:self.header.head_at + self.header.head_size])
        self.prices = view[self.header.prices_at:self.header.prices_at + self.header.prices_size]
        if _body_check(self.head, self.prices) != self.header.body_check:
            raise self._corrupt("providers, models or prices are damaged")
        self.index = <const Entry *>&self.data[self.header.index_at]
        self.generation = self.header.generation
        self.record_count = self.header.keys

    def _map(self):
        # O_NONBLOCK: a FIFO in the file's place must be an error, not a wait.
        fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                raise self._corrupt("not a regular file")
            if status.st_size < HEADER:
                raise self._corrupt(f"{status.st_size} bytes are too few")
            return Mapping(fd, status.st_size)
        finally:
            os.close(fd)

    cdef int _read_header(self) except -1:
        cdef Header *header = &self.header
        cdef uint64_t whole = self.data.shape[0]
        memcpy(header, &self.data[0], HEADER)
        if (<char *>header.magic)[:8] != MAGIC:
            raise self._corrupt("not a fastgate snapshot")
        if header.version != VERSION:
            raise self._corrupt(f"layout version {header.version}, this program reads {VERSION}")
        if xxh3_64_intdigest((<char *>header)[:CHECKED]) != header.header_check:
            raise self._corrupt("its header is damaged")
        if header.size != whole:
            raise self._corrupt(f"{whole} bytes instead of {header.size}")
        if (
            not within(header.blobs_at, header.blobs_size, whole)
            or not within(header.head_at, header.head_size, whole)
            or not within(header.prices_at, header.prices_size, whole)
            or not 0 < header.slots <= whole // ENTRY
            or not within(header.index_at, header.slots * ENTRY, whole)
        ):
            raise self._corrupt("a section lies outside of the file")
        return 0

    def find(self, bytes digest not None):
        """The MessagePack record under this digest, or None.

        Raises :class:`CorruptSnapshot` where the record is damaged, ``ValueError`` for a digest of another length.
        """
        if len(digest) != DIGEST:
            raise ValueError("a SHA-256 digest has 32 bytes")
        cdef const Entry *entry = search(self.index, self.header.slots, digest)
        if entry == NULL:
            return None
        return self._blob(digest, entry)

    cdef bytes _blob(self, bytes digest, const Entry *entry):
        if not within(entry.offset, entry.length, self.header.blobs_size):
            raise self._corrupt("a record lies outside of the file")
        cdef const unsigned char *start = &self.data[self.header.blobs_at + entry.offset]
        blob = <bytes>start[:entry.length]
        if blob_check(digest, blob) != entry.check:
            raise self._corrupt("a record is damaged")
        return blob

    def verify(self):
        """Reads every record; raises :class:`CorruptSnapshot` at the first damaged one. Takes a second per million."""
        cdef uint64_t slot
        cdef uint64_t count = 0
        for slot in range(self.header.slots):
            if self.index[slot].length == 0:
                continue
            digest = <bytes>self.index[slot].digest[:DIGEST]
            if search(self.index, self.header.slots, digest) != &self.index[slot]:
                raise self._corrupt("a record is out of its place in the index")
            self._blob(digest, &self.index[slot])
            count += 1
        if count != self.header.keys:
            raise self._corrupt(f"{count} records instead of {self.header.keys}")

    def _corrupt(self, reason):
        return CorruptSnapshot(f"{self.path}: {reason}")


def _body_check(head, prices):
    check = xxh3_64(head)
    check.update(prices)
    return check.intdigest()


def pack_header(*, generation, size, keys, blobs, index_at, head_at, prices_at, head not None, prices not None):
    """The header's bytes; ``blobs`` is (offset, size), the other offsets are absolute."""
    cdef Header header
    memcpy(header.magic, <char *>MAGIC, 8)
    header.version = VERSION
    header.unused = 0
    header.generation = generation
    header.size = size
    header.keys = keys
    header.blobs_at, header.blobs_size = blobs
    header.index_at = index_at
    header.slots = slots_for(keys)
    header.head_at = head_at
    header.head_size = len(head)
    header.prices_at = prices_at
    header.prices_size = len(prices)
    header.body_check = _body_check(head, prices)
    header.spare = 0
    header.header_check = xxh3_64_intdigest((<char *>&header)[:CHECKED])
    return (<char *>&header)[:HEADER]
