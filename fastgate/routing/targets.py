"""Choosing among weighted alternatives, and finding what a model name means."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from random import random
from typing import Generic, TypeVar

from fastgate.wire.snapshot import SnapshotHead, TargetRecord

T = TypeVar("T")


class Weighted(Generic[T]):
    """Alternatives drawn with the probability of their weights; those of weight 0 never."""

    __slots__ = ("_bounds", "items")

    def __init__(self, items: Sequence[tuple[T, float]]) -> None:
        drawn = [(item, weight) for item, weight in items if weight > 0]
        self.items: tuple[T, ...] = tuple(item for item, _ in drawn)
        self._bounds = list(accumulate(weight for _, weight in drawn))

    def __bool__(self) -> bool:
        return bool(self.items)

    def choose(self) -> T:
        """One of the alternatives; there must be one."""
        if len(self.items) == 1:
            return self.items[0]
        return self.items[bisect_right(self._bounds, random() * self._bounds[-1])]


def resolve(head: SnapshotHead, name: str) -> tuple[TargetRecord, ...]:
    """The targets of a public model name: an alias first, else ``provider/model``; empty where it is neither."""
    alias = head.models.get(name)
    if alias is not None:
        return alias.targets
    return by_provider(head, name)


def by_provider(head: SnapshotHead, name: str) -> tuple[TargetRecord, ...]:
    """The target that "provider/model" names; empty where there is no such provider."""
    provider_name, slash, model = name.partition("/")
    if slash and model:
        for index, provider in enumerate(head.providers):
            if provider.name == provider_name:
                return (TargetRecord(provider=index, model=model, price=provider.price_of(model)),)
    return ()
