"""How stands what hosts share: as the admin API tells it, and as metrics. None: this host does not share that."""

from typing import Any

from fastgate.control.lease_thread import LeaseStatus
from fastgate.control.sharing import SharingStatus
from fastgate.control.shipping import ShippingStatus
from fastgate.ledger.spend import moment
from fastgate.telemetry.hosts import HostsGauges, LeaseGauges, SharingGauges, ShippingGauges
from fastgate.wire.money import usd


def leases_answer(found: LeaseStatus | None) -> dict[str, Any] | None:
    """Of budgets and limits."""
    if found is None:
        return None
    return {
        "store": found.where,
        "host": found.host,
        "hosts": found.hosts,
        "learning": found.learning,
        "windows": found.windows,
        "outstanding_usd": usd(found.outstanding),
        "stranded_usd": usd(found.stranded),
        "behind_seconds": found.behind_seconds,
        "clock_ahead_ms": found.ahead_ms,
        "failures": found.failures,
        "name_taken": found.name_taken,
        "waits_for": found.waits_for,
        "warning": found.warning or None,
        "error": found.error or None,
    }


def shipping_answer(found: ShippingStatus | None) -> dict[str, Any] | None:
    """Of what became of requests."""
    if found is None:
        return None
    seen = [{"host": host, "seen_at": moment(round(at * 1_000_000))} for host, at in sorted(found.hosts.items())]
    return {
        "store": found.where,
        "host": found.host,
        "behind": found.rows,
        "behind_seconds": found.seconds,
        "hosts": seen,
        "sent": found.sent,
        "repeated": found.repeated,
        "failures": found.failures,
        "error": found.error or None,
    }


def sharing_answer(found: SharingStatus | None) -> dict[str, Any] | None:
    """Of what operators create."""
    if found is None:
        return None
    return {
        "store": found.where,
        "host": found.host,
        "reachable": found.reachable,
        "change": found.change,
        "behind": found.behind,
        "unread": list(found.unread),
        "failures": found.failures,
        "error": found.error or None,
    }


def gauges_of(
    leases: LeaseStatus | None, sharing: SharingStatus | None, shipping: ShippingStatus | None
) -> HostsGauges:
    """All of it, for a scrape."""
    return HostsGauges(
        leases=None if leases is None else _leases(leases),
        sharing=None if sharing is None else SharingGauges(not sharing.error, sharing.behind),
        shipping=None if shipping is None else _shipping(shipping),
    )


def _leases(found: LeaseStatus) -> LeaseGauges:
    return LeaseGauges(
        up=not found.error,
        hosts=found.hosts,
        windows=found.windows,
        learning=found.learning,
        behind_seconds=found.behind_seconds,
        ahead_seconds=found.ahead_ms / 1000,
        outstanding=found.outstanding,
        stranded=found.stranded,
        failures=found.failures,
    )


def _shipping(found: ShippingStatus) -> ShippingGauges:
    return ShippingGauges(not found.error, found.rows, found.seconds, found.sent, found.failures)
