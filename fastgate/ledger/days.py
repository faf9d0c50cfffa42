"""The days of the shared ledger: a partition of `events` for each, made before it is needed, and dropped as a whole."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from psycopg import Connection

DAY_US: Final = 86_400_000_000
_LOCK: Final = 0x6661_7374_6461_7973
"""``fastdays``: of the advisory lock under which hosts take turns."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_PREFIX: Final = "events_"
_DAY: Final = re.compile(r"events_\d{8}")
_PATIENCE: Final = "SET LOCAL lock_timeout = '1s'"
"""Who waits to drop a day keeps everybody else from the table."""


def name_of(day: int) -> str:
    """The partition of a day, counted from 1970-01-01 (UTC)."""
    return f"{_PREFIX}{_EPOCH + timedelta(days=day):%Y%m%d}"


def day_of(name: str) -> int:
    """The inverse of :func:`name_of`."""
    return (datetime.strptime(name.removeprefix(_PREFIX), "%Y%m%d").replace(tzinfo=UTC) - _EPOCH).days


def make(connection: "Connection[tuple[Any, ...]]", days: Iterable[int]) -> None:
    """Makes those that there are not. Raises psycopg.Error."""
    if not (missing := sorted(set(days) - there(connection))):
        return
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        for day in set(missing) - there(connection):
            # Attached, not made as a partition: that would keep everybody from the table meanwhile.
            name, begin = name_of(day), day * DAY_US
            made = f"CREATE TABLE {name} (LIKE events INCLUDING DEFAULTS)"
            attached = f"ALTER TABLE events ATTACH PARTITION {name} FOR VALUES FROM ({begin}) TO ({begin + DAY_US})"
            connection.execute(made.encode())
            connection.execute(attached.encode())


def drop_before(connection: "Connection[tuple[Any, ...]]", day: int) -> int:
    """Drops the days before that one; returns how many. Raises psycopg.Error, also where others use one for long."""
    with connection.transaction():
        connection.execute(_PATIENCE)
        [(turn,)] = connection.execute("SELECT pg_try_advisory_xact_lock(%s)", (_LOCK,)).fetchall()
        gone = sorted(each for each in there(connection) if each < day) if turn else []
        for each in gone:
            connection.execute(f"DROP TABLE {name_of(each)}".encode())
        return len(gone)


def there(connection: "Connection[tuple[Any, ...]]") -> set[int]:
    """The days that have a partition."""
    rows = connection.execute(
        "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
        "WHERE i.inhparent = 'fastgate.events'::regclass"
    ).fetchall()
    return {day_of(name) for (name,) in rows if _DAY.fullmatch(name)}  # others are not ours
