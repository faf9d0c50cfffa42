"""What budgets say on answers: thresholds that were reached, and soft limits that were passed."""

from collections.abc import Sequence
from string import punctuation
from urllib.parse import quote

from fastgate._core.levels import Levels
from fastgate.wire.snapshot import BudgetRecord, LimitRecord


class Notices:
    """Of the budgets that bind a leg; there is none where no budget has anything to say."""

    __slots__ = ("_alerts", "_levels", "_soft")

    def __init__(self, levels: Levels, bound_by: Sequence[LimitRecord | BudgetRecord]) -> None:
        self._levels = levels
        budgets = [(place, record) for place, record in enumerate(bound_by) if isinstance(record, BudgetRecord)]
        self._alerts = [(place, _in_header(budget.id), budget.alerts) for place, budget in budgets if budget.alerts]
        self._soft = [(place, _in_header(budget.id)) for place, budget in budgets if budget.soft]

    @classmethod
    def of(cls, levels: Levels, bound_by: Sequence[LimitRecord | BudgetRecord]) -> "Notices | None":
        """Those of the budgets among ``bound_by``, of which the ``levels`` are, in their order."""
        found = cls(levels, bound_by)
        return found if found._alerts or found._soft else None

    def headers(self, now_ns: int) -> list[tuple[str, str]]:
        """A threshold stands on one answer in each window; a soft budget is named as long as more than it is spent."""
        found = []
        told = [
            f"{id_}={percent}"
            for place, id_, alerts in self._alerts
            for percent in self._levels.tell(place, alerts, now_ns)
        ]
        if told:
            found.append(("x-fastgate-budget-alert", ", ".join(told)))
        passed = [id_ for place, id_ in self._soft if self._levels.unspent(place, now_ns) < 0]
        if passed:
            found.append(("x-fastgate-budget-warning", ", ".join(passed)))
        return found


def _in_header(id_: str) -> str:
    """A user may be called anything: what is not ASCII is written as in an address."""
    return quote(id_, safe=f"{punctuation} ")
