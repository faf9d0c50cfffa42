"""How the tables come to be: numbered files of SQL, each carried out once, by whichever host comes first.

A file begins with ``-- works with N``: programs that know the files up to number N may go on using the tables after
it. So a file may add what older programs leave alone and still name an old number; taking something away takes two
releases, one that does not need it, and one that names that release's number. None that was released ever changes.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from fastgate.postgres.errors import NewerSchema

if TYPE_CHECKING:
    from psycopg import Connection

_LOCK: Final = 0x666173_7467617465
"""``fastgate``: of the advisory lock under which hosts that start at once take turns."""
_NAME: Final = re.compile(r"(\d{4})_[a-z_]+\.sql")
_WORKS_WITH: Final = re.compile(r"-- works with (\d+)\n")


@dataclass(frozen=True)
class Migration:
    """One file."""

    number: int
    works_with: int
    sql: str


@cache
def known() -> tuple[Migration, ...]:
    """All that come with this version, in their order."""
    found = {}
    for file in files(__package__).iterdir():
        if name := _NAME.fullmatch(file.name):
            text = file.read_text("utf-8")
            works_with = _WORKS_WITH.match(text)
            assert works_with is not None, f"{file.name} does not say with what it works"
            found[int(name[1])] = Migration(int(name[1]), int(works_with[1]), text)
    assert sorted(found) == list(range(1, len(found) + 1)), "a number is missing"
    return tuple(found[number] for number in sorted(found))


def migrate(connection: "Connection[tuple[Any, ...]]", wanted: Sequence[Migration] | None = None) -> None:
    """Brings the tables up to date, each file whole or not at all.

    Raises NewerSchema where a later version changed them so that this one must not use them; psycopg.Error.
    """
    wanted = known() if wanted is None else wanted
    if missing(connection, wanted):
        with connection.transaction():
            connection.execute("SET LOCAL lock_timeout TO 0")
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
            connection.execute("SET LOCAL search_path TO fastgate")
            for migration in missing(connection, wanted):
                if migration.number == 1:
                    _begin(connection)
                connection.execute(migration.sql.encode())
                connection.execute(
                    "INSERT INTO fastgate.migrations (number, works_with) VALUES (%s, %s)",
                    (migration.number, migration.works_with),
                )


def _begin(connection: "Connection[tuple[Any, ...]]") -> None:
    """The schema may be there already, made by whoever may make one."""
    if not connection.execute("SELECT FROM pg_namespace WHERE nspname = 'fastgate'").rowcount:
        connection.execute("CREATE SCHEMA fastgate")
    connection.execute(
        "CREATE TABLE fastgate.migrations (number integer PRIMARY KEY, works_with integer NOT NULL,"
        " at timestamptz NOT NULL DEFAULT now())"
    )


def missing(connection: "Connection[tuple[Any, ...]]", wanted: Sequence[Migration] | None = None) -> list[Migration]:
    """What the tables have not had yet. Raises NewerSchema, psycopg.Error."""
    wanted = known() if wanted is None else wanted
    # By rows: what looks a name up may still remember that there was none, after it has waited for whoever made it.
    table = "SELECT FROM pg_tables WHERE schemaname = 'fastgate' AND tablename = 'migrations'"
    if not connection.execute(table).rowcount:
        return list(wanted)
    had: dict[Any, Any] = dict(connection.execute("SELECT number, works_with FROM fastgate.migrations").fetchall())
    newest = max((needs for number, needs in had.items() if number > len(wanted)), default=0)
    if newest > len(wanted):
        raise NewerSchema(
            f"the tables in PostgreSQL were changed by a later version of fastgate, with which this one does not go"
            f" together: it knows {len(wanted)} of {max(had)} steps, and {newest} are needed: update it"
        )
    return [migration for migration in wanted if migration.number not in had]
