"""The simulator's bill."""

from decimal import Decimal

import pytest

from fastgate.simulator.bill import CANCELLED, Bill, Charge
from fastgate.simulator.booking import Booking, produced
from fastgate.simulator.prices import PRICES, Counts

DAY_US = 86_400_000_000
NOON = 20_000 * DAY_US + DAY_US // 2  # 2024-10-04
SMALL: Counts = (100, 0, 0, 0, 10, 0, 0, 0, 0)


def test_it_adds_up_by_key_model_and_day() -> None:
    bill = Bill(PRICES)
    bill.add("a", Charge("sim-small", SMALL), NOON, 1)
    bill.add("a", Charge("sim-large", SMALL, "priority"), NOON, 2)
    bill.add("b", Charge("sim-small", SMALL), NOON + DAY_US, 3)
    report = bill.report()
    small, large = Decimal("0.000021"), Decimal("0.0007")
    assert Decimal(report["total"]["usd"]) == 2 * small + large
    assert report["total"]["requests"] == 3
    assert report["total"]["input_tokens"] == 300
    assert {row["key"]: Decimal(row["usd"]) for row in report["by_key"]} == {"a": small + large, "b": small}
    assert {row["model"]: row["output_tokens"] for row in report["by_model"]} == {"sim-small": 20, "sim-large": 10}
    assert {row["day"]: row["requests"] for row in report["by_day"]} == {"2024-10-04": 2, "2024-10-05": 1}
    assert [(row["key"], row["tier"], row["usd"]) for row in report["lines"]] == [
        ("a", "standard", "0.000021"),
        ("a", "priority", "0.0007"),
        ("b", "standard", "0.000021"),
    ]


def test_an_empty_bill_is_nought() -> None:
    report = Bill(PRICES).report()
    assert report["total"]["usd"] == "0"
    assert report["total"]["requests"] == 0
    assert report["by_key"] == []


def test_short_and_long_prompts_of_one_model_are_priced_apart() -> None:
    bill = Bill(PRICES)
    bill.add("a", Charge("sim-large", (200_000, 0, 0, 0, 0, 0, 0, 0, 0)), NOON, 1)
    bill.add("a", Charge("sim-large", (200_001, 0, 0, 0, 0, 0, 0, 0, 0)), NOON, 2)
    lines = {row["long_context"]: row["usd"] for row in bill.report()["lines"]}
    assert {long: Decimal(usd) for long, usd in lines.items()} == {False: Decimal("0.5"), True: Decimal("1.000005")}


def test_the_charges_one_by_one_add_up_to_the_total() -> None:
    bill = Bill(PRICES)
    for number in range(50):
        model = list(PRICES)[number % 4]
        counts: Counts = (number * 7919 % 250_000, number, 2 * number, 3 * number, 5, number % 3, 0, 0, number % 2)
        bill.add(f"key-{number % 3}", Charge(model, counts), NOON, number)
    items = bill.requests(0, 1000)["items"]
    assert len(items) == 50
    assert sum(Decimal(item["usd"]) for item in items) == Decimal(bill.report()["total"]["usd"])
    assert items[3]["cache_write_1h_tokens"] == 9
    assert items[3]["started"] == "2024-10-04T12:00:00+00:00"


def test_charges_are_read_page_by_page() -> None:
    bill = Bill(PRICES)
    for number in range(5):
        bill.add("a", Charge("sim-small", SMALL), NOON, number)
    first = bill.requests(0, 3)
    second = bill.requests(first["next"], 3)
    assert [item["id"] for item in first["items"] + second["items"]] == [f"{number:016x}" for number in range(5)]
    assert second["next"] is None
    assert bill.requests(99, 3)["items"] == []


def test_rows_beyond_the_bound_are_dropped_and_counted_but_not_their_money() -> None:
    bill = Bill(PRICES, max_rows=2)
    for number in range(5):
        bill.add("a", Charge("sim-small", SMALL), NOON, number)
    report = bill.report()
    assert report["rows"] == {"kept": 2, "dropped": 3}
    assert report["total"]["requests"] == 5
    assert Decimal(report["total"]["usd"]) == 5 * Decimal("0.000021")
    assert bill.requests(0, 10)["dropped"] == 3


def test_a_reset_forgets_everything() -> None:
    bill = Bill(PRICES)
    bill.add("a", Charge("sim-small", SMALL), NOON, 1)
    bill.count_unbilled("429")
    bill.reset()
    assert bill.report() == Bill(PRICES).report()


def test_several_charges_of_one_answer_are_one_request() -> None:
    bill = Bill(PRICES)
    Booking(bill, "a", [Charge("sim-small", SMALL), Charge("sim-large", SMALL)], NOON, 7).whole(0)
    report = bill.report()
    assert report["total"]["requests"] == 1
    assert Decimal(report["total"]["usd"]) == Decimal("0.000021") + Decimal("0.00035")


@pytest.mark.parametrize(
    ("done", "pieces", "reasoning", "output", "thought"),
    [
        (0, 4, 0.0, 0, 0),
        (0, 4, 0.5, 0, 20),
        (1, 4, 1.0, 2, 40),
        (3, 4, 1.0, 7, 40),
        (4, 4, 1.0, 10, 40),
        (0, 0, 0.0, 10, 0),
    ],
)
def test_a_part_is_the_whole_prompt_and_a_share_of_the_output(
    done: int, pieces: int, reasoning: float, output: int, thought: int
) -> None:
    counts: Counts = (100, 1, 2, 3, 10, 40, 4, 0, 1)
    assert produced(counts, done, pieces, reasoning) == (100, 1, 2, 3, output, thought, 4, 0, 1)


def test_what_was_cancelled_is_marked() -> None:
    bill = Bill(PRICES)
    Booking(bill, "a", [Charge("sim-small", SMALL)], NOON, 7).part(CANCELLED, 1, 2, 1.0)
    (item,) = bill.requests(0, 10)["items"]
    assert item["outcome"] == "cancelled"
    assert item["output_tokens"] == 5
    assert item["input_tokens"] == 100
