"""What caches did for whom, from the ledger's sums."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final

import duckdb

from fastgate.control.cache_answers import SEMANTIC, KeySums, MeaningSums, TierSums
from fastgate.ledger.attributes import Attribute, Filter
from fastgate.ledger.spend import Group, spend
from fastgate.wire.money import usd

_CACHE: Final = Attribute("cache")
_MEANING: Final = Attribute("semantic")
_KEY: Final = Attribute("key")
_COUNTED: Final = {"exact": "exact_hits", "semantic": "semantic_hits", "miss": "misses", "bypass": "bypasses"}
"""Under which name the requests of each mark are counted; those of whom there was no cache for have none."""
_DECIDED: Final = {
    "miss": "misses",
    "serve": "misses",
    "explore": "explored",
    "audit": "audited",
    "shadow": "shadow_hits",
    "unanswered": "unanswered",
}
"""The same of what the semantic cache decided; what it had in no form that was asked for is a miss."""


def sums_by_key(cursor: duckdb.DuckDBPyConnection, which: Filter, most: int) -> tuple[TierSums, list[KeySums], bool]:
    """Of all, and of the ``most`` keys that saved most; whether there are more. All of one moment."""
    which = Filter(which.since_us, which.until_us, (*which.where, (_CACHE, tuple(_COUNTED))))
    cursor.begin()
    total = TierSums(**_sums(spend(cursor, [_CACHE, _MEANING], which=which).groups))
    found = spend(cursor, [_KEY], which=which, limit=most, order="saved")
    names = [str(group.labels["key"]) for group in found.groups]
    groups = _groups(cursor, which, names)
    cursor.rollback()
    return total, [KeySums(key=name, **_sums(groups[name])) for name in names], found.truncated


def _groups(cursor: duckdb.DuckDBPyConnection, which: Filter, keys: list[str]) -> Mapping[str, list[Group]]:
    """What each of the keys did, told apart by what the caches did."""
    found: dict[str, list[Group]] = {name: [] for name in keys}
    if keys:
        of_keys = Filter(which.since_us, which.until_us, (*which.where, (_KEY, tuple(keys))))
        most = len(_COUNTED) * (len(_DECIDED) + 1) * len(keys)
        for group in spend(cursor, [_KEY, _CACHE, _MEANING], which=of_keys, limit=most).groups:
            found[str(group.labels["key"])].append(group)
    return found


def _sums(groups: Iterable[Group]) -> dict[str, Any]:
    counts = dict.fromkeys(_COUNTED.values(), 0)
    meant: Counter[str] = Counter()
    saved = saved_by_meaning = 0
    for group in groups:
        requests, cache, decided = group.sums["requests"], str(group.labels["cache"]), str(group.labels["semantic"])
        counts[_COUNTED[cache]] += requests
        saved += group.sums["saved"]
        if cache == SEMANTIC:
            meant["hits"] += requests
            saved_by_meaning += group.sums["saved"]
        elif decided:
            meant[_DECIDED[decided]] += requests
    hits = counts["exact_hits"] + counts["semantic_hits"]
    return {
        "requests": sum(counts.values()),
        **counts,
        "hit_rate": _share(hits, hits + counts["misses"]),
        "saved_usd": usd(saved),
        "semantic": _meant(meant, saved_by_meaning),
    }


def _meant(counts: Counter[str], saved: int) -> MeaningSums:
    return MeaningSums(
        requests=counts.total(),
        hits=counts["hits"],
        **{name: counts[name] for name in dict.fromkeys(_DECIDED.values())},
        hit_rate=_share(counts["hits"], counts.total()),
        saved_usd=usd(saved),
    )


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 6) if whole else None
