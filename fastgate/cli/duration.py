"""Points in time as people type them: ``7d``, ``36h``, ``2026-12-01``, ``2026-12-01T08:00:00Z``."""

import re
from datetime import UTC, datetime, timedelta

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_SPAN = re.compile(r"(\d{1,9})([smhdw])", re.ASCII)


def parse_span(text: str) -> timedelta:
    """How long ``text`` is: ``90s``, ``36h``, ``7d``.

    Raises:
        ValueError: not of that form, or too long to be counted.

    """
    span = _SPAN.fullmatch(text)
    if span is None:
        raise ValueError(f"{text!r} is not a span such as 90s, 36h or 7d")
    try:
        return timedelta(**{UNITS[span[2]]: int(span[1])})
    except OverflowError:
        raise ValueError(f"{text!r} is too long") from None


def parse_time(text: str, now: datetime) -> datetime:
    """The instant that ``text`` names, in UTC; a span such as ``7d`` counts back from ``now``.

    Raises:
        ValueError: neither a span nor an ISO 8601 date or time.

    """
    if _SPAN.fullmatch(text):
        return now - parse_span(text)
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is neither a span such as 7d or 36h nor a date such as 2026-12-01") from None
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
