"""The files of a state folder, by what a backup does with them.

What lies there beside these is not fastgate's, and neither backed up nor touched by a restore.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

STATE: Final = "state.db"
LEDGER: Final = "ledger.duckdb"
FILES: Final = ("state.key", "admin-token", "host", "quickstart-key", "quickstart.yaml", "demo.yaml")
"""Copied as they are."""

MEMBERS: Final = (STATE, LEDGER, *FILES)
"""All that an archive may hold, beside its manifest and the names of other hosts."""

_OTHERS: Final = re.compile(r"peers-of-[A-Za-z0-9._-]{1,64}")
_LOANS: Final = re.compile(r"loans-of-[A-Za-z0-9._-]{1,64}")
"""What was lent is not backed up, lest it be lent again: where it is missing beside the others nothing is."""

PASSING: Final = (
    "state.db-wal", "state.db-shm", "ledger.duckdb.wal", "ledger.tmp", "backup.tmp", "supervisor.json",
    "dashboard-token", "arena", "last-good", "ledger.born",
)  # fmt: skip
"""Part of a member already, or made anew by every start: never in an archive, but replaced by a restore."""

LOCKS: Final = ("supervisor.lock", "children.lock")
"""Held while they are of use; a file that is locked must stay where it is."""

RESTORING: Final = "restoring"
"""There while a restore moves files: whoever finds it knows that the folder is incomplete."""

RESTORED: Final = "restored"
"""There after a restore, until the next start: the arena belongs to what was there before."""


def is_member(name: str) -> bool:
    """Whether an archive may hold such a file."""
    return name in MEMBERS or _OTHERS.fullmatch(name) is not None


def members_in(folder: Path) -> Iterator[str]:
    """The files there that belong in an archive."""
    yield from (name for name in MEMBERS if (folder / name).exists())
    yield from sorted(path.name for path in folder.iterdir() if _OTHERS.fullmatch(path.name))


def state_in(folder: Path) -> list[str]:
    """All there that a restore replaces."""
    passing = [name for name in PASSING if (folder / name).exists()]
    loans = sorted(path.name for path in folder.iterdir() if _LOANS.fullmatch(path.name))
    return [*members_in(folder), *passing, *loans]
