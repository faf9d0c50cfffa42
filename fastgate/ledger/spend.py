"""Spend: sums over requests by any attributes, and by time. Exact: integers from the journal to the answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

from fastgate.ledger.attributes import EVENT_ATTRIBUTES, ORIGIN_ATTRIBUTES, Attribute, Filter
from fastgate.ledger.dialects import DUCKDB, Cursor, Dialect
from fastgate.ledger.errors import BadQuery

MOST_GROUPS: Final = 10_000

AMOUNTS: Final = ("cost", "saved", "overrun", "estimated", "unsettled")
"""Sums in nano-USD. ``saved`` is what answers out of a cache would have cost; ``estimated`` and ``unsettled`` are the
parts of ``cost`` that bear that mark."""
COUNTS: Final = ("requests", "estimated_requests", "unsettled_requests")
TOKENS: Final = (
    "input_tokens", "cache_read_tokens", "cache_write_tokens", "cache_write_1h_tokens", "output_tokens",
    "reasoning_tokens", "audio_input_tokens", "audio_output_tokens", "image_input_tokens", "web_searches",
    "cache_read_audio_tokens", "cache_read_image_tokens", "file_searches", "audio_us", "characters",
)  # fmt: skip
"""Of all kinds, with what is billed by other units. Cached audio and images are part of ``cache_read_tokens``,
reasoning and spoken audio of ``output_tokens``."""
MEASURES: Final = (*COUNTS, *AMOUNTS, *TOKENS)

_SECOND: Final = 1_000_000
_DAY: Final = 86_400 * _SECOND
_FIXED: Final = {
    "minute": (60 * _SECOND, 0),
    "hour": (3600 * _SECOND, 0),
    "day": (_DAY, 0),
    "week": (7 * _DAY, 3 * _DAY),
}
"""Length and offset: 1970-01-01 was a Thursday, weeks begin on Mondays."""
INTERVALS: Final = (*_FIXED, "month", "year")

_SUMMED: Final = {**{name: f"{name}_nano" for name in ("cost", "saved", "overrun")}, **{name: name for name in TOKENS}}
_OUTER_SUMS: Final = ", ".join(
    [
        "sum(n)",
        "sum(n) FILTER (WHERE settlement = 'estimated')",
        "sum(n) FILTER (WHERE settlement = 'unsettled')",
        "sum(cost) AS cost",
        "sum(saved) AS saved",
        "sum(overrun)",
        "sum(cost) FILTER (WHERE settlement = 'estimated')",
        "sum(cost) FILTER (WHERE settlement = 'unsettled')",
    ]
    + [f"sum({name})" for name in TOKENS]
)
"""In the order of ``MEASURES``."""


@dataclass(frozen=True)
class Group:
    """One combination: ``labels`` by attribute's name (``time`` first, if there is an interval), sums by measure."""

    labels: Mapping[str, str | int | None]
    sums: Mapping[str, int]


@dataclass(frozen=True)
class Spend:
    """``total`` is of everything that the filter lets through, also of groups that were ``truncated``."""

    groups: Sequence[Group]
    total: Mapping[str, int]
    truncated: bool


def spend(
    cursor: Cursor,
    by: Sequence[Attribute],
    interval: str | None = None,
    which: Filter | None = None,
    limit: int = MOST_GROUPS,
    *,
    order: Literal["cost", "saved"] = "cost",
    dialect: Dialect = DUCKDB,
) -> Spend:
    """Groups by descending ``order``, or by time first where there is an ``interval`` (UTC). An absent tag is None."""
    query = _Query(by, interval, order, dialect)
    conditions = (which or Filter()).conditions(dialect)
    values = [*conditions.values, *query.values, limit + 2]
    rows = cursor.execute(query.statement(conditions.clause), values).fetchall()
    keys = len(by) + (interval is not None)
    total = next((_sums(row[keys + 1 :]) for row in rows if row[0]), _sums([0] * len(MEASURES)))
    groups = [_group(row[1:], by, interval) for row in rows if not row[0]]
    return Spend(groups[:limit], total, len(groups) > limit)


