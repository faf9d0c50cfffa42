"""The stores: whether each is whole, of a version that this program knows, and says what was written."""

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from sqlite3 import Connection
from typing import Any, Final

from fastgate.backup.contents import LEDGER, STATE
from fastgate.doctor.findings import Finding, failed, ok, unreachable, warning
from fastgate.doctor.installation import Installation, NoAnswer
from fastgate.ledger.copies import schema_of
from fastgate.ledger.errors import LedgerUnavailable
from fastgate.ledger.schema import MIGRATIONS as LEDGER_SCHEMAS
from fastgate.state import audit
from fastgate.state.copies import opened
from fastgate.state.errors import StateError
from fastgate.state.schema import MIGRATIONS as STATE_SCHEMAS
from fastgate.state.schema import version_of
from fastgate.supervisor.errors import AlreadyRunning, StateUnusable
from fastgate.supervisor.folders import StateLock
from fastgate.wire.sealing import FILE as KEY_FILE
from fastgate.wire.sealing import VARIABLE

MOST_LINKS: Final = 3
MOST_BEHIND_SECONDS: Final = 600
_RESTORE: Final = "stop fastgate and restore a backup: fastgate state restore"
_NEWER: Final = "use the version that wrote it"


def state_store(installation: Installation) -> Iterator[Finding]:
    """The SQLite file, and the chain of changes in it; it may be in use."""
    path = installation.state_dir / STATE
    if not path.exists():
        yield ok("objects", f"there is no {STATE} yet")
        return
    try:
        with opened(path) as db:
            version = version_of(db)
            yield _version("objects", STATE, version, len(STATE_SCHEMAS))
            [(fault,)] = db.execute("PRAGMA integrity_check(1)").fetchall()
            if fault != "ok":
                yield failed("objects", f"{path} is damaged: {fault}", _RESTORE)
            if version == len(STATE_SCHEMAS):
                yield from _seal(installation, db)
                yield _chain(list(islice(audit.broken_links(db), MOST_LINKS)), *audit.head(db))
    except StateError as error:
        yield failed("objects", str(error), _RESTORE)


def _seal(installation: Installation, db: Connection) -> Iterator[Finding]:
    """Whether there is a key to what is sealed; a gateway that runs may have it in its own environment."""
    found = bool(os.environ.get(VARIABLE)) or (installation.state_dir / KEY_FILE).exists()
    [(sealed,)] = db.execute("SELECT count(*) FROM sealed").fetchall()
    if sealed and not found and installation.running is None:
        yield failed(
            "objects", f"the key to {sealed} providers' secrets is missing", f"put {KEY_FILE} back, or set {VARIABLE}"
        )


def _chain(broken: list[str], rows: int, last: bytes) -> Finding:
    if broken:
        return failed(
            "audit",
            f"the chain of changes is broken: {'; '.join(broken)}",
            f"somebody wrote to {STATE} beside the API: compare it with a backup",
        )
    return ok("audit", f"{rows:,} changes in an unbroken chain, the last with hash {last.hex()[:16]}")


def ledger(installation: Installation) -> Iterator[Finding]:
    """By the gateway that has it open; where none runs, by opening it."""
    if installation.running is not None:
        yield from _by_status(installation)
        return
    path = installation.state_dir / LEDGER
    if not path.exists():
        yield ok("ledger", f"there is no {LEDGER} yet")
        return
    try:
        with StateLock(installation.state_dir):
            yield _version("ledger", LEDGER, schema_of(path), len(LEDGER_SCHEMAS))
    except AlreadyRunning:
        yield warning("ledger", "fastgate is starting just now", "ask again in a moment")
    except StateUnusable as error:
        yield failed("ledger", str(error), "give the folder to the user that runs fastgate")
    except LedgerUnavailable as error:
        yield failed("ledger", str(error), _RESTORE)


def _by_status(installation: Installation) -> Iterator[Finding]:
    try:
        status = installation.status()
    except NoAnswer as error:
        yield unreachable("ledger", f"the admin API does not say how it is: {error}", "its log says more")
        return
    found, journals = status["ledger"], status["journals"]
    if found["open"]:
        yield ok("ledger", f"{Path(found['path']).name} is open, {found['bytes'] / 1e6:,.1f} MB")
    else:
        yield failed("ledger", f"it cannot be used: {found['error']}", "the journals keep what comes meanwhile")
    yield from _journals(journals)
    if status["shared_ledger"]:
        yield _shared_ledger(status["shared_ledger"])
    if not status["arena"]["counted"]:
        yield failed(
            "budgets",
            f"what was spent is not known, so that they refuse all requests: {status['arena']['not_compared']}",
            "put the ledger right, or let them begin at zero: fastgate state accept-loss",
        )
    if status["config"]["error"]:
        yield failed("reload", str(status["config"]["error"]), "the one before serves; see fastgate check")


def _journals(journals: dict[str, Any]) -> Iterator[Finding]:
    if journals["damaged"]:
        yield failed("journals", f"damaged: {', '.join(journals['damaged'])}", "keep the files: events are missing")
    elif journals["dropped_events"]:
        yield warning(
            "journals", f"{journals['dropped_events']:,} events were kept as sums only", "there was no room for them"
        )
    else:
        yield ok("journals", f"{journals['lag_events']:,} events on their way to the ledger")


def _shared_ledger(found: dict[str, Any]) -> Finding:
    """How far the ledger that hosts share has what this one knows."""
    rows, store = found["behind"], found["store"]
    kept = "it keeps its rows and goes on by itself; spend and requests are meanwhile this host's own"
    if found["error"]:
        return unreachable("shared ledger", found["error"], kept)
    if rows is None:
        return warning("shared ledger", f"{store} has not been reached since the start", kept)
    if found["behind_seconds"] > MOST_BEHIND_SECONDS:
        late = f"{rows:,} requests are not at {store} yet, the oldest for {found['behind_seconds'] / 60:,.0f} minutes"
        return warning("shared ledger", late, "look at the database's disk and load")
    return ok("shared ledger", f"{rows:,} requests on their way to {store}")


def _version(check: str, name: str, found: int, known: int) -> Finding:
    if found > known:
        return failed(check, f"{name} has schema {found}, this version knows {known}", _NEWER)
    if found < known:
        return ok(check, f"{name} has schema {found}; the next start brings it to {known}")
    return ok(check, f"{name} can be read and has schema {found}")
