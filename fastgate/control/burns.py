"""How fast owners of budgets spend: what each spent in the last hour, by the ledger."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

import duckdb

from fastgate.control.spent import payer_of, spent

_HOUR_US: Final = 3_600_000_000


def burns(cursor: duckdb.DuckDBPyConnection, owners: Iterable[str]) -> dict[str, int]:
    """nano-USD of the last hour by owner; without those of which only a hash is known."""
    since = round(datetime.now(UTC).timestamp() * 1_000_000) - _HOUR_US
    payers = {owner: payer for owner in sorted(set(owners)) if (payer := payer_of(owner)) is not None}
    return dict(zip(payers, spent(cursor, [(payer, since) for payer in payers.values()]), strict=True))
