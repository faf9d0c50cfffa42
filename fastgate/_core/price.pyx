"""Usage in disjoint buckets, and the price table that turns it into nano-USD.

Amounts are int64 nano-USD, prices int64 femto-USD per unit; the time of audio is priced by the hour and counted in
microseconds. A cost is summed in 128 bits and rounded once, half to even.
"""

cimport cython
from libc.stdint cimport INT64_MAX, INT64_MIN, int64_t, uint32_t, uint64_t, uintptr_t
from libc.string cimport memset

from fastgate._core.int128 cimport int128

cdef enum:
    _BUCKETS = 16
    _PRICED = 16            # buckets that a band has a price for
    _TIERS = 8
    _BATCH = 3              # the last tier that a provider may choose unasked
    _WEB_SEARCH = 9         # these are fees, which no region multiplies
    _REQUEST = 10
    _FILE_SEARCH = 13
    _AUDIO_TIME = 14
    _CHARACTER = 15
    _UNSTATED = -1          # in place of a price
    _BEYOND = -1            # in place of an amount: more than can be counted
    _UNPRICED = -2          # in place of an amount: something was counted that has no price
    _VERSION = 1
    _MAX_PERMILLE = 10_000

cdef int64_t _US_PER_HOUR = 3_600_000_000
cdef uint64_t _MAGIC = 0x3145434952504746       # "FGPRICE1" in little-endian order
# About 1e15 USD in femto-USD: a product beyond it cannot end inside int64 nano-USD, and sixteen below it, times any
# permille, fit in 128 bits.
cdef int128 _TOO_MUCH = (<int128>1) << 100

cdef struct Header:
    uint64_t magic
    uint32_t version
    uint32_t models
    uint32_t rows
    uint32_t bands

ANY_TIER = EVERY_TIER
UNASKED_TIERS = UNASKED

# In the order of ``fastgate.wire.usage.Bucket``, which lies above this unit; a test compares them.
BUCKET_NAMES = (
    "input", "cache_read", "cache_write", "cache_write_1h", "output", "reasoning", "audio_input", "audio_output",
    "image_input", "web_search", "request", "cache_read_audio", "cache_read_image",
    "file_search", "audio_time", "character",
)


@cython.freelist(64)
cdef class Usage:
    """Counts per bucket of one answer, with the tier and geography that served it.

    ``Usage(input=12, output=3, tier=Tier.FLEX)``; unknown names raise TypeError. Buckets are disjoint and counts are
    never negative. ``estimated`` says that the provider did not report it.
    """

    def __init__(
        self, *, int tier=0, int geo=0, bint estimated=False, int64_t input=0, int64_t cache_read=0, int64_t cache_write=0,
        int64_t cache_write_1h=0, int64_t output=0, int64_t reasoning=0, int64_t audio_input=0, int64_t audio_output=0,
        int64_t image_input=0, int64_t web_search=0, int64_t request=0, int64_t cache_read_audio=0,
        int64_t cache_read_image=0, int64_t file_search=0, int64_t audio_time=0, int64_t character=0,
    ):
        cdef int bucket
        self.tier, self.geo, self.estimated = tier, geo, estimated
        memset(self.n, 0, sizeof(self.n))
        self.n[0], self.n[1], self.n[2], self.n[3] = input, cache_read, cache_write, cache_write_1h
        self.n[4], self.n[5], self.n[6], self.n[7] = output, reasoning, audio_input, audio_output
        self.n[8], self.n[9], self.n[10], self.n[11] = image_input, web_search, request, cache_read_audio
        self.n[12], self.n[13], self.n[14], self.n[15] = cache_read_image, file_search, audio_time, character
        for bucket in range(_PRICED):
            if self.n[bucket] < 0:
                raise ValueError(f"negative count {self.n[bucket]} in bucket {bucket}")

    def __getitem__(self, int bucket):
        if not 0 <= bucket < _BUCKETS:
            raise IndexError(f"no bucket {bucket}")
        return self.n[bucket]

    def __setitem__(self, int bucket, int64_t count):
        if not 0 <= bucket < _BUCKETS:
            raise IndexError(f"no bucket {bucket}")
        if count < 0:
            raise ValueError(f"negative count {count} in bucket {bucket}")
        self.n[bucket] = count

    cpdef int64_t prompt_total(self):
        """Tokens of the whole prompt, cached and written ones included: what thresholds are compared with."""
        # Saturates: a total beyond int64 is in the last band anyway, and its cost overflows visibly.
        cdef int128 total = (
            <int128>self.n[0] + self.n[1] + self.n[2] + self.n[3] + self.n[6] + self.n[8] + self.n[11] + self.n[12]
        )
        return INT64_MAX if total > INT64_MAX else <int64_t>total

    def as_dict(self):
        """Counts by lower-case bucket name; empty buckets are left out."""
        return {name: self.n[i] for i, name in enumerate(BUCKET_NAMES) if self.n[i]}

    def __eq__(self, other):
        if not isinstance(other, Usage):
            return NotImplemented
        cdef Usage that = other
        cdef int bucket
        for bucket in range(_BUCKETS):
            if self.n[bucket] != that.n[bucket]:
                return False
        return self.tier == that.tier and self.geo == that.geo and self.estimated == that.estimated

    __hash__ = None

    def __repr__(self):
        parts = [f"{name}={count}" for name, count in self.as_dict().items()]
        parts += [f"{name}={value}" for name, value in (("tier", self.tier), ("geo", self.geo)) if value]
        if self.estimated:
            parts.append("estimated=True")
        return f"Usage({', '.join(parts)})"


