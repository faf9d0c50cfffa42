"""Storing in the slab and making room in it.

A process appends to one segment, whose lock it has: one on a byte of the open file, as an arena's owners have, which the kernel
drops with the process, so that what the dead had is anyone's. Where that is full it takes the next one that nobody has, and
sweeps it: what was found since the last sweep is kept (a second chance, as CLOCK gives it), to half of the segment. So a store
moves at most one segment's bytes, and always ends with space for the largest entry.

An entry is written behind what is filled, then counted in, then led to: who is killed in between leaves space that the next
sweep gives back. Who is killed in a sweep leaves an odd generation: all of that segment is forgotten by the next who takes it.
"""

from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.string cimport memcpy, memmove

from fastgate._core.slab_layout cimport (
    BUCKETS_EACH, KEPT, RECENT, SEGMENT, SLOTS, USE_SHIFT, Bucket, Entry, Place, Segment, answers, bucket_of, check_of,
    fg_add, fg_cas, fg_fence, fg_load, fg_store, look, rounded, segment_of, unmoved, word_of,
)

cdef extern from "locks.h" nogil:
    int fg_lock(int fd, long at, int command, short type)
    const int F_OFD_SETLK
    const short F_WRLCK
    const short F_UNLCK

cdef enum:
    MOST_ASKED = 64             # segments that others have, before a store is given up
    MOST_TRIES = 8              # changes of a bucket by others, before a store is given up

# Locks lie far behind everything that is mapped.
cdef long LOCKS_AT = 1 << 50


cdef bint store(Place *place, Entry *head, const Content *content) noexcept nogil:
    """Keep an entry whose head lacks its sequence and checksum; false, and counted, where there is no room for it.

    What the key had for the same fingerprint is withdrawn.
    """
    cdef Segment *segment
    cdef uint8_t *entry
    cdef uint64_t at
    if <int64_t>rounded(head.size) > place.largest or not _take_room(place, rounded(head.size), head.created_ms):
        fg_add(&place.header.refused, 1)
        return False
    segment = place.segments + place.mine
    at = segment.fill
    entry = place.room + place.mine * SEGMENT + at
    head.sequence = <uint64_t>fg_add(&place.header.stored, 1)
    _write(place, entry, head, content)
    fg_store(&segment.fill, at + rounded(head.size))
    withdraw(place, head.low, head.high, content.fingerprint, head.fingerprint)
    return _lead_to(place, head, word_of(head.high, place.mine, at))


cdef void _write(const Place *place, uint8_t *entry, const Entry *head, const Content *content) noexcept nogil:
    cdef uint8_t *to = entry + sizeof(Entry)
    (<Entry *>entry)[0] = head[0]
    memcpy(to, content.fingerprint, head.fingerprint)
    to += head.fingerprint
    memcpy(to, content.usage, head.usage)
    to += head.usage
    memcpy(to, content.about, head.about)
    memcpy(to + head.about, content.answer, head.answer)
    (<Entry *>entry).check = check_of(place, entry, head.size)


cdef bint _lead_to(Place *place, const Entry *head, uint64_t word) noexcept nogil:
    """Put the word into an empty slot of its bucket, else in place of the one whose last use is longest ago."""
    cdef Bucket *bucket = bucket_of(place, head.low)
    cdef uint64_t before
    cdef int slot, chosen, tries
    for tries in range(MOST_TRIES):
        chosen = 0
        for slot in range(SLOTS):
            if fg_load(&bucket.words[slot]) == 0:
                chosen = slot
                break
            if fg_load(&bucket.uses[slot]) >> USE_SHIFT < fg_load(&bucket.uses[chosen]) >> USE_SHIFT:
                chosen = slot
        before = fg_load(&bucket.words[chosen])
        if fg_cas(&bucket.words[chosen], before, word):
            fg_store(&bucket.uses[chosen], <uint64_t>head.created_ms << USE_SHIFT)
            if before != 0:
                fg_add(&place.header.evicted, 1)
            return True
    fg_add(&place.header.refused, 1)
    return False


cdef uint64_t withdraw(Place *place, uint64_t low, uint64_t high, const uint8_t *fingerprint, size_t size) noexcept nogil:
    """Have nothing lead to the entries of that fingerprint any more; how many there were."""
    cdef Bucket *bucket = bucket_of(place, low)
    cdef const uint8_t *entry
    cdef uint64_t word, generation, gone = 0
    cdef Entry head
    cdef int slot
    for slot in range(SLOTS):
        word = fg_load(&bucket.words[slot])
        entry = look(place, word, low, high, &head, &generation)
        if entry != NULL and answers(&head, entry, fingerprint, size) and unmoved(place, word, generation):
            gone += fg_cas(&bucket.words[slot], word, 0)
    return gone


