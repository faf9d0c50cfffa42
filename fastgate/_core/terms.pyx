"""What a request may cost before it is sent: how many tokens at most, and how much is held for so many.

Counts and amounts (nano-USD) are int64. What a client can choose without its body showing it is bounded first; sums are of
128 bits, and OverflowError where one does not fit: nothing is held for by less than it may be.
"""

cimport cython
from cpython.long cimport PyLong_AsLongLongAndOverflow
from libc.stdint cimport INT64_MAX, INT64_MIN, int64_t

from fastgate._core.int128 cimport int128
from fastgate._core.learned cimport OutputRate, TokenRate
from fastgate._core.price cimport EVERY_GEO, EVERY_TIER, UNASKED, Most, PriceTable, Usage
from fastgate._core.slots cimport at_slot, slot_of

cdef enum:
    _TEMPLATE_TOKENS = 64       # that a chat template may add to the bytes of a body
    # More than any image is billed, whether its bytes are in the body or behind an address: the dearest known takes 2,833
    # tokens and 5,667 for each of up to 8 tiles. Half of it where the bound is learned, which no other model comes near.
    _IMAGE_TOKENS = 50_000
    _TOOL_TOKENS = 1024         # that providers add to a prompt that declares tools
    # No provider takes more; what asks for more is refused there, and its bound need not overflow here.
    _MOST_TOKENS = 100_000_000
    _MOST_CHOICES = 10_000
    _LARGEST_WINDOW = 1_000_000     # tokens: the context window of a model of which none is known
    _HOSTED_SEARCHES = 10       # paid searches held for where the provider may run tools of its own
    _STANDARD = 0               # tiers
    _PRIORITY = 2
    _UNKNOWN = -1               # in place of a number of tokens

MOST_TOKENS = _MOST_TOKENS
MOST_CHOICES = _MOST_CHOICES

cdef struct Members:            # of a request, by where they lie
    Py_ssize_t stream, output_cap, cap_field, n, thinking_budget, reasons, service_tier, fast, geo, has_tools
    Py_ssize_t has_hosted_tools, unseen, has_audio_output, images, image_bytes, prediction_bytes

cdef object _kind = None        # the class that was seen last, as there is but one
cdef Members _of


cdef int _meet(type kind) except -1:
    """Requests of another class, which have their members elsewhere."""
    global _kind, _of
    _kind = None
    _of.stream = slot_of(kind, "stream")
    _of.output_cap = slot_of(kind, "output_cap")
    _of.cap_field = slot_of(kind, "cap_field")
    _of.n = slot_of(kind, "n")
    _of.thinking_budget = slot_of(kind, "thinking_budget")
    _of.reasons = slot_of(kind, "reasons")
    _of.service_tier = slot_of(kind, "service_tier")
    _of.fast = slot_of(kind, "fast")
    _of.geo = slot_of(kind, "geo")
    _of.has_tools = slot_of(kind, "has_tools")
    _of.has_hosted_tools = slot_of(kind, "has_hosted_tools")
    _of.unseen = slot_of(kind, "unseen")
    _of.has_audio_output = slot_of(kind, "has_audio_output")
    _of.images = slot_of(kind, "images")
    _of.image_bytes = slot_of(kind, "image_bytes")
    _of.prediction_bytes = slot_of(kind, "prediction_bytes")
    _kind = kind
    return 0


cdef inline int64_t _int64(int128 total) except? -1:
    if not INT64_MIN <= total <= INT64_MAX:
        raise OverflowError("a bound beyond what is counted")
    return <int64_t>total


cdef inline int64_t _at_most(object count, int64_t most) except? -1:
    """The smaller one, however large a number the client has written."""
    cdef int beyond = 0
    cdef int64_t value = PyLong_AsLongLongAndOverflow(count, &beyond)
    if beyond < 0:
        raise OverflowError(f"{count} is no count")
    return most if beyond or value > most else value


cdef int64_t _known(object tokens) except -2:
    """A number of tokens that may be ``None``. Raises ValueError where it is negative."""
    if tokens is None:
        return _UNKNOWN
    cdef int64_t known = tokens
    if known < 0:
        raise ValueError(f"{known} tokens")
    return known


