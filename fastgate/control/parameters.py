"""Query parameters of the admin API: moments, limits, conditions."""

import re
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Final, Literal

from litestar import Request
from litestar.datastructures import MultiDict
from litestar.params import Parameter

from fastgate.config.scalars import parse_instant
from fastgate.control.problems import BadParameter, Conflict
from fastgate.ledger.attributes import NAMES, Filter, conditions

MOST_WHERE: Final = 32
"""Conditions in `where`; as many more may be parameters of their own."""
MOST_AGE_SECONDS: Final = 315_360_000
"""Ten years."""
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)

Level = Literal["session", "user", "tag", "model", "environment", "provider", "key", "team", "customer"]
"""Of budgets and limits."""
Where = Annotated[
    list[str] | None,
    Parameter(
        description="attribute=value; repeated: all must hold, those on one attribute are alternatives",
        max_items=MOST_WHERE,
    ),
]


def moment_us(text: str | None, parameter: str) -> int | None:
    """Microseconds since 1970 UTC of an RFC 3339 timestamp, or of a date's first moment in UTC.

    Raises :class:`BadParameter` of anything else.
    """
    if text is None:
        return None
    whole = f"{text}T00:00:00Z" if _DATE.fullmatch(text) else text[:80]
    try:
        return parse_instant(whole) // 1_000
    except ValueError as error:
        what = f"{error}; a date, or a timestamp with its zone such as 2026-11-21T00:00:00Z, is taken"
        raise BadParameter(parameter, what) from None


def bounded(value: int | None, default: int, most: int, parameter: str = "limit") -> int:
    """A limit between 1 and ``most``."""
    if value is None:
        return default
    if not 1 <= value <= most:
        raise BadParameter(parameter, f"{value} is not between 1 and {most}")
    return value


def which(since: str | None, until: str | None, where: Iterable[str]) -> Filter:
    """The filter that the parameters describe."""
    since_us, until_us = moment_us(since, "since"), moment_us(until, "until")
    if since_us is not None and until_us is not None and until_us < since_us:
        raise Conflict("until is before since", parameter="until")
    return Filter(since_us, until_us, tuple((name, tuple(values)) for name, values in conditions(where)))


async def asked(
    request: Request[Any, Any, Any],
    *,
    where: Where = None,
    key: str | None = None,
    team: str | None = None,
    customer: str | None = None,
    provider: str | None = None,
    provider_key: str | None = None,
    model: str | None = None,
    upstream_model: str | None = None,
    route: str | None = None,
    dialect: str | None = None,
    environment: str | None = None,
    user: str | None = None,
    session: str | None = None,
    operation: str | None = None,
    status: int | None = None,
    error: str | None = None,
    settlement: str | None = None,
    outcome: str | None = None,
    tier: str | None = None,
    cache: str | None = None,
    semantic: str | None = None,
    cache_entry: str | None = None,
) -> list[str]:
    """Conditions on requests: in ``where``, as parameters of their own, or ``tag:<name>=<value>``."""
    return [*(where or ()), *_direct_conditions(request.query_params)]


def _direct_conditions(parameters: MultiDict[str]) -> Sequence[str]:
    """``team=platform`` and ``tag:feature=search`` among the parameters themselves, as conditions."""
    return [f"{name}={value}" for name, value in parameters.multi_items() if name in NAMES or name.startswith("tag:")]
