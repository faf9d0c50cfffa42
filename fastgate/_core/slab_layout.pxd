"""What lies where in the slab of the exact cache, shared by the units that map it.

    0          header (one page)
    4 KiB      flights: 4096 words, each for a question that is being asked (:mod:`fastgate._core.flights`)
    36 KiB     index: 256 buckets for each segment; a bucket is 8 words that lead to entries, and 8 that say how these are used
    then       per segment 64 bytes: its generation, and how far it is filled
    then       segments of 1 MiB: entries one behind another, each from a multiple of 64 bytes on

A segment is written by one process at a time, and an entry never changes: what is behind ``fill`` is nobody's yet, and whoever
moves what is before it makes the generation odd first. So a reader reads, and looks at the generation again. What leads
nowhere any more, and what a stray store hit, is told by the entry's own key and checksum. All that is written while it is
read lies in the index. A change of anything here is a change of ``LAYOUT``.
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcmp


cdef extern from "atomics.h" nogil:
    uint64_t fg_load(const uint64_t *at)
    void fg_store(uint64_t *at, uint64_t value)
    int64_t fg_add(int64_t *at, int64_t value)
    void fg_fence()
    void fg_fence_reads()
    bint fg_cas(uint64_t *at, uint64_t expected, uint64_t desired)

cdef extern from "digest.h" nogil:
    void fg_siphash128(const uint8_t *key, const uint8_t *data, size_t size, uint64_t *out)
    uint64_t fg_checksum(uint64_t seed, const uint8_t *data, size_t size)
    ctypedef unsigned long long fg_wide


cdef enum:
    LAYOUT = 2
    PAGE = 4096
    FLIGHTS = 4096              # a power of two
    SEGMENT = 1048576
    MOST_SEGMENTS = 65535
    KEPT = 524288               # bytes of a segment that a sweep keeps at most, and the largest entry that there can be
    UNIT = 64
    SLOTS = 8
    BUCKETS_EACH = 256
    # A word is tag << 30 | segment << 14 | offset / UNIT; its tag is odd, so that none is 0.
    TAG_SHIFT = 30
    SEGMENT_SHIFT = 14
    UNITS = 0x3FFF
    # A use is milliseconds << 22 | whether since the last sweep << 21 | hits, up to all ones.
    USE_SHIFT = 22
    RECENT = 0x200000
    HITS = 0x1FFFFF

cdef struct Header:
    uint64_t magic
    uint64_t layout
    uint64_t size
    uint64_t segments
    char boot[40]
    uint8_t salt[16]
    uint64_t spare[5]
    int64_t hand                # which segment is looked at next for space; on a cache line of its own, as all that follows
    int64_t stored
    int64_t evicted
    int64_t refused

cdef struct Bucket:
    uint64_t words[SLOTS]
    uint64_t uses[SLOTS]

cdef struct Segment:
    uint64_t generation         # odd: entries are being moved
    uint64_t fill
    uint64_t spare[6]

cdef struct Entry:              # then the fingerprint, the usage, what it is about, the answer
    uint64_t check              # of all that follows
    uint64_t low, high          # the key
    uint8_t tenant[16]
    int64_t created_ms
    int64_t expires_ms
    uint64_t sequence
    uint32_t size               # of all this, in bytes
    uint32_t fingerprint
    uint32_t answer
    uint16_t usage
    uint16_t about
    uint32_t kind
    uint32_t spare

cdef struct Place:              # where a process has it
    char *base
    Header *header
    uint64_t *flights
    Bucket *index
    Segment *segments
    uint8_t *room
    uint64_t count              # of segments
    uint64_t seed
    int64_t mine                # the segment that this process writes, -1: none
    int64_t largest
    int fd


cdef inline uint64_t room_at(uint64_t count) noexcept nogil:
    """Where the entries of a slab of so many segments begin."""
    cdef uint64_t end = PAGE + FLIGHTS * sizeof(uint64_t) + count * (BUCKETS_EACH * sizeof(Bucket) + sizeof(Segment))
    return (end + PAGE - 1) & ~<uint64_t>(PAGE - 1)


cdef inline void lay_out(Place *place, char *base, uint64_t count) noexcept nogil:
    place.base = base
    place.header = <Header *>base
    place.count = count
    place.flights = <uint64_t *>(base + PAGE)
    place.index = <Bucket *>(place.flights + FLIGHTS)
    place.segments = <Segment *>(place.index + count * BUCKETS_EACH)
    place.room = <uint8_t *>(base + room_at(count))
    place.seed = (<uint64_t *>place.header.salt)[0] ^ (<uint64_t *>place.header.salt)[1]
    place.mine = -1


cdef inline uint64_t rounded(uint64_t size) noexcept nogil:
    return (size + UNIT - 1) & ~<uint64_t>(UNIT - 1)


cdef inline uint64_t word_of(uint64_t high, uint64_t segment, uint64_t at) noexcept nogil:
    return (high >> TAG_SHIFT | 1) << TAG_SHIFT | segment << SEGMENT_SHIFT | at // UNIT


cdef inline uint64_t segment_of(uint64_t word) noexcept nogil:
    return word >> SEGMENT_SHIFT & 0xFFFF


cdef inline Bucket *bucket_of(const Place *place, uint64_t low) noexcept nogil:
    return place.index + <uint64_t>(<fg_wide>low * (place.count * BUCKETS_EACH) >> 64)


cdef inline const uint8_t *look(
    const Place *place, uint64_t word, uint64_t low, uint64_t high, Entry *head, uint64_t *generation
) noexcept nogil:
    """The entry behind ``word``, where it has that key and its sizes fit, NULL otherwise; ``head`` is a copy of its beginning.

    Both count only where it is :func:`unmoved` afterwards.
    """
    cdef uint64_t number = segment_of(word), at = (word & UNITS) * UNIT, fill
    cdef const Segment *segment = place.segments + number
    cdef const uint8_t *entry = place.room + number * SEGMENT + at
    if word != word_of(high, number, at) or number >= place.count:
        return NULL
    generation[0] = fg_load(&segment.generation)
    fill = fg_load(&segment.fill)
    if generation[0] & 1 or at + sizeof(Entry) > fill or fill > SEGMENT:
        return NULL
    head[0] = (<const Entry *>entry)[0]
    if (
        head.low != low or head.high != high or head.size > fill - at
        or head.size != sizeof(Entry) + <uint64_t>head.fingerprint + head.answer + head.usage + head.about
    ):
        return NULL
    return entry


cdef inline bint unmoved(const Place *place, uint64_t word, uint64_t generation) noexcept nogil:
    fg_fence_reads()
    return fg_load(&place.segments[segment_of(word)].generation) == generation


cdef inline bint answers(const Entry *head, const uint8_t *entry, const uint8_t *fingerprint, size_t size) noexcept nogil:
    return head.fingerprint == size and memcmp(entry + sizeof(Entry), fingerprint, size) == 0


cdef inline uint64_t check_of(const Place *place, const uint8_t *entry, uint64_t size) noexcept nogil:
    return fg_checksum(place.seed, entry + sizeof(uint64_t), size - sizeof(uint64_t))
