"""The tables, and how they came to be: each version of the schema is a list of statements, applied once.

A request is one row of ``events``, numbers and free text; what has few values (who, where to, how it ended) stands once
in ``origins``, and the row bears its number. Sums are taken by number before any text is looked at, which keeps both
inserts and group-bys fast; the view ``requests`` shows the whole. Two origins may be equal in all their columns:
queries group by the columns, never by the number.

Amounts are nano-USD, times microseconds since 1970 UTC, a request's id its 16 bytes as two signed 64-bit numbers.
"""

from datetime import UTC, datetime
from typing import Final

import duckdb

from fastgate.ledger.errors import NewerLedger

_FIRST_TEXTS: Final = (
    "key", "team", "customer", "provider", "provider_key", "model", "upstream_model", "route", "dialect",
    "environment", "error", "settlement", "outcome", "tier",
)  # fmt: skip
_CACHED_TEXTS: Final = (*_FIRST_TEXTS, "cache")
ORIGIN_TEXTS: Final = (*_CACHED_TEXTS, "semantic")
"""Text columns of ``origins``, under the names that the journal gives them."""

ORIGIN_NUMBERS: Final = ("status", "stream")
"""Numeric columns of ``origins``, likewise."""

_FIRST_EVENT_TEXTS: Final = ("user", "session", "operation", "tags")
EVENT_TEXTS: Final = (*_FIRST_EVENT_TEXTS, "cache_entry")
"""Text columns of ``events``: what may differ with each request. ``tags`` reads ``k=v,k=v``."""

_FIRST_NUMBERS: Final = (
    "started_us", "duration_us", "upstream_us", "ttft_us", "overhead_us", "attempts", "cost_nano", "hold_nano",
    "overrun_nano", "input_tokens", "cache_read_tokens", "cache_write_tokens", "cache_write_1h_tokens",
    "output_tokens", "reasoning_tokens", "audio_input_tokens", "audio_output_tokens", "image_input_tokens",
    "web_searches",
)  # fmt: skip
UNIT_NUMBERS: Final = ("cache_read_audio_tokens", "cache_read_image_tokens", "file_searches", "audio_us", "characters")
"""Those that the first ledgers do not have; their rows say 0."""

_CACHED_NUMBERS: Final = (*_FIRST_NUMBERS, *UNIT_NUMBERS, "saved_nano")
GIVEN_NUMBERS: Final = ("similarity_e4", "cache_age_s")
"""Of what a cache gave, or found: a cosine times 10,000, and an age in seconds."""
EVENT_NUMBERS: Final = (*_CACHED_NUMBERS, *GIVEN_NUMBERS)
"""Numeric columns of ``events`` that come from the journal as they are."""


def _columns(names: tuple[str, ...], kind: str) -> str:
    return ", ".join(f'"{name}" {kind} NOT NULL' for name in names)


def _shown(prefix: str, names: tuple[str, ...]) -> str:
    return ", ".join(f'{prefix}."{name}"' for name in names)


def _view(
    numbers: tuple[str, ...],
    texts: tuple[str, ...] = _FIRST_TEXTS,
    event_texts: tuple[str, ...] = _FIRST_EVENT_TEXTS,
) -> str:
    return (
        f"VIEW requests AS SELECT e.id_high, e.id_low, {_shown('e', numbers)}, {_shown('e', event_texts)}, "
        f"{_shown('o', texts)}, {_shown('o', ORIGIN_NUMBERS)} FROM events e JOIN origins o ON o.id = e.origin"
    )


_FIRST: Final = (
    "CREATE TABLE segments (name VARCHAR PRIMARY KEY, last_seq BIGINT NOT NULL)",
    f"CREATE TABLE origins (id BIGINT NOT NULL, {_columns(_FIRST_TEXTS, 'VARCHAR')}, "
    f"{_columns(ORIGIN_NUMBERS, 'BIGINT')})",
    # id_high is the time of the request in nanoseconds: rows arrive nearly sorted, so that a search by id or by time
    # skips all blocks but a few without an index.
    f"CREATE TABLE events (id_high BIGINT NOT NULL, id_low BIGINT NOT NULL, origin BIGINT NOT NULL, "
    f"{_columns(_FIRST_NUMBERS, 'BIGINT')}, {_columns(_FIRST_EVENT_TEXTS, 'VARCHAR')})",
    "CREATE TABLE first_uses (budget VARCHAR PRIMARY KEY, at_ns BIGINT NOT NULL)",
    f"CREATE {_view(_FIRST_NUMBERS)}",
)

