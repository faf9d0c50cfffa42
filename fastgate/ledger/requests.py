"""Single requests: pages of them, newest first, one by its id, and those that came behind another one."""

import base64
import binascii
import hashlib
import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import duckdb

from fastgate.ledger.attributes import Filter
from fastgate.ledger.dialects import DUCKDB, Cursor, Dialect
from fastgate.ledger.errors import BadQuery
from fastgate.ledger.inserts import join_id, split_ids
from fastgate.ledger.schema import EVENT_NUMBERS, EVENT_TEXTS, ORIGIN_NUMBERS, ORIGIN_TEXTS

MOST_ROWS: Final = 1000
_ID: Final = re.compile(r"[0-9a-f]{32}")
_CURSOR: Final = struct.Struct("<qq8s")
_NAMES: Final = (*EVENT_NUMBERS, *EVENT_TEXTS, *ORIGIN_TEXTS, *ORIGIN_NUMBERS)

Row = Mapping[str, Any]
"""A request: ``id`` and every column under its name in the journal."""


@dataclass(frozen=True)
class Page:
    """``next`` continues where the page ends; None: there is no more."""

    rows: Sequence[Row]
    next: str | None


def page(
    cursor: Cursor, which: Filter, after: str | None = None, limit: int = 100, *, dialect: Dialect = DUCKDB
) -> Page:
    """Requests in descending order of their ids, which begin with their times.

    ``after`` is the ``next`` of the page before: the place in the order, not a count, so that requests which arrive
    meanwhile move nothing. Raises BadQuery for a cursor that is not one, or of another filter.
    """
    conditions = which.conditions(dialect)
    clause, values = conditions.clause, conditions.values
    if after is not None:
        clause = f"({clause}) AND (e.id_high < ? OR (e.id_high = ? AND e.id_low < ?))"
        high, low = _decode(after, which)
        values += [high, high, low]
    found = cursor.execute(dialect.newest(_columns(dialect), clause), [*values, limit + 1]).fetchall()
    rows = found[:limit]
    return Page([_row(each) for each in rows], _encode(rows[-1], which) if len(found) > limit else None)


def find(cursor: Cursor, request_id: str, *, dialect: Dialect = DUCKDB) -> Row | None:
    """One request by its id (32 hexadecimal digits). Raises BadQuery for what is not an id."""
    statement = (
        f"SELECT {_columns(dialect)} FROM events e JOIN origins o ON o.id = e.origin "
        "WHERE e.id_high = ? AND e.id_low = ?"
    )
    found = cursor.execute(statement, _halves(request_id)).fetchone()
    return None if found is None else _row(found)


def last_place(cursor: duckdb.DuckDBPyConnection) -> int:
    """Where the last request that is in the ledger stands, in the order in which they came there."""
    (place,) = cursor.execute("SELECT coalesce(max(rowid), -1) FROM events").fetchall()[0]
    return int(place)


def began_at(cursor: duckdb.DuckDBPyConnection, place: int) -> int:
    """When the request at that place began, in Unix microseconds. There has to be one."""
    [(moment,)] = cursor.execute("SELECT started_us FROM events WHERE rowid = ?", [place]).fetchall()
    return int(moment)


def place_of(cursor: duckdb.DuckDBPyConnection, request_id: str) -> int | None:
    """Where a request stands in that order; None: it is not in the ledger. Raises BadQuery for what is not an id."""
    found = cursor.execute("SELECT rowid FROM events WHERE id_high = ? AND id_low = ?", _halves(request_id)).fetchone()
    return None if found is None else int(found[0])


def behind(cursor: duckdb.DuckDBPyConnection, which: Filter, place: int, limit: int) -> tuple[Sequence[Row], int]:
    """The first requests behind a place, in the order in which they came, and the place of the last of them.

    A row's place only ever moves together with those before it: the table is appended to by one writer.
    """
    conditions = which.conditions()
    statement = (
        f"SELECT {_columns(DUCKDB)}, e.rowid FROM events e JOIN origins o ON o.id = e.origin "
        f"WHERE e.rowid > ? AND ({conditions.clause}) ORDER BY e.rowid LIMIT ?"
    )
    found = cursor.execute(statement, [place, *conditions.values, limit]).fetchall()
    return [_row(each[:-1]) for each in found], int(found[-1][-1]) if found else place


def _columns(dialect: Dialect) -> str:
    return ", ".join(
        ["e.id_high", "e.id_low"]
        + [dialect.number(name) for name in EVENT_NUMBERS]
        + [f'e."{name}"' for name in EVENT_TEXTS]
        + [f'o."{name}"' for name in (*ORIGIN_TEXTS, *ORIGIN_NUMBERS)]
    )


def _halves(request_id: str) -> list[int]:
    if not _ID.fullmatch(request_id):
        raise BadQuery("id", "a request's id is 32 hexadecimal digits in lower case")
    high, low = split_ids([request_id])
    return [int(high[0]), int(low[0])]


def _row(found: Sequence[Any]) -> Row:
    return {"id": join_id(found[0], found[1]), **dict(zip(_NAMES, found[2:], strict=True))}


def _fingerprint(which: Filter) -> bytes:
    return hashlib.blake2b(repr(which).encode(), digest_size=8).digest()


def _encode(row: Sequence[Any], which: Filter) -> str:
    return base64.urlsafe_b64encode(_CURSOR.pack(row[0], row[1], _fingerprint(which))).decode().rstrip("=")


def _decode(text: str, which: Filter) -> tuple[int, int]:
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        high, low, fingerprint = _CURSOR.unpack(raw)
    except (binascii.Error, struct.error, ValueError):
        raise BadQuery("cursor", "not a cursor of this list: take it from the answer's `next`") from None
    if fingerprint != _fingerprint(which):
        raise BadQuery("cursor", "the cursor belongs to a list with other conditions")
    return int(high), int(low)
