"""How the limits of a request stand: what its answer tells of them, and the refusal of one that has no room."""

from collections.abc import Sequence
from enum import IntEnum
from time import time_ns
from typing import Final

from fastgate._core import leases
from fastgate._core.levels import Levels
from fastgate.budgets.holds import Bound
from fastgate.dialects.base import Dialect
from fastgate.gateway.answers import Headers
from fastgate.wire.failure import Failure
from fastgate.wire.leasing import Withheld
from fastgate.wire.snapshot import BudgetRecord, Counted, LimitRecord, Window

_Record = BudgetRecord | LimitRecord
Gauge = tuple[str, tuple[int, ...]]
"""A kind of limit that answers tell of, and the levels of that kind."""

_KINDS: Final = (
    ("requests", frozenset({Counted.REQUESTS})),
    ("tokens", frozenset({Counted.TOKENS, Counted.INPUT_TOKENS, Counted.OUTPUT_TOKENS})),
    ("input-tokens", frozenset({Counted.INPUT_TOKENS})),
    ("output-tokens", frozenset({Counted.OUTPUT_TOKENS})),
)
_NAMES: Final = {
    Counted.REQUESTS: "requests",
    Counted.TOKENS: "tokens",
    Counted.INPUT_TOKENS: "input tokens",
    Counted.OUTPUT_TOKENS: "output tokens",
    Counted.CONCURRENT: "concurrent requests",
}
_OPEN_WAIT_MS: Final = 1000
"""When to come again where requests are open: nobody knows when one of them ends."""
_WITHHELD_MS: Final = 1_000
"""By then hosts have given back what they do not use."""
_MILLISECOND: Final = 1_000_000


class Place(IntEnum):
    """The order in which what is written binds."""

    REQUESTS = 0
    OPEN = 1
    TOKENS = 2
    BUDGET = 3


def place_of(record: _Record) -> Place:
    """Where it stands in that order."""
    if isinstance(record, BudgetRecord):
        return Place.BUDGET
    if record.counted == Counted.REQUESTS:
        return Place.REQUESTS
    return Place.OPEN if record.counted == Counted.CONCURRENT else Place.TOKENS


def is_per_request(record: _Record) -> bool:
    """Whether it is a limit of which each request takes one: such a limit binds what is free, too."""
    return place_of(record) <= Place.OPEN


def caps_output(record: _Record) -> bool:
    """Whether no request must go without a cap for it: a hard budget, or a limit that counts output."""
    if isinstance(record, BudgetRecord):
        return not record.soft
    return record.counted in (Counted.OUTPUT_TOKENS, Counted.TOKENS)


def gauges_of(records: Sequence[_Record]) -> tuple[Gauge, ...]:
    """What answers tell of the limits among ``records``; nothing of what is open at once."""
    limits = [(at, record.counted) for at, record in enumerate(records) if isinstance(record, LimitRecord)]
    found = ((kind, tuple(at for at, counted in limits if counted in counts)) for kind, counts in _KINDS)
    return tuple((kind, levels) for kind, levels in found if levels)


def limit_headers(dialect: Dialect, levels: Levels, gauges: Sequence[Gauge]) -> Headers:
    """Limit, rest and reset of the tightest limit of each kind.

    That is the one with the least left, of several the last to reset.
    """
    now_ns = time_ns()
    headers: Headers = []
    for kind, at in gauges:
        standings = (levels.standing(level, now_ns) for level in at)
        left, resets, limit = min((max(0, limit - used), -resets, limit) for limit, used, resets in standings)
        headers += dialect.limit_headers(kind, limit, left, max(now_ns, -resets), now_ns)
    return headers


def beside(headers: Headers, own: Headers) -> Headers:
    """Headers of a provider's answer and our own, which are in place of those that the provider calls the same."""
    names = {name for name, _ in own}
    return [*(each for each in headers if each[0] not in names), *own]


def need_of(record: LimitRecord, bound: Bound) -> int:
    """What a request with these bounds takes of a limit."""
    if is_per_request(record):
        return 1
    tokens = 0 if record.counted == Counted.OUTPUT_TOKENS else bound.input_tokens
    return tokens if record.counted == Counted.INPUT_TOKENS else tokens + bound.output_tokens


def withheld(levels: Levels, level: int, need: int, now_ns: int) -> Withheld | None:
    """Why this host cannot have ``need`` of what is left of a level that hosts share; None: that is not the reason."""
    limit, used, _ = levels.standing(level, now_ns)
    if not levels.rules[level].shared or used + need > limit:
        return None
    state = Withheld(leases.store_state(levels.arena))
    if state == Withheld.LEASED and leases.is_stranded(levels.arena, levels.rules[level].cell, now_ns):
        return Withheld.STRANDED
    return state


def over_limit(
    record: LimitRecord, standing: tuple[int, int, int], need: int, withheld: Withheld | None = None
) -> Failure:
    """The refusal of a request that takes ``need`` of a limit that stands so: limit, used, and when it resets."""
    limit, used, resets_at_ns = standing
    wait_ms = -(-(resets_at_ns - time_ns()) // _MILLISECOND) if resets_at_ns else _OPEN_WAIT_MS
    may_pass = withheld is not None and withheld != Withheld.STRANDED
    return Failure.rate_limited(
        level=record.level,
        limit=record.id,
        allowed=f"{limit} {_NAMES[Counted(record.counted)]}{_per_window(record)}",
        used=used,
        need=need,
        resets_at_ns=resets_at_ns,
        retry_after_ms=_WITHHELD_MS if may_pass else max(1, wait_ms) if need <= limit else None,
        withheld=withheld,
    )


def _per_window(record: LimitRecord) -> str:
    if record.window == Window.LIFETIME:
        return ""
    unit = Window(record.window).name.lower()
    return f" per {unit}" if record.every == 1 else f" per {record.every} {unit}s"
