"""What requests can be grouped and filtered by, and the conditions that callers write.

Names are looked up in a table and never reach a statement; values and the names of tags only ever travel as parameters.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from fastgate.ledger.dialects import DUCKDB, Dialect
from fastgate.ledger.errors import BadQuery
from fastgate.ledger.schema import ORIGIN_TEXTS
from fastgate.wire.tags import TAG_NAME

MOST_CONDITIONS: Final = 64
MOST_LENGTH: Final = 512
_TAG_NAME: Final = re.compile(TAG_NAME)

ORIGIN_ATTRIBUTES: Final = {name: f'o."{name}"' for name in (*ORIGIN_TEXTS, "status")}
"""Few values: stand in ``origins``."""
EVENT_ATTRIBUTES: Final = {name: f'e."{name}"' for name in ("user", "session", "operation", "cache_entry")}
"""Many values: stand with each request."""
NAMES: Final = (*ORIGIN_ATTRIBUTES, *EVENT_ATTRIBUTES)
TAG: Final = "tag:"


@dataclass(frozen=True)
class Attribute:
    """Something that requests are grouped by: ``name`` as the caller writes it."""

    name: str

    @property
    def tag(self) -> str | None:
        """The tag's name, where this is one."""
        return self.name.removeprefix(TAG) if self.name.startswith(TAG) else None


@dataclass(frozen=True)
class Conditions:
    """A WHERE clause in two parts, each with its parameters: of ``origins o`` and of ``events e``."""

    origins: Sequence[str] = ()
    origin_values: Sequence[Any] = ()
    events: Sequence[str] = ()
    event_values: Sequence[Any] = ()

    @property
    def clause(self) -> str:
        """For a query on ``events e``."""
        parts = list(self.events)
        if self.origins:
            parts.append(f"e.origin IN (SELECT o.id FROM origins o WHERE {' AND '.join(self.origins)})")
        return " AND ".join(parts) or "true"

    @property
    def values(self) -> list[Any]:
        """The clause's parameters, in order."""
        return [*self.event_values, *self.origin_values]


@dataclass(frozen=True)
class Filter:
    """Which requests: from ``since_us`` on and before ``until_us``, and every one of ``where`` (attribute, values)."""

    since_us: int | None = None
    until_us: int | None = None
    where: Sequence[tuple[Attribute, Sequence[str]]] = field(default_factory=tuple)

    def conditions(self, dialect: Dialect = DUCKDB) -> Conditions:
        """The clause for it."""
        origins: list[str] = []
        origin_values: list[Any] = []
        events: list[str] = []
        event_values: list[Any] = []
        if self.since_us is not None:
            events.append("e.started_us >= ?")
            event_values.append(self.since_us)
        if self.until_us is not None:
            events.append("e.started_us < ?")
            event_values.append(self.until_us)
        for attribute, values in self.where:
            if attribute.tag is not None:
                events.append(f"({' OR '.join([dialect.has_tag] * len(values))})")
                event_values += [f",{attribute.tag}={value}," for value in values]
            elif attribute.name in ORIGIN_ATTRIBUTES:
                origins.append(f"{ORIGIN_ATTRIBUTES[attribute.name]} IN ({_marks(values)})")
                origin_values += _typed(attribute.name, values)
            else:
                events.append(f"{EVENT_ATTRIBUTES[attribute.name]} IN ({_marks(values)})")
                event_values += values
        return Conditions(origins, origin_values, events, event_values)


def attribute(name: str, parameter: str) -> Attribute:
    """The attribute of that name. Raises BadQuery, blaming ``parameter``."""
    tag = name.removeprefix(TAG) if name.startswith(TAG) else None
    if tag is not None:
        if not _TAG_NAME.fullmatch(tag):
            raise BadQuery(parameter, f"{name[:80]!r} does not name a tag: write tag:<name>")
    elif name not in NAMES:
        raise BadQuery(parameter, f"unknown attribute {name[:80]!r}: known are {', '.join(NAMES)} and tag:<name>")
    return Attribute(name)


def attributes(text: str, parameter: str = "by") -> list[Attribute]:
    """A list such as ``team,model,tag:feature``; the empty text names none."""
    names = [name.strip() for name in text.split(",")] if text.strip() else []
    if len(names) > 8:
        raise BadQuery(parameter, "at most 8 attributes can be combined")
    return [attribute(name, parameter) for name in dict.fromkeys(names)]


def conditions(texts: Iterable[str], parameter: str = "where") -> list[tuple[Attribute, list[str]]]:
    """Conditions of the form ``attribute=value``: those on one attribute are alternatives, different ones all hold."""
    found: dict[Attribute, list[str]] = {}
    for count, text in enumerate(texts, 1):
        # A tag's name has no equals sign, so the first one ends it, too.
        name, equals, value = text.partition("=")
        if not equals:
            raise BadQuery(parameter, f"{text[:80]!r} is not of the form attribute=value")
        if count > MOST_CONDITIONS or len(value) > MOST_LENGTH:
            raise BadQuery(parameter, f"at most {MOST_CONDITIONS} conditions of {MOST_LENGTH} characters")
        key = attribute(name.strip(), parameter)
        if key.name == "status":
            _typed(key.name, [value])
        found.setdefault(key, []).append(value)
    return list(found.items())


def _marks(values: Sequence[Any]) -> str:
    return ", ".join("?" * len(values))


def _typed(name: str, values: Sequence[str]) -> list[Any]:
    if name != "status":
        return list(values)
    for value in values:
        if not re.fullmatch(r"[0-9]{1,3}", value):
            raise BadQuery("where", f"{value[:80]!r} is not a status")
    return [int(value) for value in values]