class _Query:
    """The two steps of the statement: sums by origin and whatever else is needed, then by what was asked for."""

    def __init__(self, by: Sequence[Attribute], interval: str | None, order: str, dialect: Dialect) -> None:
        self._order, self._dialect = order, dialect
        self.values: list[Any] = []
        self._inner: dict[str, str] = {"origin": "e.origin"}
        self._outer: list[str] = []
        if interval is not None:
            self._inner["bucket"] = _bucket(interval, dialect)
            self._outer.append("g.bucket")
        for attribute in by:
            self._outer.append(self._label(attribute))

    def _label(self, attribute: Attribute) -> str:
        if attribute.tag is not None:
            # Every text of tags is taken apart once, after the sums.
            self._inner["tags"] = "e.tags"
            self.values.append(f"{attribute.tag}=")
            return self._dialect.tag_value(len(attribute.tag) + 2)
        if attribute.name in ORIGIN_ATTRIBUTES:
            return ORIGIN_ATTRIBUTES[attribute.name]
        self._inner[attribute.name] = EVENT_ATTRIBUTES[attribute.name]
        return f'g."{attribute.name}"'

    def statement(self, clause: str) -> str:
        """Rows of: whether it is the total, the labels, the sums."""
        inner = ", ".join(f'{expression} AS "{name}"' for name, expression in self._inner.items())
        told = ", ".join(map(str, range(1, len(self._inner) + 1)))
        sums = ", ".join(f"coalesce(sum(e.{column}), 0) AS {name}" for name, column in _SUMMED.items())
        labels = "".join(f", {label} AS k{i}" for i, label in enumerate(self._outer))
        keys = [f"k{i}" for i in range(len(self._outer))]
        listed = ", ".join(keys)
        sets, total = (f"(({listed}), ())", f"grouping({listed}) > 0") if keys else ("(())", "true")
        order = ["total DESC", *(["k0"] if "bucket" in self._inner else []), f"{self._order} DESC", *keys]
        return (
            f"WITH sums AS (SELECT {inner}, count(*) AS n, {sums} FROM events e WHERE {clause} GROUP BY {told}), "
            f"labelled AS (SELECT g.*, o.settlement{labels} FROM sums g JOIN origins o ON o.id = g.origin) "
            f"SELECT {', '.join([f'{total} AS total', *keys, _OUTER_SUMS])} FROM labelled "
            f"GROUP BY GROUPING SETS {sets} ORDER BY {', '.join(order)} LIMIT ?"
        )


def _bucket(interval: str, dialect: Dialect) -> str:
    """Start of the interval that a request falls into, in microseconds."""
    if interval in _FIXED:
        length, offset = _FIXED[interval]
        return f"e.started_us - (e.started_us + {offset}) % {length}"
    if interval not in INTERVALS:
        raise BadQuery("interval", f"unknown interval {interval[:80]!r}: known are {', '.join(INTERVALS)}")
    return dialect.calendar(interval)


def _group(row: Sequence[Any], by: Sequence[Attribute], interval: str | None) -> Group:
    keys = list(row[: len(by) + (interval is not None)])
    sums = _sums(row[len(keys) :])
    labels: dict[str, str | int | None] = {}
    if interval is not None:
        labels["time"] = moment(keys.pop(0))
    labels.update(zip((attribute.name for attribute in by), keys, strict=True))
    return Group(labels, sums)


def _sums(values: Sequence[Any]) -> dict[str, int]:
    return {name: int(value or 0) for name, value in zip(MEASURES, values, strict=True)}


def moment(us: int) -> str:
    """RFC 3339 in UTC, to the microsecond where there is one."""
    text = datetime.fromtimestamp(us // _SECOND, UTC).replace(microsecond=us % _SECOND).isoformat()
    return text.replace("+00:00", "Z")
