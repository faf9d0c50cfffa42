"""What a difference between bill and ledger means: by hand, and whatever the amounts are."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastgate.bills.bill import BadBill, Bill, Charge, Unit
from fastgate.bills.comparison import NO_TOLERANCE, Booked, Comparison, Row, Tolerance, Verdict, compare
from fastgate.bills.openai import model_of

DAY, NEXT, END = date(2026, 11, 20), date(2026, 11, 21), date(2026, 11, 22)
USD = 10**9


def bill(*charges: tuple[date, str | None, str]) -> Bill:
    return Bill("a bill", "sim", "ask for more", [Charge(day, model, Decimal(usd)) for day, model, usd in charges])


def booked(day: date, model: str, cost: int, *, requests: int = 1, settlement: str = "exact") -> Booked:
    return Booked(day, model, settlement, requests, cost)


def verdicts(found: Comparison) -> dict[tuple[str, str], str]:
    return {(str(row.day), row.model or ""): str(row.verdict) for row in found.rows}


# ---- one row


@pytest.mark.parametrize(
    ("bill_nano", "ledger", "requests", "estimated", "unsettled", "unexplained", "verdict"),
    [
        (100, 100, 1, 0, 0, 0, "equal"),
        (102, 100, 4, 0, 0, 0, "equal"),  # 4 requests, each rounded by at most a half
        (98, 100, 4, 0, 0, 0, "equal"),
        (103, 100, 4, 0, 0, 3, "different"),
        (97, 100, 4, 0, 0, -3, "different"),
        (70, 100, 1, 30, 0, 0, "explained"),  # of what is estimated nothing was billed
        (70, 100, 1, 10, 20, 0, "explained"),
        (60, 100, 1, 10, 20, -10, "different"),  # 70 is the least that can have been billed
        (130, 100, 1, 30, 0, 30, "different"),  # an estimate is an upper bound: it explains nothing above
        (None, 100, 1, 0, 100, 0, "explained"),
        (None, 100, 1, 0, 0, -100, "different"),
        (100, None, 0, 0, 0, 100, "different"),
        (1, None, 0, 0, 0, 1, "different"),
        (-5, None, 0, 0, 0, -5, "different"),  # a credit
    ],
)
def test_a_row(
    bill_nano: int | None,
    ledger: int | None,
    requests: int,
    estimated: int,
    unsettled: int,
    unexplained: int,
    verdict: str,
) -> None:
    row = Row(DAY, "m", bill_nano, ledger, requests, estimated, unsettled)
    assert (row.unexplained, row.verdict) == (unexplained, verdict)
    assert row.difference == (bill_nano or 0) - (ledger or 0)


@pytest.mark.parametrize(
    ("tolerance", "verdict"),
    [
        (Tolerance(), "different"),
        (Tolerance(9), "different"),
        (Tolerance(10), "tolerated"),
        (Tolerance(percent=Decimal("0.9")), "different"),  # 9.9 of 1100
        (Tolerance(percent=Decimal("0.91")), "tolerated"),  # 10.01
        (Tolerance(3, Decimal("0.91")), "tolerated"),  # whichever is greater
    ],
)
def test_what_is_tolerated_is_the_unexplained_part(tolerance: Tolerance, verdict: str) -> None:
    """10 above what 50 estimated nano-USD explain, of 1100 billed."""
    assert Row(DAY, "m", 1100, 1160, 1, 50, tolerance=tolerance).unexplained == -10
    assert Row(DAY, "m", 1100, 1160, 1, 50, tolerance=tolerance).verdict == verdict


@given(
    st.integers(-(2**40), 2**70), st.integers(0, 2**63), st.integers(0, 2**63), st.integers(0, 2**63),
    st.integers(0, 2**20),
)  # fmt: skip
def test_a_row_is_explained_exactly_where_the_bill_lies_within_what_the_ledger_allows(
    billed: int, exact: int, estimated: int, unsettled: int, requests: int
) -> None:
    ledger = exact + estimated + unsettled
    row = Row(DAY, "m", billed, ledger, requests, estimated, unsettled)
    slack = (requests + 1) // 2
    allowed = exact - slack <= billed <= ledger + slack
    assert (row.verdict in {Verdict.EQUAL, Verdict.EXPLAINED}) == allowed
    assert (row.verdict is Verdict.EQUAL) == (abs(billed - ledger) <= slack)


# ---- rows


def test_rows_are_matched_by_day_and_model_and_those_of_one_side_are_shown() -> None:
    found = compare(
        bill((DAY, "a", "1"), (DAY, "a", "0.5"), (NEXT, "a", "2"), (DAY, "theirs", "3")),
        [booked(DAY, "a", 3 * USD // 2), booked(NEXT, "a", 2 * USD), booked(DAY, "ours", 4 * USD)],
    )
    assert [(row.day, row.model, row.bill, row.ledger) for row in found.rows] == [
        (DAY, "a", 3 * USD // 2, 3 * USD // 2),
        (DAY, "ours", None, 4 * USD),
        (DAY, "theirs", 3 * USD, None),
        (NEXT, "a", 2 * USD, 2 * USD),
    ]
    assert [str(row.verdict) for row in found.rows] == ["equal", "different", "different", "equal"]
    assert found.total.difference == -USD
    assert found.verdict is Verdict.DIFFERENT


def test_a_request_over_midnight_is_two_differences_by_day_and_none_by_model() -> None:
    sides = bill((NEXT, "a", "1")), [booked(DAY, "a", USD)]
    assert verdicts(compare(*sides)) == {(str(DAY), "a"): "different", (str(NEXT), "a"): "different"}
    assert compare(*sides, by=["model"]).verdict is Verdict.EQUAL


def test_what_names_no_model_can_be_compared_by_day_only() -> None:
    """A web search: the provider bills it on its own, the ledger with the request that made it."""
    sides = bill((DAY, "a", "1"), (DAY, "web_search", "0.01")), [booked(DAY, "a", 101 * USD // 100)]
    assert verdicts(compare(*sides)) == {(str(DAY), "a"): "different", (str(DAY), "web_search"): "different"}
    assert compare(*sides, by=["day"]).verdict is Verdict.EQUAL
    with pytest.raises(BadBill, match="ask for more, or compare with --by day"):
        compare(bill((DAY, None, "1")), [])
    assert compare(bill((DAY, None, "1")), [booked(DAY, "a", USD)], by=["day"]).verdict is Verdict.EQUAL
    assert not compare(bill((DAY, None, "0")), []).rows


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("gpt-5-mini-2025-08-07", "gpt-5-mini"),
        ("claude-sonnet-4-5-20250929", "claude-sonnet-4-5"),
        ("chatgpt-4o", "chatgpt-4o-latest"),
        ("gpt-4o-2024-05-13", "gpt-4o-2024-08-06"),
        ("o3", "o3"),
    ],
)
def test_the_date_of_a_snapshot_is_left_out(theirs: str, ours: str) -> None:
    assert compare(bill((DAY, theirs, "1")), [booked(DAY, ours, USD)]).verdict is Verdict.EQUAL


@pytest.mark.parametrize(("theirs", "ours"), [("gpt-4", "gpt-4-0613"), ("gpt-4o", "gpt-4o-mini"), ("a-1", "a-2")])
def test_other_names_are_other_models(theirs: str, ours: str) -> None:
    sides = bill((DAY, theirs, "1")), [booked(DAY, ours, USD)]
    assert compare(*sides).verdict is Verdict.DIFFERENT
    assert compare(*sides, names={theirs: ours}).verdict is Verdict.EQUAL


def test_the_bill_is_rounded_once_a_row() -> None:
    third = "0.0000000003"  # three of them are 0.9 nano-USD
    found = compare(bill(*[(DAY, "a", third)] * 3), [booked(DAY, "a", 1)])
    assert [row.bill for row in found.rows] == [1]


def test_small_differences_do_not_pile_up_unseen() -> None:
    days = [date(2026, 11, day) for day in range(1, 11)]
    sides = bill(*[(day, "a", "1.01") for day in days]), [booked(day, "a", USD) for day in days]
    found = compare(*sides, tolerance=Tolerance(USD // 100))
    assert {str(row.verdict) for row in found.rows} == {"tolerated"}
    assert found.total.verdict is Verdict.DIFFERENT
    assert found.verdict is Verdict.DIFFERENT
    assert compare(*sides, tolerance=Tolerance(USD // 10)).verdict is Verdict.TOLERATED
    assert compare(*sides, tolerance=Tolerance(percent=Decimal(1))).verdict is Verdict.TOLERATED


def test_what_is_estimated_or_unsettled_is_told_by_its_settlement() -> None:
    ledger = [booked(DAY, "a", 5), booked(DAY, "a", 30, settlement="estimated")]
    ledger += [booked(DAY, "a", 20, settlement="unsettled"), booked(DAY, "a", 0, settlement="none")]
    [row] = compare(bill((DAY, "a", "0.000000009")), ledger).rows
    assert row == Row(DAY, "a", 9, 55, 4, 30, 20)
    assert (row.difference, row.unexplained, row.verdict) == (-46, 0, "explained")


def test_nothing_on_either_side_is_equal() -> None:
    found = compare(bill(), [booked(DAY, "refused", 0, requests=7)])
    assert not found.rows
    assert (found.total.bill, found.total.ledger, found.verdict) == (0, 0, Verdict.EQUAL)
    assert found.total.tolerance is NO_TOLERANCE


# ---- tokens


def report(*counts: tuple[str | None, str, int]) -> Bill:
    charges = [Charge(DAY, model, Decimal(count), kind) for model, kind, count in counts]
    return replace(bill(), charges=charges, unit=Unit.TOKENS)


def tokens(model: str, kind: str, count: int, settlement: str = "exact") -> Booked:
    return Booked(DAY, model, settlement, 9, count, kind)


def test_tokens_are_compared_by_kind_and_to_the_last() -> None:
    usage = report(("a-2026-11-01", "input_tokens", 100), ("a-2026-11-01", "output_tokens", 51), ("a", "x", 0))
    ledger = [tokens("a", "input_tokens", 100), tokens("a", "output_tokens", 50), tokens("a", "x", 0)]
    found = compare(usage, ledger)
    assert verdicts(found) == {(str(DAY), "a, input_tokens"): "equal", (str(DAY), "a, output_tokens"): "different"}
    assert (found.total.bill, found.total.ledger, found.total.unexplained) == (151, 150, 1)
    assert compare(usage, ledger, tolerance=Tolerance(percent=Decimal(2))).verdict is Verdict.TOLERATED
    assert [(row.bill, row.ledger) for row in compare(usage, ledger, by=["day"]).rows] == [(151, 150)]
    assert compare(report((None, "input_tokens", 9)), [], by=["day"]).total.bill == 9


def test_more_tokens_than_the_ledgers_are_explained_where_it_could_not_count() -> None:
    usage = report(("a", "input_tokens", 130), ("b", "input_tokens", 80), ("c", "input_tokens", 130))
    ledger = [
        *(tokens("a", "input_tokens", 100), tokens("a", "input_tokens", 0, "unsettled")),
        *(tokens("b", "input_tokens", 70), tokens("b", "input_tokens", 20, "estimated")),
        *(tokens("c", "input_tokens", 100), tokens("c", "input_tokens", 20, "estimated")),
    ]
    found = compare(usage, ledger)
    assert [str(row.verdict) for row in found.rows] == ["explained", "explained", "different"]
    assert [row.unexplained for row in found.rows] == [0, 0, 10]


# ---- days, and names of line items


def test_a_bill_is_cut_to_the_days_that_are_asked_for() -> None:
    two = bill((DAY, "a", "1"), (NEXT, "a", "2"))
    whole = replace(two, span=(DAY, END))
    assert whole.between(None, None) == whole == whole.between(DAY, END) == whole.between(date.min, date.max)
    assert whole.between(NEXT, None) == Bill("a bill", "sim", "ask for more", whole.charges[1:], (NEXT, END))
    assert whole.between(None, NEXT) == Bill("a bill", "sim", "ask for more", whole.charges[:1], (DAY, NEXT))
    assert two.between(NEXT, None).charges == two.charges[1:]
    assert two.between(None, date.min) == bill()
    for since, until in ((None, DAY), (END, None), (NEXT, NEXT), (None, date.min)):
        with pytest.raises(BadBill, match="it covers 2026-11-20 until 2026-11-22"):
            whole.between(since, until)


@pytest.mark.parametrize(
    ("line_item", "model"),
    [
        ("gpt-4o-mini-2024-07-18, cached input", "gpt-4o-mini-2024-07-18"),
        ("gpt-5.6-sol, cache writes", "gpt-5.6-sol"),
        ("priority | gpt-5.6-sol, output, long context", "gpt-5.6-sol"),
        ("gpt-image-2.5-sunburst text, cached input", "gpt-image-2.5-sunburst"),
        ("ft:gpt-4o-2024-08-06:acme::Bx, input", "ft:gpt-4o-2024-08-06:acme::Bx"),
        ("whisper-1, audio", "whisper-1"),
        ("web search tool calls", "web search tool calls"),
        ("assistants api | file search", "assistants api | file search"),
        ("Image models", "Image models"),
        ("", None),
        (None, None),
    ],
)
def test_what_a_line_item_names(line_item: str | None, model: str | None) -> None:
    assert model_of(line_item) == model
