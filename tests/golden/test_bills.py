"""How bills are read, one behaviour per pair of files: ``bills/<name>.json`` and ``bills/<name>.expected``.

``python -m tests.golden.test_bills`` writes the expected files anew; read the difference before keeping it.
"""

from collections import defaultdict
from decimal import Decimal
from pathlib import Path

import pytest

from fastgate.bills.bill import BadBill
from fastgate.bills.formats import read

FOLDER = Path(__file__).parent / "bills"
CASES = sorted(path.stem for path in FOLDER.glob("*.json"))
CENT = Decimal("0.01")

# What the files say, added up by hand: USD, or tokens, by day and model.
OPENAI = {
    ("2026-11-20", "gpt-5-mini-2025-08-07"): Decimal("0.3") + Decimal("0.01") + Decimal("0.6"),
    ("2026-11-20", "gpt-5.6-sol"): Decimal("0.0015"),
    ("2026-11-20", "web search tool calls"): Decimal("0.01"),
    ("2026-11-20", "gpt-4o-2024-08-06"): Decimal(0),
    ("2026-11-22", "gpt-audio-mini-2025-12-15"): Decimal("0.1") + Decimal("0.2"),
    ("2026-11-22", "ft:gpt-4o-mini-2024-07-18:acme::A1b2"): -Decimal("0.05"),
}
ANTHROPIC = {
    ("2026-11-20", "claude-sonnet-4-5-20250929"): (Decimal("360.03") + Decimal(450) + Decimal("0.0123")) * CENT,
    ("2026-11-20", "claude-opus-4-6"): (Decimal("62.5") + Decimal(100)) * CENT,
    ("2026-11-20", "web_search"): Decimal("0.03"),
    ("2026-11-21", "claude-opus-4-6"): Decimal("12.500000001"),
}
SIMULATOR = {
    ("2026-11-20", "sim-small"): Decimal("0.0000001875") + Decimal("0.0000002"),
    ("2026-11-20", "sim-large"): Decimal("0.000000075"),
}
USAGE = {
    ("2026-11-20", "claude-opus-4-6"): Decimal(1500 + 200 + 500 + 1000 + 700),
    ("2026-11-20", "claude-haiku-4-5-20251001"): Decimal(10 + 3),
    ("2026-11-22", "claude-opus-4-6"): Decimal(1 + 2),
}
REQUESTS = {("2026-11-20", "sim-small"): 3 * Decimal("0.15")}


def said(name: str) -> str:
    try:
        bill = read((FOLDER / f"{name}.json").read_bytes())
    except BadBill as error:
        return f"refused: {error}\n"
    days = " until ".join(map(str, bill.span)) if bill.span else "any days"
    lines = [f"{each.day} {each.model or '?'} {each.value:f} {each.kind or bill.unit}" for each in bill.charges]
    return "\n".join([f"{bill.source} ({bill.provider_type}), {days}", *lines, ""])


def sums(name: str) -> dict[tuple[str, str | None], Decimal]:
    found: defaultdict[tuple[str, str | None], Decimal] = defaultdict(Decimal)
    for charge in read((FOLDER / f"{name}.json").read_bytes()).charges:
        found[str(charge.day), charge.model] += charge.value
    return dict(found)


def test_there_are_many_cases() -> None:
    assert len(CASES) >= 30
    assert {path.stem for path in FOLDER.glob("*.expected")} == set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_a_bill_is_read_as_expected(name: str) -> None:
    assert said(name) == (FOLDER / f"{name}.expected").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "by_hand"),
    [
        ("openai_costs", OPENAI),
        ("anthropic_cost_report", ANTHROPIC),
        ("anthropic_usage", USAGE),
        ("simulator_bill", SIMULATOR),
        ("simulator_requests", REQUESTS),
    ],
)
def test_what_is_read_is_what_was_added_up_by_hand(name: str, by_hand: dict[tuple[str, str], Decimal]) -> None:
    assert sums(name) == by_hand


if __name__ == "__main__":
    for each in CASES:
        (FOLDER / f"{each}.expected").write_text(said(each), encoding="utf-8")
