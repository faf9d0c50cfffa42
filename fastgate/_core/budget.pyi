"""Budgets: hold all levels or none, settle once, void. Amounts are nano-USD, times Unix nanoseconds."""

from fastgate._core.journal import Draft, Journal
from fastgate._core.levels import Levels
from fastgate._core.owner import Owner
from fastgate._core.price import Usage

CONTENDED: int
SETTLED_NONE: int
SETTLED_EXACT: int
SETTLED_ESTIMATED: int
SETTLED_UNSETTLED: int
OUTCOME_OK: int
OUTCOME_REJECTED: int
OUTCOME_UPSTREAM_ERROR: int
OUTCOME_CLIENT_GONE: int
OUTCOME_FAILED: int
OUTCOME_UNKNOWN: int
OUTCOME_RESET: int
CACHE_NONE: int
CACHE_MISS: int
CACHE_EXACT: int
CACHE_SEMANTIC: int
CACHE_BYPASS: int
MEANING_NONE: int
MEANING_MISS: int
MEANING_EXPLORE: int
MEANING_AUDIT: int
MEANING_SHADOW: int
MEANING_SERVE: int
MEANING_UNANSWERED: int

class Hold:
    @property
    def amount(self) -> int: ...
    @property
    def output_tokens(self) -> int: ...
    @property
    def is_open(self) -> bool: ...
    def sent(self) -> None: ...
    def grow(self, amount: int, output_tokens: int) -> int | None: ...
    def bind(self, levels: Levels) -> None: ...
    def window(self, level: int) -> int: ...
    def spare(self, level: int) -> int: ...
    def settle(
        self,
        actual: int,
        usage: Usage | None,
        settlement: int,
        outcome: int,
        status: int,
        duration_us: int = 0,
        upstream_us: int = 0,
        ttft_us: int = 0,
        overhead_us: int = 0,
        error: str = "",
        cache: int = 0,
        saved: int = 0,
        meaning: int = 0,
        given: bytes = b"",
    ) -> bool: ...
    def void(self) -> bool: ...

def hold(
    owner: Owner,
    journal: Journal,
    levels: Levels,
    draft: Draft,
    amount: int,
    now_ns: int,
    request_id: bytes,
    stream: bool = False,
    input_tokens: int = 0,
    output_tokens: int = 0,
) -> Hold | int: ...
def reset(owner: Owner, journal: Journal, levels: Levels, draft: Draft, now_ns: int, request_id: bytes) -> int: ...
