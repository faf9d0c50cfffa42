"""Entries of a slab by what is said of them: listed, or withdrawn.

A search goes through the index, a stretch at a time. An entry's word stays in its slot for as long as it leads somewhere, so that
none is left out or met twice, whatever is stored meanwhile; what a sweep is moving just then is waited for. After a withdrawal
no process finds what was there when it began: what nothing leads to is not handed out, and whoever sweeps finds its word gone.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport INT64_MAX, int64_t, uint8_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy
from posix.unistd cimport usleep

from fastgate._core.slab cimport Slab
from fastgate._core.slab_layout cimport (
    BUCKETS_EACH, SEGMENT, SLOTS, TAG_SHIFT, UNIT, UNITS, Bucket, Entry, Place, bucket_of, fg_add, fg_cas, fg_load, look, segment_of,
    unmoved,
)

from fastgate._core.slab_writer cimport is_owned

cdef extern from "<string.h>" nogil:
    const void *memmem(const void *text, size_t size, const void *needle, size_t length)

cdef enum:
    NAP_US = 50
    MOST_NAPS = 20000           # of one search in all: a sweep takes a few of them, unless who does it gets no processor
    MOST_TRIES = 16             # to list an entry that others move, or replace, each time

cdef enum Seen:
    NO
    YES
    MOVING

cdef struct Needle:
    const char *start
    size_t size
    bint last                   # of its alternatives


cdef inline uint64_t *_word_at(const Place *place, uint64_t at) noexcept nogil:
    return &place.index[at // SLOTS].words[at % SLOTS]


cdef inline bint _stays(const Place *place, uint64_t at, uint64_t word, uint64_t generation) noexcept nogil:
    """Whether what was read of the entry behind a slot was whole."""
    return unmoved(place, word, generation) and fg_load(_word_at(place, at)) == word


cdef const uint8_t *_entry_of(const Place *place, uint64_t word, Entry *head) noexcept nogil:
    """As :func:`look`, of an entry whose key is not known before."""
    cdef uint64_t at = (word & UNITS) * UNIT, generation
    if at + sizeof(Entry) > SEGMENT:
        return NULL
    head[0] = (<const Entry *>(place.room + segment_of(word) * SEGMENT + at))[0]
    return look(place, word, head.low, head.high, head, &generation)


cdef bint _nap(const Place *place, uint64_t word) noexcept nogil:
    """Let who moves what ``word`` leads to go on; false, at once, where that process is dead."""
    if not is_owned(place, segment_of(word)):
        return False
    usleep(NAP_US)
    return True


cdef int _peek(
    const Place *place, uint64_t at, uint64_t *word, uint64_t *generation, Entry *head, const uint8_t **entry
) noexcept nogil:
    """Whether a slot leads to an entry. What is read of one counts only where it :func:`_stays`."""
    word[0] = fg_load(_word_at(place, at))
    if word[0] == 0 or segment_of(word[0]) >= place.count:
        return NO
    generation[0] = fg_load(&place.segments[segment_of(word[0])].generation)
    if generation[0] & 1:
        return MOVING
    entry[0] = _entry_of(place, word[0], head)
    if entry[0] != NULL and bucket_of(place, head.low) == place.index + at // SLOTS:
        return YES
    return NO if _stays(place, at, word[0], generation[0]) else MOVING


cdef class Search:
    """``Search(slab, said, now_ms=...)``: what has not expired and was stored from ``from_ms`` on and before ``until_ms``.

    ``said``: for each of these, one of its byte strings lies in what an entry is about. Moments in Unix milliseconds. Of one
    thread; others run while it goes through the index.
    """

    cdef Slab slab
    cdef Place *place
    cdef tuple said
    cdef Needle *needles
    cdef Py_ssize_t count
    cdef int64_t now_ms, from_ms, until_ms
    cdef int naps

    def __cinit__(
        self, Slab slab not None, said, *, int64_t now_ms, int64_t from_ms=0, int64_t until_ms=INT64_MAX
    ):
        cdef Py_ssize_t number = 0
        cdef bytes each
        self.slab = slab
        self.place = &slab.place
        self.naps = MOST_NAPS
        self.now_ms, self.from_ms, self.until_ms = now_ms, from_ms, until_ms
        self.said = tuple([tuple(alternatives) for alternatives in said])
        if not all(self.said):
            raise ValueError("where nothing may be said nothing can be found")
        self.count = sum([len(alternatives) for alternatives in self.said])
        self.needles = <Needle *>malloc((self.count + 1) * sizeof(Needle))
        if self.needles == NULL:
            raise MemoryError()
        for alternatives in self.said:
            for each in alternatives:
                self.needles[number] = Needle(PyBytes_AS_STRING(each), PyBytes_GET_SIZE(each), False)
                number += 1
            self.needles[number - 1].last = True

    def __dealloc__(self):
        free(self.needles)

    def entries(self, uint64_t start, Py_ssize_t most, uint64_t slots) -> tuple:
        """Those in the next ``slots`` slots from the slot ``start`` on, as :meth:`Slab.scan` lists them, but at most ``most``.

        And the slot from which on to go on; 0: that was the end.
        """
        cdef uint64_t at = start, end = self._end(start, slots), word = 0
        cdef Entry head
        cdef int tries = 0
        found = []
        while at < end and len(found) < most:
            with nogil:
                at = self._seek(at, end, &word, &head)
            if at >= end:
                break
            listed = _listed(self.slab, at, &head)
            if listed is None and tries < MOST_TRIES:
                tries += 1
                continue
            if listed is not None:
                found.append(listed)
            tries = 0
            at += 1
        return found, self._next(at)

    def withdraw(self, uint64_t start, uint64_t slots) -> tuple:
        """Have those in the next ``slots`` slots found no more: how many there were, and where to go on, as :meth:`entries`."""
        cdef uint64_t at, end = self._end(start, slots), gone = 0
        with nogil:
            for at in range(start, end):
                gone += self._withdraw_at(at)
        return gone, self._next(end)

    cdef bint _withdraw_at(self, uint64_t at) noexcept nogil:
        """What a dead process was moving, or one for longer than we wait, gives way, whatever it is."""
        cdef uint64_t word = 0
        cdef Entry head
        cdef int seen = self._look(at, &word, &head)
        while seen != NO:
            if fg_cas(_word_at(self.place, at), word, 0):
                if seen == MOVING:
                    fg_add(&self.place.header.evicted, 1)
                return seen == YES
            seen = self._look(at, &word, &head)
        return False

    cdef uint64_t _seek(self, uint64_t at, uint64_t end, uint64_t *word, Entry *head) noexcept nogil:
        """The first slot from ``at`` on that leads to what is sought; ``end``: none before it does."""
        while at < end and self._look(at, word, head) != YES:
            at += 1
        return at

    cdef int _look(self, uint64_t at, uint64_t *word, Entry *head) noexcept nogil:
        """Whether a slot leads to what is sought, as soon as that can be told."""
        cdef int seen = self._glance(at, word, head)
        cdef bint alive = True
        while seen == MOVING and alive and self.naps > 0:
            self.naps -= 1
            alive = _nap(self.place, word[0])
            seen = self._glance(at, word, head)
        return seen

    cdef int _glance(self, uint64_t at, uint64_t *word, Entry *head) noexcept nogil:
        cdef uint64_t generation = 0
        cdef const uint8_t *entry = NULL
        cdef int seen = _peek(self.place, at, word, &generation, head, &entry)
        cdef bint wanted
        if seen != YES:
            return seen
        wanted = (
            head.expires_ms > self.now_ms and self.from_ms <= head.created_ms < self.until_ms and self._says(head, entry)
        )
        if not _stays(self.place, at, word[0], generation):
            return MOVING
        return YES if wanted else NO

    cdef bint _says(self, const Entry *head, const uint8_t *entry) noexcept nogil:
        """Whether what an entry is about has one of each group of alternatives."""
        cdef const uint8_t *about = entry + sizeof(Entry) + head.fingerprint + head.usage
        cdef Py_ssize_t number
        cdef bint has = False
        for number in range(self.count):
            has = has or memmem(about, head.about, self.needles[number].start, self.needles[number].size) != NULL
            if self.needles[number].last:
                if not has:
                    return False
                has = False
        return True

    cdef uint64_t _end(self, uint64_t start, uint64_t slots) noexcept nogil:
        cdef uint64_t last = self.place.count * BUCKETS_EACH * SLOTS
        return start + slots if start < last and slots < last - start else last

    cdef uint64_t _next(self, uint64_t at) noexcept nogil:
        return at if at < self.place.count * BUCKETS_EACH * SLOTS else 0


cdef _listed(Slab slab, uint64_t at, const Entry *head):
    """The entry behind a slot, where it is still the one with that head."""
    listed = slab._listed(at)
    return listed if listed is not None and listed.id == _id(head.low, head.high, head.sequence) else None


cdef str _id(uint64_t low, uint64_t high, uint64_t sequence):
    cdef uint64_t key[2]
    key[0], key[1] = low, high
    return f"{(<const char *>key)[:16].hex()}-{sequence}"


cdef bint _read_id(str id, Entry *head) except -1:
    """Whether it is an id; ``head`` is then of the entry that it names, as far as an id says."""
    text, _, number = id.partition("-")
    try:
        key = bytes.fromhex(text)
        head.sequence = int(number)
    except (ValueError, OverflowError):
        return False
    if len(key) != 16:
        return False
    memcpy(&head.low, PyBytes_AS_STRING(key), 8)
    memcpy(&head.high, PyBytes_AS_STRING(key) + 8, 8)
    return True


cdef int _find(const Place *place, const Entry *named, uint64_t *at, uint64_t *word) noexcept nogil:
    """Whether the entry of that key and sequence is there, and where; MOVING: one that may be it is moved."""
    cdef uint64_t first = <uint64_t>(bucket_of(place, named.low) - place.index) * SLOTS, slot, generation = 0, seen_word = 0
    cdef const uint8_t *entry = NULL
    cdef Entry head
    cdef int seen, found = NO
    for slot in range(first, first + SLOTS):
        seen = _peek(place, slot, &seen_word, &generation, &head, &entry)
        if seen == NO or seen_word >> TAG_SHIFT != (named.high >> TAG_SHIFT | 1):
            continue
        if seen == YES and not _stays(place, slot, seen_word, generation):
            seen = MOVING
        if seen == YES and (head.low != named.low or head.high != named.high or head.sequence != named.sequence):
            continue
        at[0], word[0], found = slot, seen_word, seen
        if seen == YES:
            break
    return found


cdef int _await(const Place *place, const Entry *named, uint64_t *at, uint64_t *word) noexcept nogil:
    """As :func:`_find`, as soon as it can be told."""
    cdef int seen = _find(place, named, at, word), naps = MOST_NAPS
    cdef bint alive = True
    while seen == MOVING and alive and naps > 0:
        naps -= 1
        alive = _nap(place, word[0])
        seen = _find(place, named, at, word)
    return seen


def find_id(Slab slab not None, str id not None):
    """The entry that is listed by this id, as :meth:`Slab.scan` lists it; None: there is none, also for what is no id."""
    cdef uint64_t at = 0, word = 0
    cdef Entry named
    cdef int tries, seen
    if not _read_id(id, &named):
        return None
    for tries in range(MOST_TRIES):
        with nogil:
            seen = _await(&slab.place, &named, &at, &word)
        if seen != YES:
            return None
        listed = _listed(slab, at, &named)
        if listed is not None:
            return listed
    return None


def fingerprint_of(Slab slab not None, str id not None):
    """What was asked, of the entry that is listed by this id; None: there is none, also for what is no id."""
    cdef uint64_t at = 0, word = 0, generation = 0
    cdef const uint8_t *entry = NULL
    cdef Entry named, head
    cdef int tries, seen
    if not _read_id(id, &named):
        return None
    for tries in range(MOST_TRIES):
        with nogil:
            seen = _await(&slab.place, &named, &at, &word)
        if seen != YES:
            return None
        if _peek(&slab.place, at, &word, &generation, &head, &entry) != YES:
            continue
        fingerprint = (<const char *>entry)[sizeof(Entry):sizeof(Entry) + head.fingerprint]
        is_it = head.low == named.low and head.high == named.high and head.sequence == named.sequence
        if is_it and _stays(&slab.place, at, word, generation):
            return fingerprint
    return None


def remove_id(Slab slab not None, str id not None) -> bool:
    """Have the entry that is listed by this id found no more; whether it was there. False also for what is no id."""
    cdef uint64_t at = 0, word = 0
    cdef Entry named
    cdef int seen
    if not _read_id(id, &named):
        return False
    with nogil:
        seen = _await(&slab.place, &named, &at, &word)
        while seen != NO and not fg_cas(_word_at(&slab.place, at), word, 0):
            seen = _await(&slab.place, &named, &at, &word)
    return seen != NO
