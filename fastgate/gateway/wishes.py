"""What a client wants of the cache for one request: ``x-fastgate-cache`` and ``x-fastgate-cache-ttl``."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from fastgate.gateway.cache_plan import CachePlan
from fastgate.wire.failure import Failure, shown

WORDS: Final = ("no-store", "no-cache", "only")
_MOST_SECONDS_DIGITS: Final = 9


class Wish(NamedTuple):
    """``reads``: what is kept will do. ``stores``: the answer may be kept. ``only``: no provider is to be asked."""

    reads: bool = True
    stores: bool = True
    only: bool = False
    ttl_ms: int | None = None
    """How long it may be kept at most; None: as long as the configuration says."""


NONE: Final = Wish()


def wish_of(headers: Mapping[str, str], plan: CachePlan | None) -> Wish:
    """Of one request. Raises Failure for words that are not known, and where ``only`` is said and nothing is kept."""
    said, ttl = headers.get("x-fastgate-cache"), headers.get("x-fastgate-cache-ttl")
    if said is None and ttl is None:
        return NONE
    words = {word.strip().lower() for word in said.split(",")} if said is not None else set()
    unknown = words.difference(WORDS)
    if unknown:
        raise Failure.invalid(
            f"The header x-fastgate-cache '{shown(said or '', 40)}' is not understood. Known are {', '.join(WORDS)}."
        )
    if "only" in words and ("no-cache" in words or plan is None):
        raise Failure.not_cached(
            "none is kept for this key and model" if plan is None else "the request says no-cache, too"
        )
    ttl_ms = _ttl_ms(ttl)
    if plan is None or not plan.client_control:
        return Wish(only="only" in words)
    return Wish("no-cache" not in words, "no-store" not in words and ttl_ms != 0, "only" in words, ttl_ms)


def _ttl_ms(said: str | None) -> int | None:
    if said is None:
        return None
    if not (said.isascii() and said.isdigit() and len(said) <= _MOST_SECONDS_DIGITS):
        raise Failure.invalid(
            f"The header x-fastgate-cache-ttl must be a number of seconds, and is '{shown(said, 40)}'."
        )
    return int(said) * 1000