cdef inline bint _is_fee(int bucket) noexcept nogil:
    return bucket == _WEB_SEARCH or bucket == _REQUEST or bucket == _FILE_SEARCH


cdef inline bint _in_force(const Row *row, int64_t at_ns, int second) noexcept nogil:
    if at_ns < row.valid_from or at_ns >= row.valid_until:
        return False
    if row.day_from < 0:
        return True
    if row.day_from <= row.day_until:
        return row.day_from <= second < row.day_until
    return second >= row.day_from or second < row.day_until


cdef inline int _second_of_day(int64_t at_ns) noexcept nogil:
    cdef int64_t second = (at_ns / 1_000_000_000) % 86_400
    return <int>(second + 86_400 if second < 0 else second)


cdef inline const Row *_row_of(const Row *rows, Span span, int64_t at_ns, int second) noexcept nogil:
    cdef uint32_t i
    for i in range(span.first, span.first + span.count):
        if _in_force(&rows[i], at_ns, second):
            return &rows[i]
    return NULL


cdef inline const Row *_row(const Model *model, const Row *rows, int tier, int64_t at_ns) noexcept nogil:
    """The row in force for a served tier; a tier without one is charged as standard (``has_tier`` tells)."""
    cdef int second = _second_of_day(at_ns)
    cdef const Row *row = NULL
    if 0 < tier < _TIERS:
        row = _row_of(rows, model.tiers[tier], at_ns, second)
    if row == NULL:
        row = _row_of(rows, model.tiers[0], at_ns, second)
    return row


cdef inline const Band *_band(const Band *bands, const Row *row, int64_t prompt) noexcept nogil:
    """The last band that starts below the prompt total; the base band starts below zero, so there is one."""
    cdef const Band *band = &bands[row.bands.first + row.bands.count - 1]
    while band.above >= prompt:
        band -= 1
    return band


cdef inline int64_t _nano(int128 tokens, int128 fees, int64_t part, int64_t permille, bint up) noexcept nogil:
    """Femto-USD to nano-USD, rounded once: half to even, or up; ``_BEYOND`` where int64 does not hold that.

    ``part / _US_PER_HOUR`` of a femto-USD comes on top of ``tokens``. Less than one, it cannot lift a sum past a half,
    which is a whole number, only off it.
    """
    cdef int128 total, quotient, rest, unit = 1_000_000
    cdef uint64_t small, small_rest
    if permille == 1000:
        total = tokens + fees
        if total <= INT64_MAX:  # below 9,223 USD: one hardware division instead of a library call
            small = <uint64_t>total / 1_000_000
            small_rest = <uint64_t>total - small * 1_000_000
            if up:
                small += small_rest > 0 or part > 0
            elif small_rest > 500_000 or (small_rest == 500_000 and (small % 2 == 1 or part > 0)):
                small += 1
            return <int64_t>small
    else:
        total = tokens * permille + fees * 1000 + part * permille / _US_PER_HOUR
        part = part * permille % _US_PER_HOUR
        unit = 1_000_000_000
    quotient = total / unit
    rest = total - quotient * unit
    if up:
        quotient += rest > 0 or part > 0
    elif 2 * rest > unit or (2 * rest == unit and (quotient % 2 == 1 or part > 0)):
        quotient += 1
    return _BEYOND if quotient > INT64_MAX else <int64_t>quotient


