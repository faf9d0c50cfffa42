"""Reasoning that nobody sees: what a stream that was cut may have had of it is charged, however often it comes."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from tests.support.by_api import CHAT
from tests.support.house import House, compact, key, secret
from tests.support.wire import exchange, head

LIMIT = Decimal("0.05")
CAP = 10_000
WINDOW = "lifetime"
CUT = {"tokens": 400, "reasoning": 9_000, "fail": "cut", "after": 2}
"""The provider breaks off, having reasoned, and bills it."""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    names = ("asked", "unasked", "small")
    budgets = [{"limit_usd": str(LIMIT), "window": WINDOW}]
    with House(tmp_path_factory.mktemp("house"), {"keys": [key(name, budgets=budgets) for name in names]}) as house:
        yield house


def stream(house: House, name: str, model: str, script: dict[str, Any], number: int, **members: Any) -> int:
    content = f"sim: {compact(script).decode()} {number}"
    asked = {"model": f"sim/{model}", "stream": True, "max_tokens": CAP, **members}
    body = compact({**asked, "messages": [{"role": "user", "content": content}]})
    headers = {"authorization": f"Bearer {secret(name)}", "content-type": "application/json", "connection": "close"}
    return exchange(house.port, head(CHAT, headers, length=len(body)) + body).status


@pytest.mark.parametrize(
    ("name", "model", "members"),
    [
        ("asked", "sim-small", {"reasoning_effort": "high"}),
        ("unasked", "sim-reasoning", {}),
        ("small", "sim-small", {}),
    ],
)
def test_streams_that_are_cut_again_and_again_never_bill_more_than_is_charged(
    house: House, name: str, model: str, members: dict[str, Any]
) -> None:
    house.simulator.reset()
    statuses = [stream(house, name, model, CUT, number, **members) for number in range(16)]
    house.settled()
    budget = house.budget(f"key:{name}/{WINDOW}/default")
    billed = Decimal(house.bill()["total"]["usd"])
    assert set(statuses) == {200, 402}, "the budget ends it"
    assert Decimal(0) < billed <= Decimal(budget["spent_usd"])
    assert billed <= LIMIT + CAP * Decimal("0.0000044"), "the last one may have passed what was left, for once"
    rows = [row for row in house.requests(key=name) if row["outcome"] != "rejected"]
    assert {row["settlement"] for row in rows} == {"estimated"}
    assert all(row["output_tokens"] + row["reasoning_tokens"] == CAP for row in rows)