cdef bint _take_room(Place *place, uint64_t size, int64_t now_ms) noexcept nogil:
    """Whether the segment that this process has is one with so much space, after another was taken where it was not."""
    cdef int64_t number
    cdef uint64_t asked
    if place.mine >= 0 and place.segments[place.mine].fill + size <= SEGMENT:
        return True
    for asked in range(min(place.count, <uint64_t>MOST_ASKED)):
        number = fg_add(&place.header.hand, 1) % <int64_t>place.count
        if number != place.mine and fg_lock(place.fd, LOCKS_AT + number, F_OFD_SETLK, F_WRLCK) < 0:
            continue
        if place.mine >= 0 and number != place.mine:
            fg_lock(place.fd, LOCKS_AT + place.mine, F_OFD_SETLK, F_UNLCK)
        place.mine = number
        if fg_load(&place.segments[number].generation) & 1:
            _forget(place, number)
        if place.segments[number].fill + size > SEGMENT:
            _sweep(place, number, now_ms)
        return True
    return False


cdef bint is_owned(const Place *place, uint64_t number) noexcept nogil:
    """Whether a process that lives has the segment."""
    if place.mine == <int64_t>number or fg_lock(place.fd, LOCKS_AT + number, F_OFD_SETLK, F_WRLCK) < 0:
        return True
    fg_lock(place.fd, LOCKS_AT + number, F_OFD_SETLK, F_UNLCK)
    return False


cdef void _forget(Place *place, uint64_t number) noexcept nogil:
    """Empty a segment whose owner died while it moved entries: nothing may lead into it. Looks through the whole index."""
    cdef Bucket *bucket
    cdef uint64_t word, at
    cdef int slot
    fg_store(&place.segments[number].fill, 0)
    for at in range(place.count * BUCKETS_EACH):
        bucket = place.index + at
        for slot in range(SLOTS):
            word = fg_load(&bucket.words[slot])
            if word != 0 and segment_of(word) == number and fg_cas(&bucket.words[slot], word, 0):
                fg_add(&place.header.evicted, 1)
    fg_store(&place.segments[number].generation, place.segments[number].generation + 1)


cdef void _sweep(Place *place, uint64_t number, int64_t now_ms) noexcept nogil:
    """Move what is kept of a segment to its beginning."""
    cdef Segment *segment = place.segments + number
    cdef uint8_t *room = place.room + number * SEGMENT
    cdef uint64_t at = 0, to = 0, fill = segment.fill, size
    cdef const Entry *entry
    fg_store(&segment.generation, segment.generation + 1)
    fg_fence()
    while at < fill:
        entry = <const Entry *>(room + at)
        size = rounded(entry.size)
        if fill - at < sizeof(Entry) or not sizeof(Entry) <= size <= fill - at:
            _forget(place, number)  # a stray store hit it
            return
        if _keep(place, entry, number, at, to, now_ms):
            to += size
        at += size
    fg_store(&segment.fill, to)
    fg_store(&segment.generation, segment.generation + 1)


cdef bint _keep(Place *place, const Entry *entry, uint64_t number, uint64_t at, uint64_t to, int64_t now_ms) noexcept nogil:
    """Move the entry at ``at`` to ``to`` where it is worth it, and have its word follow; whether it is there."""
    cdef Bucket *bucket = bucket_of(place, entry.low)
    cdef uint64_t word = word_of(entry.high, number, at), moved = word_of(entry.high, number, to), use
    cdef uint64_t size = rounded(entry.size)
    cdef int slot = 0
    while slot < SLOTS and fg_load(&bucket.words[slot]) != word:
        slot += 1
    if slot == SLOTS:
        return False
    use = fg_load(&bucket.uses[slot])
    if use & RECENT and entry.expires_ms > now_ms and to + size <= KEPT:
        if to != at:
            memmove(place.room + number * SEGMENT + to, entry, size)
        fg_cas(&bucket.uses[slot], use, use & ~<uint64_t>RECENT)
        return fg_cas(&bucket.words[slot], word, moved)
    if fg_cas(&bucket.words[slot], word, 0):
        fg_add(&place.header.evicted, 1)
    return False
