"""How fast owners of budgets spend: what each spent in the last hour, by the ledger."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

import duckdb

from fastgate.budgets.hierarchy import level_of
from fastgate.budgets.templates import LEVELS, said
from fastgate.ledger.owners import spent_since
from fastgate.ledger.values import spent_by_value

_HOUR_US: Final = 3_600_000_000


def burns(cursor: duckdb.DuckDBPyConnection, owners: Iterable[str]) -> dict[str, int]:
    """nano-USD of the last hour by owner; without those of which only a hash is known."""
    since = round(datetime.now(UTC).timestamp() * 1_000_000) - _HOUR_US
    written: list[str] = []
    of_templates: dict[tuple[str, str], dict[str, str]] = {}
    for owner in sorted(set(owners)):
        if level_of(owner) not in LEVELS:
            written.append(owner)
            continue
        key, name, value = said(owner)
        if value is not None:
            of_templates.setdefault((key, name), {})[owner] = value
    found = dict(zip(written, spent_since(cursor, [(owner, since) for owner in written]), strict=True))
    for (key, name), values in of_templates.items():
        spent = spent_by_value(cursor, key, name, [(value, since) for value in values.values()])
        found.update(zip(values, spent, strict=True))
    return found
