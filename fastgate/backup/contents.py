"""The files of a state folder, by what a backup does with them.

What lies there beside these is not fastgate's, and neither backed up nor touched by a restore.
"""

from typing import Final

STATE: Final = "state.db"
LEDGER: Final = "ledger.duckdb"
FILES: Final = ("state.key", "admin-token", "host", "quickstart-key", "quickstart.yaml", "demo.yaml")
"""Copied as they are."""

MEMBERS: Final = (STATE, LEDGER, *FILES)
"""All that an archive may hold, beside its manifest."""

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
