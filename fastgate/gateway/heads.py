"""All headers of an answer: the provider's, those of limits, those of the way that it took, and our own."""

from typing import Final

from fastgate._core.answer_head import Figures
from fastgate._core.journal import CACHES
from fastgate.gateway.answers import Headers
from fastgate.gateway.call import Call
from fastgate.gateway.legs import Leg
from fastgate.gateway.limits import beside, limit_headers

_STEPS: Final = tuple(
    (("x-fastgate-attempts", "0" if name in {"exact", "semantic"} else "1"), ("x-fastgate-cache", name or "bypass"))
    for name in CACHES
)
"""What was done for an answer, by what the cache did."""
_FIGURES: Final = Figures(
    "x-fastgate-request-id", "x-fastgate-overhead-us", "x-fastgate-budget-left-usd", "x-fastgate-cost-usd"
)


def headers_of(call: Call, leg: Leg, headers: Headers, cost: int | None = None) -> Headers:
    """Of an answer with these headers of the provider's; ``cost`` in nano-USD, None: not known yet."""
    binding = leg.binding
    left = binding.levels.left(call.now_ns)
    if binding.gauges:
        headers = beside(headers, limit_headers(call.dialect, binding.levels, binding.gauges))
    parts = headers, leg.headers, _STEPS[call.cache], call.notes
    found = _FIGURES.behind(parts, call.id, call.now_ns + call.upstream_ns, left, cost)
    if binding.notices is not None:
        found += binding.notices.headers(call.now_ns)
    return found
