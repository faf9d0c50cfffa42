"""Hosts that speak to the store of leases message by message, by a clock of their own."""

import dataclasses
from typing import Any, Final

from redis import Redis

from fastgate._core.levels import REQUESTS
from fastgate.budgets.leases.messages import Ask, Exchanged
from fastgate.budgets.leases.store import QUIET_MS, LeaseStore, Membership

START_MS: Final = 1_900_000_000_000
LIMIT: Final = 100
ASK: Final = Ask("key:k/limit/requests/day", REQUESTS, 400_000_000, 1, (1 << 62), 1, LIMIT, 0, 0, 0)


class Line:
    """A host's."""

    def __init__(self, client: "Redis", cluster: str, name: str) -> None:
        self.store = LeaseStore(lambda: client, cluster, START_MS)
        self.name = name
        self.member: Membership
        self.join()
        self.store.report(self.member)

    def ask(self, **changes: Any) -> Exchanged:
        self.sequence += 1
        return self.store.exchange(self.member, self.sequence, [dataclasses.replace(ASK, **changes)])

    def claim(self, **changes: Any) -> int:
        [grant] = self.ask(**changes).grants
        return grant.claim

    def join(self, *peers: str) -> None:
        self.member, self.sequence = self.store.join(self.name, f"nonce of {self.name}", peers), 0

    def later(self, ms: int) -> None:
        assert self.store.clock_ms is not None
        self.store.clock_ms += ms


def window_in(client: "Redis", cluster: str) -> bytes:
    """Where it lies."""
    [key] = (key for key in client.scan_iter() if f"{{{cluster}}}".encode() in key and key.endswith(ASK.id.encode()))
    assert isinstance(key, bytes)
    return key


def two_lines(client: "Redis", cluster: str) -> tuple[Line, Line]:
    """Two hosts that a store knows which has learned all there is."""
    here, there = (Line(client, cluster, name) for name in ("here", "there"))
    for line in (here, there):
        line.later(QUIET_MS)
        line.ask()
    return here, there
