"""Bills altered anywhere: refused with a place and a reason, or summed exactly to what stands in them."""

import json
import random
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

from fastgate.bills.bill import EXACT, MOST_USD, BadBill, Bill, Unit
from fastgate.bills.comparison import Booked, Verdict, compare
from fastgate.bills.formats import read
from tests.fuzz.harness import TARGETS, change_tree, main, run, target

GOLDEN = Path(__file__).parents[1] / "golden" / "bills"
VALUES: list[Any] = [
    None, True, 0, -1, 1, 10**30, -(10**30), 0.5, -1e308, 5e-324, "", " ", "0", "1e3", "-1", "0E-6176", "1e-99",
    "1E-101", "9000000000", "9000000001", "NaN", "Infinity", "-sNaN", "1_0", "9" * 40, "usd", "EUR", "\ud7ff", "a, b",
    "\x1b[2J", "x" * 5_000, "2026-11-20", "9999-12-31", "0001-01-01", "9999-12-31T23:59:59-12:00",
    "0001-01-01T00:00:00+12:00", "2026-11-20T24:00:00Z", 253_402_300_799, 253_402_300_800, [], {}, [[]], [None], [{}],
]  # fmt: skip
MOST_COUNT = 2**63 - 1
NAMES = ["", "object", "items", "lines", "unbilled", "amount", "value", "data", "model", "uncached_input_tokens"]
TOKENS = [
    b'"',
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"null",
    b"NaN",
    b"-Infinity",
    b"1e99999999999999999999",
    b"\\ud800",
]


def seeds(form: str) -> list[bytes]:
    found = [path.read_bytes() for path in sorted(GOLDEN.glob(f"{form}_*.json"))]
    assert found
    return found


def check(data: bytes) -> None:
    try:
        bill = read(data)
    except BadBill as error:
        why = str(error)
    else:
        adds_up(bill)
        return
    assert why.strip()
    assert why.isprintable(), "a message of several lines or with control characters"


def adds_up(bill: Bill) -> None:
    """What is compared are exactly the amounts that were read, whatever they are."""
    total = sum((Fraction(charge.value) for charge in bill.charges), Fraction(0))
    exact = Decimal(0)
    for charge in bill.charges:
        assert abs(charge.value) <= (MOST_USD if bill.unit is Unit.USD else MOST_COUNT)
        exact = EXACT.add(exact, charge.value)
    assert Fraction(exact) == total
    nothing = compare(bill, [], ["day"])
    booked = [Booked(row.day, "m", "exact", 1, row.bill or 0) for row in nothing.rows if row.day]
    found = compare(bill, booked, ["day"])
    assert found.verdict is Verdict.EQUAL
    error = abs((found.total.bill or 0) - total * (10**9 if bill.unit is Unit.USD else 1))
    assert error <= (Fraction(len(bill.charges), 2) if bill.unit is Unit.USD else 0)
    assert all(bill.span is None or bill.span[0] <= charge.day < bill.span[1] for charge in bill.charges)


def altered(form: str) -> Callable[[bytes], None]:
    """The same with the structure kept, so that the mutations reach every check: the input chooses them."""
    trees = [json.loads(data) for data in seeds(form) if whole(data)]

    def check_tree(data: bytes) -> None:
        rng = random.Random(data)
        tree = json.loads(json.dumps(rng.choice(trees)))
        for _ in range(rng.randint(1, 4)):
            change_tree(rng, tree, VALUES, NAMES)
        check(json.dumps(tree).encode())

    return check_tree


def whole(data: bytes) -> bool:
    """Whether it is one document of JSON's own."""
    try:
        json.loads(data)
    except ValueError:
        return False
    return True


for each in ("simulator", "openai", "anthropic", "anthropic_usage"):
    target(f"bill-{each}", seeds=seeds(each), tokens=TOKENS)(check)
    target(f"bill-{each}-tree", seeds=[bytes([number]) for number in range(8)])(altered(each))
NAMED = [name for name in TARGETS if name.startswith("bill-")]


def test_for_a_short_while() -> None:
    assert len(NAMED) == 8
    for name in NAMED:
        assert run(TARGETS[name], seed=1, rounds=500) == 500


if __name__ == "__main__":
    main(NAMED)
