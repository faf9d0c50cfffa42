"""What binds the requests on one way to a model: limits on requests, then limits on tokens, then budgets."""

from collections.abc import Iterable, Sequence
from typing import Self

from fastgate._core.arena import Arena
from fastgate.budgets.levels import Rule, levels_of
from fastgate.gateway.limits import Gauge, gauges_of, is_per_request
from fastgate.gateway.notices import Notices
from fastgate.wire.snapshot import BudgetRecord


class Binding:
    """``rules`` in that order, each kind narrowest first; of the first ``for_free`` a request that is not billed takes.

    It counts as a request, and begins no budget's window. ``gauges``: the limits that every answer tells of; empty:
    there are none.
    """

    __slots__ = ("for_free", "free_levels", "gauges", "levels", "notices", "records", "rules")

    def __init__(self, arena: Arena, rules: Sequence[Rule], for_free: int, gauges: tuple[Gauge, ...]) -> None:
        self.rules = rules
        self.for_free = for_free
        self.gauges = gauges
        self.records = tuple([record for record, _ in rules])
        self.levels = levels_of(arena, rules)
        """Of all ``records``, in their order."""
        self.free_levels = levels_of(arena, rules[:for_free])
        self.notices = Notices.of(self.levels, self.records)
        """None: no budget has anything to say."""

    @classmethod
    def of(cls, arena: Arena, rules: Iterable[Rule]) -> Self:
        """Of rules in any order."""
        ordered = sorted(rules, key=_place)
        records = [record for record, _ in ordered]
        return cls(arena, ordered, sum(map(is_per_request, records)), gauges_of(records))

    def filled(self, arena: Arena, rules: Sequence[Rule]) -> "Binding":
        """With other rules of the same kinds in the same places; of the budgets the last ones may be missing."""
        return Binding(arena, rules, self.for_free, self.gauges)


def _place(rule: Rule) -> int:
    record, _ = rule
    return 2 if isinstance(record, BudgetRecord) else 0 if is_per_request(record) else 1
