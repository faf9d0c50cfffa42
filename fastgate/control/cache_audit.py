"""What operators do with the caches' entries, in the chain of changes."""

import sqlite3
import time
from typing import Any, Final

from fastgate.config.objects import encode_document
from fastgate.state import audit

COLLECTION: Final = "cache"


def note(db: sqlite3.Connection, action: str, actor: str, id_: str, before: dict[str, Any]) -> None:
    """A row; ``before``: the entry as it was shown, or which ones and how many."""
    at_us = time.time_ns() // 1000
    audit.add(db, audit.Entry(0, at_us, actor, action, COLLECTION, id_, encode_document(before), ""))