cdef int64_t _cost(const Model *model, const Row *rows, const Band *bands, const int64_t *n, int64_t prompt,
                   int tier, int geo, int64_t at_ns) noexcept nogil:
    cdef const Row *row = _row(model, rows, tier, at_ns)
    cdef const Band *band = _band(bands, row, prompt)
    cdef int128 product, tokens = 0, fees = 0
    cdef int64_t part = 0
    cdef int bucket
    for bucket in range(_PRICED):
        if n[bucket] <= 0:
            continue
        if band.price[bucket] < 0:
            return _UNPRICED
        product = <int128>n[bucket] * band.price[bucket]
        if bucket == _AUDIO_TIME:
            part = <int64_t>(product % _US_PER_HOUR)
            product /= _US_PER_HOUR
        if product > _TOO_MUCH:
            return _BEYOND
        if _is_fee(bucket):
            fees += product
        else:
            tokens += product
    return _nano(tokens, fees, part, row.geo_permille if geo else 1000, False)


cdef int64_t _band_bound(const Band *band, const Most *most, int64_t reach, int64_t permille, bint media) noexcept nogil:
    """The dearest cost in one band, with a prompt of ``reach`` tokens."""
    cdef int64_t heard = band.any_input if media else band.text_input
    cdef int64_t spoken = band.any_output if media else band.text_output
    cdef int64_t search = max(band.price[_WEB_SEARCH], band.price[_FILE_SEARCH])
    cdef int128 inputs, outputs, fees, listened = 0, read = 0
    cdef int64_t part = 0
    if (reach and heard < 0) or (most.outputs and spoken < 0):
        return _UNPRICED
    inputs, outputs, fees = <int128>reach * heard, <int128>most.outputs * spoken, <int128>most.searches * search
    if most.audio_us or most.characters:
        if (most.audio_us and band.price[_AUDIO_TIME] < 0) or (most.characters and band.price[_CHARACTER] < 0):
            return _UNPRICED
        listened = <int128>most.audio_us * band.price[_AUDIO_TIME]
        part = <int64_t>(listened % _US_PER_HOUR)
        listened /= _US_PER_HOUR
        read = <int128>most.characters * band.price[_CHARACTER]
    if inputs > _TOO_MUCH or outputs > _TOO_MUCH or fees > _TOO_MUCH or listened > _TOO_MUCH or read > _TOO_MUCH:
        return _BEYOND
    return _nano(inputs + outputs + listened + read, fees + band.price[_REQUEST], part, permille, True)


cdef int64_t _row_bound(const Row *row, const Band *bands, const Most *most, int geo, bint media) noexcept nogil:
    """The dearest cost under one row: for every band that the prompt can reach, as large a prompt as it takes."""
    cdef int64_t reach, nano, highest = 0
    cdef int64_t permille = 1000 if geo == 0 else row.geo_permille
    cdef uint32_t i
    if geo < 0 and permille < 1000:
        permille = 1000
    for i in range(row.bands.count):
        if bands[row.bands.first + i].above >= most.inputs:
            break
        reach = most.inputs
        if i + 1 < row.bands.count and bands[row.bands.first + i + 1].above < most.inputs:
            reach = bands[row.bands.first + i + 1].above
        nano = _band_bound(&bands[row.bands.first + i], most, reach, permille, media)
        if nano < 0:
            return nano
        if nano > highest:
            highest = nano
    return highest


