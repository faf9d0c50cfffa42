"""What those who have budgets spent since some moment: owners that are written down, and values of templates."""

from collections.abc import Sequence

import duckdb

from fastgate.budgets.hierarchy import level_of
from fastgate.budgets.templates import LEVELS, said
from fastgate.ledger.owners import spent_since
from fastgate.ledger.values import spent_by_value

Value = tuple[str, str, str]
"""A key, the name of a template of it, and what requests say: ``("ide", "tag:project", "apollo")``."""
Payer = str | Value
"""``team:platform``; or a value of a template."""


def payer_of(owner: str) -> Payer | None:
    """Whose requests the budgets of ``owner`` are for; None: only a hash is known of what those say."""
    if level_of(owner) not in LEVELS:
        return owner
    key, name, value = said(owner)
    return None if value is None else (key, name, value)


def spent(cursor: duckdb.DuckDBPyConnection, wanted: Sequence[tuple[Payer, int]]) -> list[int]:
    """nano-USD of all requests of each that began at or after a moment of its own (Unix microseconds), in order."""
    found = [0] * len(wanted)
    written = [position for position, (payer, _) in enumerate(wanted) if isinstance(payer, str)]
    owners = [(str(wanted[position][0]), wanted[position][1]) for position in written]
    for position, amount in zip(written, spent_since(cursor, owners), strict=True):
        found[position] = amount
    by_template: dict[tuple[str, str], list[tuple[int, str]]] = {}
    for position, (payer, _) in enumerate(wanted):
        if not isinstance(payer, str):
            key, name, value = payer
            by_template.setdefault((key, name), []).append((position, value))
    for (key, name), values in by_template.items():
        amounts = spent_by_value(cursor, key, name, [(value, wanted[position][1]) for position, value in values])
        for (position, _), amount in zip(values, amounts, strict=True):
            found[position] = amount
    return found