@cython.final
@cython.freelist(64)
@cython.no_gc  # a cap is no part of a cycle
cdef class Bound:
    """``Bound(input_tokens, output_tokens, cap)``: upper bounds of one attempt, and the cap to add to its request."""

    def __init__(self, int64_t input_tokens, int64_t output_tokens, cap):
        self.input_tokens, self.output_tokens, self.cap = input_tokens, output_tokens, cap

    def __repr__(self):
        return f"Bound({self.input_tokens}, {self.output_tokens}, {self.cap})"


cdef Bound _bounds(int64_t input_tokens, int64_t output_tokens, object cap):
    cdef Bound bound = Bound.__new__(Bound)
    bound.input_tokens, bound.output_tokens, bound.cap = input_tokens, output_tokens, cap
    return bound


cdef class Terms:
    """What bounds the cost of every attempt on one way to serve a model, whatever the request; see the stub for each.

    A request is of any class that has slots for what is read of it (TypeError where it has not), as
    ``fastgate.wire.request.ChatRequest``, which lies above this unit. Names of APIs are its subclass's.
    """

    known_tiers = frozenset()

    def __cinit__(
        self, PriceTable prices not None, int price, TokenRate rate not None, OutputRate answers not None,
        OutputRate thoughts not None, *, bint capped, bint strict, int64_t default_cap, max_output=None,
        context_window=None, tuple cap_fields=(), int geo=0, bint instalments=False, reasons=None, tuple attempts=(),
    ):
        self.prices, self.price = prices, price
        self.rate, self.answers, self.thoughts = rate, answers, thoughts
        self.capped, self.strict, self.instalments = capped, strict, instalments
        self.default_cap, self.most, self.window = default_cap, _known(max_output), _known(context_window)
        self.cap_fields, self.geo, self.reasons, self.attempts = cap_fields, geo, reasons, attempts

    @property
    def max_output(self):
        return None if self.most == _UNKNOWN else self.most

    @property
    def context_window(self):
        return None if self.window == _UNKNOWN else self.window

    def reasoning(self, request not None):
        """Whether an answer may have reasoning that nobody sees; None: only the traffic can tell."""
        return self._reasoning(request)

    def output_rate(self, request not None):
        """What the traffic has taught of answers to such requests."""
        return self.thoughts if self._reasoning(request) else self.answers

    def bound(self, request not None, int64_t size, *, bint free=False):
        """Bounds for a body of ``size`` bytes; ``free``: it is not billed, so it needs no cap.

        Input is one token per byte (``strict``) or what the traffic has taught; the model's context window, where the
        body does not show all of it. Output is the client's cap, else the smaller of the gateway's and the model's,
        times the choices asked for. A client's cap is added once more where the provider may not know its member.
        """
        return self._bound(request, size, free)

    def amount(self, Bound bound not None, int64_t output_tokens, request not None, int tier, int64_t now_ns):
        """nano-USD to hold for ``tier``, the one asked for, and so much output; 0 where nothing prices the model.

        Of several attempts each is held for as if it ran as long as the request lets it.
        """
        if self.attempts:
            return sum([terms.amount(bound, output_tokens, request, tier, now_ns) for _, terms in self.attempts])
        return self._nano(bound, output_tokens, request, tier, now_ns)

    def quote(self, request not None, int64_t size, int64_t now_ns, bint free):
        """All that a hold for a body of ``size`` bytes needs, at once: ``(bound, tokens, amount, rate, reasons, teaches)``.

        ``amount`` is of ``tokens``, which are all of the output; None where more has to be looked at before it is known:
        the request is free, may have no bound, thinks, is held for by instalments, names a tier, or has several attempts.
        ``rate`` and ``reasons``: as ``output_rate`` and ``reasoning``. ``teaches``: the body shows all that it is billed for.
        """
        cdef Bound bound = self._bound(request, size, free)
        cdef object reasons = self._reasoning(request), amount = None
        cdef bint teaches = not (
            at_slot(request, _of.images) or at_slot(request, _of.unseen) or at_slot(request, _of.has_hosted_tools)
        )
        if not (
            free or self.strict or at_slot(request, _of.thinking_budget) is not None
            or at_slot(request, _of.service_tier) is not None or at_slot(request, _of.fast)
            or (self.instalments and at_slot(request, _of.stream)) or self.attempts
        ):
            amount = self._nano(bound, bound.output_tokens, request, _STANDARD, now_ns)
        return bound, bound.output_tokens, amount, self.thoughts if reasons else self.answers, reasons, teaches

    def charge(self, Usage usage not None, int64_t now_ns):
        """nano-USD of what an answer reports of the model itself: see ``PriceTable.charge``."""
        return self.prices.charge(self.price, usage, now_ns, self.geo)

    def learn(self, Usage usage not None, int64_t size):
        """A body of ``size`` bytes was billed the prompt of ``usage``."""
        self.rate.observe(usage.prompt_total(), size)

    cdef Bound _bound(self, object request, int64_t size, bint free):
        if type(request) is not _kind:
            _meet(type(request))
        cdef int64_t cap, most = _MOST_TOKENS
        cdef object asked = at_slot(request, _of.output_cap), added = None
        if asked is None:
            cap = self.default_cap if self.most == _UNKNOWN else min(self.default_cap, self.most)
            if self.capped and not free:
                added = cap
        else:
            if self.capped and not free and at_slot(request, _of.cap_field) not in self.cap_fields:
                added = asked
            if self.most != _UNKNOWN and not self.strict:
                most = min(self.most, most)
            cap = _at_most(asked, most)
        cdef int128 outputs = <int128>cap * _at_most(at_slot(request, _of.n), _MOST_CHOICES)
        outputs += <int64_t>at_slot(request, _of.prediction_bytes)
        return _bounds(self._input_tokens(request, size), _int64(outputs), added)

    cdef int64_t _input_tokens(self, object request, int64_t size) except? -1:
        cdef int64_t images = at_slot(request, _of.images), image_bytes = at_slot(request, _of.image_bytes)
        cdef int64_t text = _int64(<int128>size - image_bytes)
        cdef int128 tokens = <int128>text + _TEMPLATE_TOKENS if self.strict else self.rate.bound(text)
        tokens += <int128>images * (_IMAGE_TOKENS if self.strict else _IMAGE_TOKENS // 2)
        if at_slot(request, _of.has_tools):
            tokens += _TOOL_TOKENS
        if at_slot(request, _of.unseen) or at_slot(request, _of.has_hosted_tools):
            tokens = max(tokens, self.window if self.window > 0 else _LARGEST_WINDOW)
        return _int64(tokens)

    cdef int64_t _nano(self, Bound bound, int64_t output_tokens, object request, int tier, int64_t now_ns) except -1:
        cdef Most most
        cdef int geo = self.geo
        cdef bint media = self.strict
        if self.price < 0:
            return 0
        if type(request) is not _kind:
            _meet(type(request))
        cdef object named = at_slot(request, _of.service_tier)
        if named is not None and named not in self.known_tiers:
            tier = EVERY_TIER
        elif self.strict:  # a project may have another default, which an absolute bound has to cover
            tier = UNASKED if tier == _STANDARD or tier == _PRIORITY else EVERY_TIER
        if self.strict or at_slot(request, _of.geo):
            geo = EVERY_GEO
        if not media:
            media = <int64_t>at_slot(request, _of.images) > 0 or <bint>at_slot(request, _of.has_audio_output)
        most = Most(bound.input_tokens, output_tokens, _HOSTED_SEARCHES if at_slot(request, _of.has_hosted_tools) else 0, 0, 0)
        return self.prices.bound_nano(self.price, most, now_ns, tier, geo, media)

    cdef object _reasoning(self, object request):
        if type(request) is not _kind:
            _meet(type(request))
        cdef object said = at_slot(request, _of.reasons)
        return self.reasons if said is None else said
