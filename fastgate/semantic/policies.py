"""A policy for each tenant: what one's traffic teaches must not decide for another.

Those that were asked last are in memory; the others are in the store, and come back when they are asked.
"""

import logging
import random
from collections import OrderedDict
from typing import Final

from fastgate.semantic.policy import Policy
from fastgate.semantic.store import Store

MOST: Final = 256
"""In memory at once; one takes up to 0.4 MB beside its words."""
MOST_WORDS: Final = 1_000_000
"""Of all that are in memory; one takes some 90 bytes."""

log = logging.getLogger("fastgate.semantic")


class Policies:
    """``max_error`` holds for each of them."""

    def __init__(self, store: Store, max_error: float, rng: random.Random) -> None:
        self._store = store
        self._max_error = max_error
        self._rng = rng
        self._policies: OrderedDict[bytes, Policy] = OrderedDict()
        self._changed: set[bytes] = set()
        self._put_down: set[bytes] = set()
        """Tenants whose policies are in the store, or on their way there."""

    def of(self, tenant: bytes) -> Policy:
        """The tenant's; it counts as changed, as each decision changes it."""
        policy = self._policies.get(tenant)
        if policy is None:
            policy = self._policies[tenant] = self._read(tenant)
            self._trim()
        self._policies.move_to_end(tenant)
        self._changed.add(tenant)
        return policy

    def save(self) -> None:
        """Put down what changed."""
        for tenant in list(self._changed):
            self._put(tenant, self._policies[tenant])
        self._trim()

    def _trim(self) -> None:
        """Those that were asked least lately leave memory, not the last one."""
        words = sum(policy.words for policy in self._policies.values())
        while len(self._policies) > MOST or (words > MOST_WORDS and len(self._policies) > 1):
            tenant, policy = self._policies.popitem(last=False)
            words -= policy.words
            self._put(tenant, policy)

    def _put(self, tenant: bytes, policy: Policy) -> None:
        if tenant in self._changed:
            self._changed.discard(tenant)
            self._store.put(_name(tenant), policy.dump())
            self._put_down.add(tenant)

    def _read(self, tenant: bytes) -> Policy:
        if tenant in self._put_down:
            self._store.flush()  # it may be on its way still
        saved = self._store.value(_name(tenant))
        if saved is not None:
            try:
                return Policy.load(saved, self._max_error, rng=self._rng)
            except ValueError as error:
                log.warning("what was learned cannot be read (%s): learning begins anew", error)
        return Policy(self._max_error, rng=self._rng)


def _name(tenant: bytes) -> str:
    return f"policy {tenant.hex()}"