cdef int64_t _bound(const Model *model, const Row *rows, const Band *bands, const Most *most,
                    int tier, int geo, bint media, int64_t at_ns) noexcept nogil:
    """Over standard, which anything may be served as, and the tiers that ``tier`` stands for."""
    cdef int second = _second_of_day(at_ns)
    cdef const Row *row
    cdef int64_t nano, highest = 0
    cdef int candidate
    for candidate in range(_TIERS):
        if model.tiers[candidate].count == 0:
            continue
        if candidate and not (
            candidate == tier or tier == EVERY_TIER or (tier == UNASKED and candidate <= _BATCH)
        ):
            continue
        row = _row_of(rows, model.tiers[candidate], at_ns, second)
        if row == NULL:
            continue
        nano = _row_bound(row, bands, most, geo, media)
        if nano < 0:
            return nano
        if nano > highest:
            highest = nano
    return highest


cdef inline bint _always(const Row *row) noexcept nogil:
    return row.valid_from == INT64_MIN and row.valid_until == INT64_MAX and row.day_from < 0


cdef int _check(PriceTable table, const Header *header) except -1:
    """Everything that the hot path takes for granted, so that a damaged file cannot make it read elsewhere."""
    cdef uint32_t i, k
    cdef Span span
    for i in range(header.models):
        for k in range(_TIERS):
            span = table.models[i].tiers[k]
            if <uint64_t>span.first + span.count > header.rows:
                raise ValueError(f"price table: model {i} points outside")
        span = table.models[i].tiers[0]
        # Written last because it is in force whenever no other row is, so that a lookup never comes back empty.
        if span.count == 0 or not _always(&table.rows[span.first + span.count - 1]):
            raise ValueError(f"price table: model {i} has no standard row that always holds")
    for i in range(header.rows):
        span = table.rows[i].bands
        if span.count == 0 or <uint64_t>span.first + span.count > header.bands:
            raise ValueError(f"price table: row {i} points outside")
        if table.bands[span.first].above != -1 or not 0 <= table.rows[i].geo_permille <= _MAX_PERMILLE:
            raise ValueError(f"price table: row {i} is damaged")
    for i in range(header.bands):
        for k in range(_PRICED):
            if table.bands[i].price[k] < _UNSTATED:
                raise ValueError(f"price table: band {i} has a negative price")
    return 0


cdef int64_t _amount(int64_t nano, str what, int model) except -1:
    """Nano-USD that a calculation gave; raises what it says in place of an amount."""
    if nano == _UNPRICED:
        raise KeyError(f"model {model} has no price for what is counted")
    if nano < 0:
        raise OverflowError(f"{what} beyond 9.2 billion USD")
    return nano