_RESETS: Final = ("CREATE TABLE resets (budget VARCHAR NOT NULL, at_us BIGINT NOT NULL, amount_nano BIGINT NOT NULL)",)

_ALERTS: Final = (
    "CREATE TABLE alerts (number BIGINT NOT NULL, budget VARCHAR NOT NULL, percent INTEGER NOT NULL, "
    "ends_us BIGINT NOT NULL, at_us BIGINT NOT NULL, spent_nano BIGINT NOT NULL, limit_nano BIGINT NOT NULL, "
    "PRIMARY KEY (budget, ends_us, percent))",
)

# Requests from before have none, or were counted in other columns: what was booked for them stays as it is.
_UNITS: Final = (
    *(f'ALTER TABLE events ADD COLUMN "{name}" BIGINT DEFAULT 0' for name in UNIT_NUMBERS),
    f"CREATE OR REPLACE {_view((*_FIRST_NUMBERS, *UNIT_NUMBERS))}",
)

# Requests from before asked no cache.
_CACHE: Final = (
    "ALTER TABLE origins ADD COLUMN cache VARCHAR DEFAULT ''",
    "ALTER TABLE events ADD COLUMN saved_nano BIGINT DEFAULT 0",
    f"CREATE OR REPLACE {_view(_CACHED_NUMBERS, _CACHED_TEXTS)}",
)

# Nor did anybody note what it gave them, or what the semantic one decided.
_GIVEN: Final = (
    "ALTER TABLE origins ADD COLUMN semantic VARCHAR DEFAULT ''",
    "ALTER TABLE events ADD COLUMN cache_entry VARCHAR DEFAULT ''",
    *(f'ALTER TABLE events ADD COLUMN "{name}" BIGINT DEFAULT 0' for name in GIVEN_NUMBERS),
    f"CREATE OR REPLACE {_view(EVENT_NUMBERS, ORIGIN_TEXTS, EVENT_TEXTS)}",
)

MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (_FIRST, _RESETS, _ALERTS, _UNITS, _CACHE, _GIVEN)
"""Statements of version 1, 2, ...; what was released is never edited, only appended to."""


def migrate(connection: duckdb.DuckDBPyConnection) -> int:
    """Brings the schema to this version and returns its number; all missing versions in one transaction.

    The file is not newer: :func:`check_version` was asked.
    """
    found = version_of(connection)
    connection.execute("BEGIN")
    try:
        connection.execute(
            "CREATE TABLE IF NOT EXISTS migrations (version INTEGER PRIMARY KEY, applied_at TIMESTAMP NOT NULL)"
        )
        for version, statements in enumerate(MIGRATIONS[found:], found + 1):
            for statement in statements:
                connection.execute(statement)
            now = datetime.now(UTC).replace(tzinfo=None)
            connection.execute("INSERT INTO migrations VALUES (?, ?)", [version, now])
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    return len(MIGRATIONS)


def version_of(connection: duckdb.DuckDBPyConnection) -> int:
    """How many migrations the file has had; 0 for a new one."""
    try:
        row = connection.execute("SELECT coalesce(max(version), 0) FROM migrations").fetchone()
    except duckdb.CatalogException:
        return 0
    return int(row[0]) if row else 0


def birth_of(connection: duckdb.DuckDBPyConnection) -> str:
    """When the ledger was begun, in UTC: no two have the same, and a copy has its original's."""
    [(born,)] = connection.execute("SELECT applied_at FROM migrations WHERE version = 1").fetchall()
    return str(born.isoformat())


def check_version(connection: duckdb.DuckDBPyConnection) -> None:
    """Raises :class:`NewerLedger`, and leaves the file as it is, where it has had more than this version knows."""
    found = version_of(connection)
    if found > len(MIGRATIONS):
        connection.execute("PRAGMA disable_checkpoint_on_shutdown")  # closing it must not write either
        raise NewerLedger(
            f"it has schema {found}, this version knows {len(MIGRATIONS)}: "
            "it was written by a newer fastgate, use that one"
        )
