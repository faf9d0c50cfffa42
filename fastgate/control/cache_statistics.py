"""What caches did for whom, from the ledger's sums."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import duckdb

from fastgate.control.cache_answers import CacheSums, KeySums
from fastgate.ledger.attributes import Attribute, Filter
from fastgate.ledger.spend import Group, spend
from fastgate.wire.money import usd

_CACHE: Final = Attribute("cache")
_KEY: Final = Attribute("key")
_COUNTED: Final = {"exact": "exact_hits", "semantic": "semantic_hits", "miss": "misses", "bypass": "bypasses"}
"""Under which name the requests of each mark are counted; those of whom there was no cache for have none."""


def sums_by_key(cursor: duckdb.DuckDBPyConnection, which: Filter, most: int) -> tuple[CacheSums, list[KeySums], bool]:
    """Of all, and of the ``most`` keys that saved most; whether there are more. All of one moment."""
    which = Filter(which.since_us, which.until_us, (*which.where, (_CACHE, tuple(_COUNTED))))
    cursor.begin()
    total = CacheSums(**_sums(spend(cursor, [_CACHE], which=which).groups))
    found = spend(cursor, [_KEY], which=which, limit=most, order="saved")
    names = [str(group.labels["key"]) for group in found.groups]
    groups = _groups(cursor, which, names)
    cursor.rollback()
    return total, [KeySums(key=name, **_sums(groups[name])) for name in names], found.truncated


def _groups(cursor: duckdb.DuckDBPyConnection, which: Filter, keys: list[str]) -> Mapping[str, list[Group]]:
    """What each of the keys did, told apart by what a cache did."""
    found: dict[str, list[Group]] = {name: [] for name in keys}
    if keys:
        of_keys = Filter(which.since_us, which.until_us, (*which.where, (_KEY, tuple(keys))))
        for group in spend(cursor, [_KEY, _CACHE], which=of_keys, limit=len(_COUNTED) * len(keys)).groups:
            found[str(group.labels["key"])].append(group)
    return found


def _sums(groups: Iterable[Group]) -> dict[str, Any]:
    counts = dict.fromkeys(_COUNTED.values(), 0)
    saved = 0
    for group in groups:
        counts[_COUNTED[str(group.labels["cache"])]] += group.sums["requests"]
        saved += group.sums["saved"]
    hits = counts["exact_hits"] + counts["semantic_hits"]
    asked = hits + counts["misses"]
    rate = round(hits / asked, 6) if asked else None
    return {"requests": sum(counts.values()), **counts, "hit_rate": rate, "saved_usd": usd(saved)}
