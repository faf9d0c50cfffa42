"""What a client wants of the cache for one request: ``x-fastgate-cache`` and ``x-fastgate-cache-ttl``.

Proxies join headers that come again, and split those with commas: either way all that is said counts.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from fastgate.gateway.cache_plan import CachePlan
from fastgate.wire.failure import Failure, shown

WORDS: Final = ("no-store", "no-cache", "only")
_CACHE: Final = "x-fastgate-cache"
_TTL: Final = "x-fastgate-cache-ttl"
_MOST_SECONDS_DIGITS: Final = 9


class Wish(NamedTuple):
    """``reads``: what is kept will do. ``stores``: the answer may be kept. ``only``: no provider is to be asked."""

    reads: bool = True
    stores: bool = True
    only: bool = False
    ttl_ms: int | None = None
    """How long it may be kept at most; None: as long as the configuration says."""


NONE: Final = Wish()


def wish_of(headers: Mapping[str, str], plan: CachePlan | None, came: Any) -> Wish:
    """Of one request; ``came``: its headers as the server has them, which knows of those that come again.

    Raises Failure for words that are not known, and where ``only`` is said and nothing is kept.
    """
    if _CACHE not in headers and _TTL not in headers:
        for name in (_CACHE, _TTL):
            if name in came:
                raise Failure.invalid(
                    f"The header {name} has characters that are not ASCII: what it says is not known."
                )
        return NONE
    said = came.get_all(_CACHE)
    words = {word.strip().lower() for each in said for word in each.split(",")}
    unknown = words.difference(WORDS)
    if unknown:
        shown_words = shown(", ".join(said), 40)
        raise Failure.invalid(f"The header {_CACHE} '{shown_words}' is not understood. Known are {', '.join(WORDS)}.")
    if "only" in words and ("no-cache" in words or plan is None):
        raise Failure.not_cached(
            "none is kept for this key and model" if plan is None else "the request says no-cache, too"
        )
    ttl_ms = _ttl_ms(came.get_all(_TTL))
    if plan is None or not plan.client_control:
        return Wish(only="only" in words)
    return Wish("no-cache" not in words, "no-store" not in words and ttl_ms != 0, "only" in words, ttl_ms)


def _ttl_ms(said: Iterable[str]) -> int | None:
    """The shortest time of those that are said: none of them lets an answer be kept longer than it says."""
    return min((_milliseconds(time.strip()) for each in said for time in each.split(",")), default=None)


def _milliseconds(said: str) -> int:
    if not (said.isascii() and said.isdigit() and len(said) <= _MOST_SECONDS_DIGITS):
        raise Failure.invalid(f"The header {_TTL} must be a number of seconds, and is '{shown(said, 40)}'.")
    return int(said) * 1000