cdef class PriceTable:
    """The prices of a snapshot's models, read in place from the bytes that ``fastgate.pricing.table`` writes.

    ``buffer`` is any contiguous readable buffer, and is kept alive (and a mapping open) as long as the table. Raises
    ValueError when it is not a whole table of this version. ``model`` is a position in the table; another one, as -1
    for an unpriced model, raises KeyError, and so does what is counted in a unit that the model has no price for. Times
    are unix nanoseconds of the request's start.
    """

    def __init__(self, buffer):
        cdef const unsigned char[::1] view = memoryview(buffer).cast("B")
        if view.shape[0] < <Py_ssize_t>sizeof(Header):
            raise ValueError(f"price table: {view.shape[0]} bytes are too few")
        if <uintptr_t>&view[0] % 8:
            buffer = bytes(view)  # bytes objects are aligned
            view = buffer
        cdef const Header *header = <const Header *>&view[0]
        cdef int64_t size = (
            sizeof(Header) + <int64_t>header.models * sizeof(Model)
            + <int64_t>header.rows * sizeof(Row) + <int64_t>header.bands * sizeof(Band)
        )
        if header.magic != _MAGIC or header.version != _VERSION:
            raise ValueError("price table: not a table of this version")
        if size != view.shape[0]:
            raise ValueError(f"price table: {view.shape[0]} bytes, its header says {size}")
        self.owner = view
        self.count = header.models
        self.models = <const Model *>(header + 1)
        self.rows = <const Row *>(self.models + header.models)
        self.bands = <const Band *>(self.rows + header.rows)
        _check(self, header)

    def __len__(self):
        return self.count

    cdef int64_t cost_nano(self, int model, Usage usage, int64_t at_ns) except -1:
        if not 0 <= model < self.count:
            raise KeyError(model)
        cdef int64_t nano = _cost(
            &self.models[model], self.rows, self.bands, usage.n, usage.prompt_total(), usage.tier, usage.geo, at_ns
        )
        return _amount(nano, "a cost", model)

    cdef int64_t bound_nano(self, int model, Most most, int64_t at_ns, int tier, int geo, bint media) except -1:
        if not 0 <= model < self.count:
            raise KeyError(model)
        if most.inputs < 0 or most.outputs < 0 or most.searches < 0 or most.audio_us < 0 or most.characters < 0:
            raise ValueError("negative counts")
        cdef int64_t nano = _bound(&self.models[model], self.rows, self.bands, &most, tier, geo, media, at_ns)
        return _amount(nano, "a bound", model)

    cpdef object cost(self, int model, Usage usage, int64_t at_ns):
        """Nano-USD, rounded once half to even. OverflowError beyond int64, KeyError for what has no price."""
        if usage is None:
            raise TypeError("no usage")
        return self.cost_nano(model, usage, at_ns)

    cpdef object charge(self, int model, Usage usage, int64_t at_ns, int geo):
        """As ``cost``, but at most what is counted at all, and 0 where ``model`` is -1: nothing prices it.

        ``geo``: where it ran, which ``usage`` is told unless it says so itself.
        """
        if usage is None:
            raise TypeError("no usage")
        usage.geo = usage.geo or geo
        if model == -1:
            return 0
        try:
            return self.cost_nano(model, usage, at_ns)
        except OverflowError:
            return INT64_MAX

    cpdef object bound(
        self, int model, int64_t input_tokens, int64_t output_tokens, int64_t at_ns,
        int tier=EVERY_TIER, int geo=EVERY_GEO, int64_t searches=0, bint media=True, int64_t audio_us=0,
        int64_t characters=0,
    ):
        """Nano-USD that ``cost`` cannot exceed for a request that started then, however its tokens fall into buckets.

        ``input_tokens`` bounds the prompt total, ``output_tokens`` output, reasoning and audio together, ``searches`` those
        of the web and of files, ``audio_us`` microseconds of audio, ``characters`` those of a text. ``ANY_TIER``
        covers all tiers, ``UNASKED_TIERS`` those that a provider may choose by itself (fast and ultrafast have to be
        asked for), a ``Tier`` that one and standard. ``geo=-1`` covers regional surcharges, another value that
        geography. ``media=False`` leaves the prices of tokens of audio and images out.
        """
        cdef Most most = Most(input_tokens, output_tokens, searches, audio_us, characters)
        return self.bound_nano(model, most, at_ns, tier, geo, media)

    cpdef list lines(self, int model, Usage usage, int64_t at_ns):
        """``(bucket, count, femto-USD per unit, permille)`` of each bucket used: what ``cost`` sums.

        Of ``AUDIO_TIME`` the count is in microseconds, the price by the hour. KeyError for what has no price.
        """
        if not 0 <= model < self.count:
            raise KeyError(model)
        if usage is None:
            raise TypeError("no usage")
        cdef const Row *row = _row(&self.models[model], self.rows, usage.tier, at_ns)
        cdef const Band *band = _band(self.bands, row, usage.prompt_total())
        cdef int64_t permille = row.geo_permille if usage.geo else 1000
        cdef int bucket
        cdef list lines = []
        for bucket in range(_PRICED):
            if usage.n[bucket] > 0:
                if band.price[bucket] < 0:
                    raise KeyError(f"model {model} has no price for {BUCKET_NAMES[bucket]}")
                lines.append((bucket, usage.n[bucket], band.price[bucket], 1000 if _is_fee(bucket) else permille))
        return lines

    cpdef bint has_tier(self, int model, int tier, int64_t at_ns) except -1:
        """Whether a row of this tier is in force; where not, ``cost`` charges the standard row."""
        if not 0 <= model < self.count:
            raise KeyError(model)
        if not 0 <= tier < _TIERS:
            return False
        return _row_of(self.rows, self.models[model].tiers[tier], at_ns, _second_of_day(at_ns)) != NULL
