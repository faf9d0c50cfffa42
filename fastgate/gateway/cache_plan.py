"""What the requests of a key for a model may do with the caches, worked out once per way and kept with it."""

from dataclasses import dataclass
from typing import Any

from fastgate.wire.caching import SemanticRecord, first_said, tenant_of
from fastgate.wire.snapshot import KeyRecord, OwnerRecord, SnapshotHead


@dataclass(frozen=True, slots=True)
class CachePlan:
    """How answers are kept, and for whom."""

    tenant: bytes
    """16 bytes that name scope and tenant: who shares entries."""
    ttl_ms: int
    max_temperature: float | None
    """Above it no answer is kept or given again; None: any may be."""
    tools: bool
    """Whether requests that offer tools have to do with it."""
    client_control: bool
    """Whether ``x-fastgate-cache`` and ``x-fastgate-cache-ttl`` of a request are heard."""
    replay_ms: int
    """Between two pieces of a stream that is given again; 0: at once."""
    single_flight: bool
    """Whether who asks what is being asked waits for that answer."""
    exact: bool = True
    """Whether the exact cache has to do with it."""
    meaning: bytes | None = None
    """16 bytes that name who shares answers to questions that mean the same; None: the semantic cache is not asked."""
    deadline_ms: int = 0
    """How long the semantic cache is waited for."""
    sharers: str = ""
    """Who shares answers by their meaning, as operators read it: ``key:ci``, ``team:blue``, ``global``."""


@dataclass(frozen=True, slots=True)
class Member:
    """A key, found under the ``digest`` of its secret, with the team and the customer that it belongs to."""

    digest: bytes
    key: KeyRecord
    team: OwnerRecord
    customer: OwnerRecord

    def tenant(self, scope: str) -> bytes:
        """Who shares answers in ``scope``; without a team or customer of its own, those of the next narrower scope.

        An id may come again for somebody else. What the API made is told from its successors by the moment of its
        creation, a key of the file by its secret. A team that goes over to another customer leaves its answers behind.
        """
        key, team, customer = self.key, self.team, self.customer
        if scope == "global":
            return tenant_of(scope)
        if scope == "customer" and team.customer:
            return tenant_of("customer", team.customer, customer.born)
        if scope != "key" and key.team:
            return tenant_of("team", key.team, team.born, team.customer, customer.born)
        return tenant_of("key", key.id, key.born or self.digest)

    def sharers(self, scope: str) -> str:
        """The same for people, to whom a successor has the same name."""
        key, team = self.key, self.team
        if scope == "global":
            return scope
        if scope == "customer" and team.customer:
            return f"customer:{team.customer}"
        return f"team:{key.team}" if scope != "key" and key.team else f"key:{key.id}"


def cache_of(head: SnapshotHead, model: str, member: Member, *, means: bool = True) -> CachePlan | None:
    """How answers to ``member`` for the public name ``model`` are kept; None: they are not.

    Each setting is the key's, else its team's, else the public model's, else that for everybody. ``means``: requests
    may be questions, of which another could mean the same.
    """
    if not head.cache_mb and head.semantic is None:
        return None
    public = head.models.get(model)
    wishes = (member.key.cache, member.team.cache, public.cache if public is not None else None)
    said = first_said(*wishes, head.cache)
    exact, scope, semantic = said.pop("enabled") and head.cache_mb > 0, said.pop("scope"), said.pop("semantic")
    near = _near(head.semantic, semantic, first_said(*wishes)["scope"], member) if means else {}
    if not exact and not near:
        return None
    return CachePlan(tenant=member.tenant(scope), exact=exact, **near, **said)


def _near(record: SemanticRecord | None, wanted: bool | None, scope: str | None, member: Member) -> dict[str, Any]:
    """What a plan says of the semantic cache: in the scope that is wished for, else in that for everybody."""
    if record is None or not (record.enabled if wanted is None else wanted):
        return {}
    shared = scope or record.scope
    return {
        "meaning": member.tenant(shared),
        "sharers": member.sharers(shared),
        "deadline_ms": record.deadline_ms,
    }
