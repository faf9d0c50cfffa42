"""All checks, in the order in which one looks."""

from collections.abc import Callable, Iterator
from typing import Final

from fastgate.doctor import endpoints, folders, leases, machine, network, postgres_store, redis_store, stores
from fastgate.doctor.findings import Finding, Level
from fastgate.doctor.installation import Installation

CHECKS: Final[tuple[Callable[[Installation], Iterator[Finding]], ...]] = (
    machine.versions,
    machine.processor,
    machine.open_files,
    machine.clock,
    folders.state_folder,
    folders.arena,
    folders.modes,
    stores.state_store,
    stores.ledger,
    network.ports,
    network.providers,
    redis_store.redis,
    leases.leases,
    postgres_store.postgres,
    endpoints.semantic,
)


def examine(installation: Installation) -> Iterator[Finding]:
    """Every finding, as soon as it is known. Nothing that is examined is changed."""
    for check in CHECKS:
        yield from check(installation)


def exit_code(findings: list[Finding]) -> int:
    """1 where something failed; 4 where all that is wrong is that a service does not answer; else 0."""
    levels = {finding.level for finding in findings}
    if Level.FAILED in levels:
        return 1
    return 4 if Level.UNREACHABLE in levels else 0
