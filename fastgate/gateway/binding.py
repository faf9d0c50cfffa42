"""What binds the requests on one way to a model: limits on requests, on what is open, on tokens, then budgets."""

from collections.abc import Iterable, Sequence
from typing import Self

from fastgate._core.arena import Arena
from fastgate.budgets.levels import Rule, levels_of
from fastgate.gateway.limits import Gauge, Place, gauges_of, place_of
from fastgate.gateway.notices import Notices


class Binding:
    """``rules`` in that order, each kind narrowest first. ``gauges``: the limits that every answer tells of, or none.

    A request that is not billed takes of the first ``for_free``: it counts as one, and begins no budget's window. One
    that a cache answers takes of the first ``for_hit``: nor does it count as open, as nobody is asked.
    """

    __slots__ = ("for_free", "for_hit", "free_levels", "gauges", "hit_levels", "levels", "notices", "records", "rules")

    def __init__(
        self, arena: Arena, rules: Sequence[Rule], for_hit: int, for_free: int, gauges: tuple[Gauge, ...]
    ) -> None:
        self.rules = rules
        self.for_hit, self.for_free = for_hit, for_free
        self.gauges = gauges
        self.records = tuple([record for record, _ in rules])
        self.levels = levels_of(arena, rules)
        """Of all ``records``, in their order."""
        self.free_levels = levels_of(arena, rules[:for_free])
        self.hit_levels = self.free_levels if for_hit == for_free else levels_of(arena, rules[:for_hit])
        self.notices = Notices.of(self.levels, self.records)
        """None: no budget has anything to say."""

    @classmethod
    def of(cls, arena: Arena, rules: Iterable[Rule]) -> Self:
        """Of rules in any order."""
        ordered = sorted(rules, key=lambda rule: place_of(rule[0]))
        records = [record for record, _ in ordered]
        places = [place_of(record) for record in records]
        hit = places.count(Place.REQUESTS)
        return cls(arena, ordered, hit, hit + places.count(Place.OPEN), gauges_of(records))

    def filled(self, arena: Arena, rules: Sequence[Rule]) -> "Binding":
        """With other rules of the same kinds in the same places; of the budgets the last ones may be missing."""
        return Binding(arena, rules, self.for_hit, self.for_free, self.gauges)
