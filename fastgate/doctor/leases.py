"""What the running gateway leases of budgets that hosts share, as it says itself."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final

from fastgate.doctor.findings import Finding, failed, ok, unreachable, warning
from fastgate.doctor.installation import Installation, NoAnswer

LATE_SECONDS: Final = 10
"""After so long without a word of this host others know too little of what it spends."""


def leases(installation: Installation) -> Iterator[Finding]:
    """Of a gateway that runs."""
    if installation.running is None:
        return
    try:
        said = installation.status().get("leases")
    except NoAnswer:
        return  # told by those who look at the gateway itself
    if said:
        yield _judged(said)


def _judged(said: dict[str, Any]) -> Finding:
    if said["error"]:
        told = f"this host gets none: {said['error']}"
        if said["name_taken"]:
            return failed("leases", told, "it refuses what hard budgets and limits bind: see docs/troubleshooting.md")
        remedy = "until then it has what it leased before, and what `grace` gives it: see docs/troubleshooting.md"
        return unreachable("leases", told, remedy)
    if said["learning"]:
        remedy = "start the hosts that are missing, or go on without one: fastgate hosts forget NAME"
        told = f"{said['store']} grants none before all hosts have told what they have"
        if said["waits_for"]:
            return failed("leases", f"{told}: it waits for {', '.join(said['waits_for'])}", remedy)
        return warning("leases", told, remedy)
    if said["warning"]:
        return warning("leases", said["warning"], "see docs/scaling.md")
    behind = said["behind_seconds"]
    if behind is None or behind > LATE_SECONDS:
        when = "has never told" if behind is None else f"told {behind:,.0f} s ago"
        return warning("leases", f"this host {when} what it spends", "look for `leases:` in its log")
    hosts, windows = (f"{said[what]:,} {what[:-1] if said[what] == 1 else what}" for what in ("hosts", "windows"))
    told = f"{windows} among {hosts}; {said['outstanding_usd']} USD are at hand here and not used"
    if Decimal(said["stranded_usd"]):
        told += f", {said['stranded_usd']} USD were leased by hosts that are gone"
    return ok("leases", told)
