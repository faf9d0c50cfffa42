"""A snapshot as a worker serves it, and the keys that it has met there."""

from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final

from fastgate._core.arena import Arena
from fastgate._core.price import PriceTable
from fastgate.gateway.cache_plan import Member
from fastgate.gateway.grants import Grant
from fastgate.gateway.inbound import KEY_HEADERS, credential
from fastgate.gateway.legs import Bound
from fastgate.gateway.records import Records
from fastgate.gateway.upstreams import Upstream
from fastgate.wire.failure import Failure
from fastgate.wire.networks import Networks
from fastgate.wire.snapshot import OwnerRecord, SnapshotHead, owner_digest

_MOST_GRANTS: Final = 8192
_NOBODY: Final = OwnerRecord()


class State:
    """A snapshot as a worker serves it, and the keys that it has met there."""

    __slots__ = (
        "_dependents",
        "_grants",
        "_met",
        "arena",
        "bound",
        "head",
        "prices",
        "proxies",
        "records",
        "shares",
        "upstreams",
    )

    def __init__(self, records: Records, head: SnapshotHead, arena: Arena, upstreams: list[Upstream]) -> None:
        self.records = records
        self.head = head
        self.shares = head.leases is not None
        """Whether limits are shared with other hosts."""
        self.arena = arena
        self.prices = PriceTable(records.snapshot.prices)
        self.upstreams = upstreams
        self.proxies = Networks(head.trusted_proxies)
        self.bound: Bound = {}
        self._grants: dict[str, Grant] = {}
        self._met: dict[str, Grant] = {}
        """Those that never expire, by all of the one header that named them."""
        self._dependents: dict[bytes, set[str]] = {}
        """Which of the grants were made from a record, by its digest."""

    def grant_of(self, headers: Mapping[str, str], query: str, now_ns: int) -> Grant:
        """The key that a request bears, as most do in the one header of its own. Raises Failure as ``grant`` does."""
        if not KEY_HEADERS.isdisjoint(headers):
            return self.grant(credential(headers, query), now_ns)
        said = headers.get("authorization", "")
        grant = self._met.get(said)
        if grant is None:
            grant = self.grant(credential(headers, query), now_ns)
            if said[:7].lower() == "bearer " and not grant.record.expires_ns:
                if len(self._met) >= _MOST_GRANTS:
                    self._met.clear()
                self._met[said] = grant
        return grant

    def grant(self, secret: str | None, now_ns: int) -> Grant:
        """The key with this secret. Raises Failure where it is missing, unknown or expired."""
        if secret is None:
            raise Failure.invalid_key("is missing: send it as Authorization: Bearer or x-api-key")
        grant = self._grants.get(secret) or self._find(secret)
        if grant.record.expires_ns and grant.record.expires_ns <= now_ns:
            expired = datetime.fromtimestamp(grant.record.expires_ns // 10**9, UTC)
            raise Failure.invalid_key(f"'{grant.record.id}' expired on {expired:%Y-%m-%d at %H:%M:%SZ}")
        return grant

    def follow(self) -> None:
        """Takes what changed since the last look: keys that it concerns are put together anew when they come again."""
        changed = self.records.follow()
        if changed:
            self._met.clear()
        for digest in changed:
            for secret in self._dependents.pop(digest, ()):
                self._grants.pop(secret, None)

    def close(self) -> None:
        """Another snapshot has taken over. Requests that are open may still look here.

        What is kept here refers back to it; such a circle would stay in memory for as long as nobody looks for circles.
        """
        self.records.close()
        for kept in (self._grants, self._met, self._dependents, self.bound):
            kept.clear()

    def _find(self, secret: str) -> Grant:
        digest = sha256(secret.encode("utf-8", "surrogateescape")).digest()
        record = self.records.key(digest)
        if record is None:
            raise Failure.invalid_key("is unknown: mistyped, or revoked")
        if len(self._grants) >= _MOST_GRANTS:
            self._grants.clear()
            self._dependents.clear()
        team, customer, sources = _NOBODY, _NOBODY, [digest]
        if record.team:
            team = self._owner(f"team:{record.team}", sources)
        if team.customer:
            customer = self._owner(f"customer:{team.customer}", sources)
        grant = self._grants[secret] = Grant(self, Member(digest, record, team, customer))
        for source in sources:
            self._dependents.setdefault(source, set()).add(secret)
        return grant

    def _owner(self, name: str, sources: list[bytes]) -> OwnerRecord:
        digest = owner_digest(name)
        sources.append(digest)
        return self.records.owner(digest, name)
