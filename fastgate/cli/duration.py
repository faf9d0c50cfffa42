"""Points in time as people type them: ``7d``, ``36h``, ``2026-12-01``, ``2026-12-01T08:00:00Z``."""

import re
from datetime import UTC, datetime, timedelta

UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse_time(text: str, now: datetime) -> datetime:
    """The instant that ``text`` names, in UTC; a span such as ``7d`` counts back from ``now``.

    Raises:
        ValueError: neither a span nor an ISO 8601 date or time.

    """
    span = re.fullmatch(r"(\d+)([mhdw])", text)
    if span:
        return now - timedelta(**{UNITS[span[2]]: int(span[1])})
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is neither a span such as 7d or 36h nor a date such as 2026-12-01") from None
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
