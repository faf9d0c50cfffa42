"""Metrics of what hosts share: leases of budgets and limits, what operators create, the ledger."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from prometheus_client.core import Metric

from fastgate.telemetry.families import counter, gauge

_NANO: Final = 1_000_000_000


@dataclass(frozen=True)
class LeaseGauges:
    """Of the leases. ``outstanding``, ``stranded``: nano-USD."""

    up: bool
    hosts: int
    windows: int
    learning: bool
    behind_seconds: float | None
    """None: the store was not reached since the start."""
    ahead_seconds: float
    outstanding: int
    stranded: int
    failures: int


@dataclass(frozen=True)
class ShippingGauges:
    """Of the ledger; None: nobody knows, since it was not reached since the start."""

    up: bool
    rows: int | None
    seconds: float | None
    sent: int
    failures: int


@dataclass(frozen=True)
class SharingGauges:
    """Of the configuration."""

    up: bool
    behind: int


@dataclass(frozen=True)
class HostsGauges:
    """Each is None where hosts do not share that."""

    leases: LeaseGauges | None = None
    shipping: ShippingGauges | None = None
    sharing: SharingGauges | None = None


def hosts_metrics(told: HostsGauges) -> Iterator[Metric]:
    """As they are scraped."""
    if told.leases is not None:
        yield from _leases(told.leases)
    if told.shipping is not None:
        yield from _shipping(told.shipping)
    if told.sharing is not None:
        text = "Whether PostgreSQL answers, and what hosts share there is followed"
        yield gauge("fastgate_shared_configuration_up", text, int(told.sharing.up))
        text = "Changes that other hosts made, and that are not taken over yet"
        yield gauge("fastgate_shared_configuration_behind_changes", text, told.sharing.behind)


def _leases(told: LeaseGauges) -> Iterator[Metric]:
    yield gauge("fastgate_lease_store_up", "Whether the Redis that hosts share budgets by answers", int(told.up))
    yield gauge(
        "fastgate_lease_learning", "Whether it grants nothing, until it knows what all have", int(told.learning)
    )
    yield gauge("fastgate_lease_hosts", "Hosts that live, as it said last", told.hosts)
    yield gauge("fastgate_lease_windows", "Windows of budgets and limits that this host leases", told.windows)
    text = "Of budgets that hosts share: leased by this one, and neither spent nor held"
    yield gauge("fastgate_lease_outstanding_usd", text, told.outstanding / _NANO)
    text = "Of those that this one leases: what hosts that are gone had leased, and nobody can use"
    yield gauge("fastgate_lease_stranded_usd", text, told.stranded / _NANO)
    if told.behind_seconds is not None:
        text = "Age of what other hosts know of this one"
        yield gauge("fastgate_lease_behind_seconds", text, told.behind_seconds)
    text = "By how much this host's clock is ahead of Redis'"
    yield gauge("fastgate_lease_clock_ahead_seconds", text, told.ahead_seconds)
    yield counter("fastgate_sync_failures", "Exchanges with the store of leases that failed", told.failures)


def _shipping(told: ShippingGauges) -> Iterator[Metric]:
    yield gauge("fastgate_shared_ledger_up", "Whether rows get into the ledger that hosts share", int(told.up))
    if told.rows is not None:
        yield gauge("fastgate_shared_ledger_behind_rows", "Rows of this host that are not there yet", told.rows)
    if told.seconds is not None:
        yield gauge("fastgate_shared_ledger_behind_seconds", "Age of the oldest of them", told.seconds)
    yield counter("fastgate_shared_ledger_rows", "Rows that this process has sent there", told.sent)
    yield counter("fastgate_shared_ledger_failures", "Attempts to send rows there that failed", told.failures)
