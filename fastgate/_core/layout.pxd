"""What lies where in the arena, shared by every unit that maps it.

    0          header (one page)
    4 KiB      owners: 1,024 slots of 128 bytes
    132 KiB    what each owner counts beside its events: 1,024 times 64 bytes. Room that older versions left zero, and read nothing in
    256 KiB    index: 524,288 buckets, each the number of a cell, chained
    2.25 MiB   directory: what each chunk holds
    2.5 MiB    chunks of 1 MiB, appended as needed: cells or records. Nothing ever moves

A change of anything here is a change of ``LAYOUT``, but for what is put where all versions of it have nothing.
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t


cdef extern from "atomics.h" nogil:
    ctypedef struct fg_word:
        int64_t amount
        uint64_t tag
    uint64_t fg_load(const uint64_t *at)
    void fg_store(uint64_t *at, uint64_t value)
    int64_t fg_load_signed(const int64_t *at)
    void fg_store_signed(int64_t *at, int64_t value)
    int64_t fg_plus(int64_t a, int64_t b)
    int64_t fg_add(int64_t *at, int64_t value)
    void fg_fence()
    bint fg_cas(uint64_t *at, uint64_t expected, uint64_t desired)
    bint fg_cas_signed(int64_t *at, int64_t expected, int64_t desired)
    uint32_t fg_load32(const uint32_t *at)
    bint fg_cas32(uint32_t *at, uint32_t expected, uint32_t desired)
    fg_word fg_load_word(const fg_word *at)
    bint fg_cas_word(fg_word *at, fg_word expected, fg_word desired)


cdef enum:
    LAYOUT = 5
    OWNERS = 1024
    OWNERS_AT = 4096
    COUNTS_AT = 135168
    OWNER_COUNTS = 8
    BUCKETS = 524288
    INDEX_AT = 262144
    CHUNKS = 16384
    DIRECTORY_AT = 2359296
    CHUNKS_AT = 2621440
    CHUNK = 1048576
    CELL = 320
    CELLS_PER_CHUNK = 3276
    GRANTS = 2
    RECORD = 2560
    RECORDS_PER_CHUNK = 409
    MAX_LEVELS = 56
    MAX_ID = 160
    MAX_EVENT = 1856
    # A tag is window << 34 | owner << 24 | sequence.
    WINDOW_SHIFT = 34
    OWNER_SHIFT = 24
    SEQUENCES = 0xFFFFFF
    WINDOWS = 0x3FFFFFFF

cdef enum Unit:
    """What a level counts. A request is one of REQUESTS, and one of OPEN until it ends."""
    USD = 0       # nano-USD
    REQUESTS = 1
    INPUT = 2     # tokens
    OUTPUT = 3    # tokens
    TOKENS = 4    # both
    OPEN = 5
    UNITS = 6

cdef enum ChunkKind:
    CHUNK_NONE = 0
    CHUNK_CELLS = 1
    CHUNK_RECORDS = 2

cdef enum State:
    FREE = 0
    HOLDING = 1    # taking the levels one by one; nothing has been sent
    HELD = 2       # all levels taken
    SETTLING = 3   # final: the amount and the event are written, the levels follow
    VOIDING = 4    # giving back, from the level at `step` down to the first
    GROWING = 5    # taking more at the levels, one by one
    SHRINKING = 6  # giving back what growing took
    OWED = 7       # settled, and the journal had no space: the record keeps its event; see `owed.pyx`
    SUMMED = 8     # the same, and two records that are in it are not freed yet

cdef struct Header:
    uint64_t magic
    uint32_t layout
    uint32_t counted            # 1: the counters are what the ledger says, or the operator let them begin at zero
    uint64_t capacity           # bytes that may ever be used
    int64_t created_ns
    uint64_t chunks             # appended so far
    uint64_t next_cell          # where the next cell goes: chunk * CELLS_PER_CHUNK + position, 0: no chunk yet
    uint64_t cells              # made so far
    uint64_t owners             # one past the highest slot ever claimed
    uint64_t generation         # of the snapshot that is in force
    uint8_t boot[40]            # the machine's boot id, with its terminating zero
    uint64_t store_state        # how it stands with the store that hosts share, see `leases.pyx`; older versions left it zero: it grants

cdef struct Slot:
    uint64_t state              # generation << 8 | kind; 0: never used; kind 0: free
    uint64_t sequence           # of the last change made by this owner
    uint64_t inflight           # counter << 32 | record + 1 while levels are being taken, low half 0 otherwise
    uint64_t pid                # for people; never used to decide
    int64_t heartbeat_ns
    int64_t open_holds
    uint64_t journal_serial
    uint64_t journal_sequence
    uint64_t done               # the highest sequence that others saw in a word before they replaced it
    int64_t journal_dropped
    int64_t dropped_nano
    uint64_t requests
    uint64_t generation         # of the snapshot this worker serves
    uint64_t strangers          # requests without a valid key, which are counted and not journaled
    uint64_t anomalies          # reports of usage that contradict themselves, which are corrected
    uint64_t spare[1]

cdef struct Cell:
    fg_word used                # settled plus held, in the window that the tag names
    fg_word spent               # settled
    fg_word before              # what `used` came to in an earlier window, where late settlements still land
    int64_t anchor_ns           # first use: windows are counted from here
    int64_t overrun             # settled above holds, ever
    uint64_t told               # window << 8 | the highest threshold, in percent, that was told in it
    uint64_t hash
    uint32_t next               # cell + 1 in the same bucket
    uint16_t length
    uint16_t member             # above 0: another cell's `members` counts it, and this is its kind
    uint8_t id[MAX_ID]
    int64_t members             # cells that were made as members of this one
    fg_word granted[GRANTS]     # where hosts share: what this one may use, of the window that the tag is
    int64_t spent_elsewhere     # what other hosts told last, of the window below: for whoever shows it, not to decide by
    int64_t used_elsewhere
    uint64_t told_window
    int64_t dry_until_ns        # until then there is no more to be had, so that nobody waits for it; odd: nor will there be

cdef struct Record:
    uint64_t progress           # the one word that commits; see `steps.pyx`
    int64_t amounts[2][UNITS]   # held: one side counts, the other is where a growth is prepared
    int64_t actuals[UNITS]      # to settle
    uint32_t levels
    uint32_t sent               # whether the provider may have seen the request
    uint32_t cells[MAX_LEVELS]
    uint32_t windows[MAX_LEVELS]
    uint8_t units[MAX_LEVELS]   # a Unit each
    uint64_t journal_serial     # where the event of a settlement stands, valid in SETTLING
    uint64_t journal_offset
    uint64_t event_size
    uint8_t event[MAX_EVENT]
