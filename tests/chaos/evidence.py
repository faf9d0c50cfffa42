"""What clients, ledger, counters and provider say after all kills, and where they contradict each other."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from fastgate.ledger.store import Ledger
from tests.chaos.arena_images import unresolved
from tests.chaos.traffic import Book
from tests.support.house import House

UNSURE = ("unsettled", "estimated")


@dataclass(frozen=True)
class Row:
    """A row of the ledger."""

    id: str
    owners: frozenset[str]
    settlement: str
    stream: bool
    cost: int
    what: tuple[str, int, int]
    """Upstream model, prompt tokens and visible tokens of output: no two requests of the traffic have the same."""


@dataclass
class Evidence:
    """Amounts in nano-USD. ``budgets``: ``(spent, held)`` by owner. ``bill``: what the provider charged, one by one."""

    book: Book
    rows: list[Row]
    budgets: Mapping[str, tuple[int, int]]
    bill: list[tuple[tuple[str, int, int], int]]
    open_records: int
    most_unsure: int
    """How many rows may say that nobody knows better: what was in the air at kills, what a provider left open."""
    free: bool = False
    """Whether there are rows that cost nothing: refusals, and the provider's errors."""

    def total(self, *settlements: str) -> int:
        """The cost of all rows so marked."""
        return sum(row.cost for row in self.rows if row.settlement in settlements)

    def findings(self) -> Iterator[str]:
        """Everything that is wrong."""
        yield from self._answers()
        yield from self._counters()
        yield from self._bill()
        yield from self._unsure()

    def _answers(self) -> Iterator[str]:
        ids = Counter(row.id for row in self.rows)
        yield from (f"{id_} is in the ledger {count} times" for id_, count in ids.items() if count > 1)
        rows = {row.id: row for row in self.rows}
        for answer in self.book.answers:
            row = rows.get(answer.request_id)
            if row is None:
                yield f"{answer.request_id} was answered and is not in the ledger"
            elif row.settlement != "exact" or row.stream != answer.stream:
                yield f"{answer.request_id} was answered in whole and is in the ledger as {row}"
            elif answer.cost is not None and row.cost != answer.cost:
                yield f"{answer.request_id} cost {answer.cost}, in the ledger {row.cost}"
        yield from self.book.refused

    def _counters(self) -> Iterator[str]:
        for owner, (spent, held) in self.budgets.items():
            logged = sum(row.cost for row in self.rows if owner in row.owners)
            if spent != logged:
                yield f"{owner} has spent {spent}, its rows say {logged}"
            if held:
                yield f"{owner} still holds {held}"
        if self.open_records:
            yield f"{self.open_records} holds were never resolved"

    def _bill(self) -> Iterator[str]:
        ours = Counter((row.what, row.cost) for row in self.rows if row.settlement == "exact")
        theirs = Counter(self.bill)
        yield from (f"settled, and never billed: {what} {count} times" for what, count in (ours - theirs).items())
        rest = theirs - ours
        unsure = [row for row in self.rows if row.settlement in UNSURE]
        if rest.total() > len(unsure):
            yield f"billed {rest.total()} times beyond what is settled, with {len(unsure)} rows that may stand for it"
        cost = sum(amount * count for (_, amount), count in rest.items())
        if cost > self.total(*UNSURE):
            yield f"billed {cost} beyond what is settled, and only {self.total(*UNSURE)} is booked for it"

    def _unsure(self) -> Iterator[str]:
        unsure = sum(row.settlement in UNSURE for row in self.rows)
        if unsure > self.most_unsure:
            yield f"{unsure} rows are unsure, {self.most_unsure} could be"
        free = ("none",) if self.free else ()
        others = Counter(row.settlement for row in self.rows if row.settlement not in ("exact", *UNSURE, *free))
        if others:
            yield f"rows of another kind: {dict(others)}"


def collect(house: House, book: Book, most_unsure: int, *, free: bool = False) -> Evidence:
    """Waits until the journals are in the ledger, asks, stops the house, and reads what it left."""
    house.settled()
    budgets = {
        each["owner"]: (_nano(each["spent_usd"]), _nano(each["held_usd"])) for each in house.admin("budgets")["items"]
    }
    assert house.stop() == 0
    charges = [
        (_what(charge["model"], charge["input_tokens"], charge["output_tokens"]), _nano(charge["usd"]))
        for charge in house.simulator.charges()
    ]
    return Evidence(
        book,
        rows_of(house.state_dir / "ledger.duckdb"),
        budgets,
        charges,
        len(unresolved(house.arena_dir)),
        most_unsure,
        free,
    )


def rows_of(path: Path) -> list[Row]:
    """The whole ledger; nobody else may have it open."""
    ledger = Ledger(path)
    ledger.open()
    with ledger.cursor() as cursor:
        found = cursor.execute(
            "SELECT id_high, id_low, key, team, customer, provider, settlement, stream, cost_nano, upstream_model, "
            "input_tokens, output_tokens - reasoning_tokens FROM requests"
        ).fetchall()
    ledger.close()
    return [_row(*values) for values in found]


def _row(high: int, low: int, key: str, team: str, customer: str, provider: str, *rest: Any) -> Row:
    settlement, stream, cost, model, prompt, output = rest
    owners = frozenset((f"key:{key}", f"team:{team}", f"customer:{customer}", f"provider:{key}/{provider}"))
    id_ = f"{high & (1 << 64) - 1:016x}{low & (1 << 64) - 1:016x}"
    return Row(id_, owners, settlement, bool(stream), cost, _what(model, prompt, output))


def _what(model: str, prompt: int, output: int) -> tuple[str, int, int]:
    return (model, prompt, output)


def _nano(usd: str) -> int:
    """Exact: what is no whole nano-USD is an error."""
    amount = Decimal(usd).scaleb(9)
    assert amount == int(amount)
    return int(amount)
