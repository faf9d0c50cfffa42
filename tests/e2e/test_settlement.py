"""The table of docs/settlement.md: each row but those of kills is made to happen, and is settled as the page says."""

import json
import re
import socket
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from fastgate._core.journal import OUTCOMES, SETTLEMENTS
from tests.support.documents import ROOT
from tests.support.house import House, compact, free_port, key, secret, wait_for
from tests.support.wire import exchange, head

PAGE = (ROOT / "docs" / "settlement.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (.+) \| (?:`(\w+)`)? ?\| (?:`(\w+)`)? ?\|$", PAGE.split("|---|---|---|\n")[1], re.MULTILINE)
TABLE = {happened: (settlement, outcome) for happened, settlement, outcome in ROWS}
CHAT, COUNT = "/v1/chat/completions", "/v1/messages/count_tokens"
READ_SECONDS = 1.0


def cut_after(*events: dict[str, Any]) -> dict[str, Any]:
    """A stream whose connection ends before its body does."""
    text = "".join(f"data: {json.dumps(event)}\n\n" for event in events)
    lines = f"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: {len(text) + 100}\r\n\r\n"
    return {"raw": lines + text}


PIECE = {"choices": [{"index": 0, "delta": {"content": "a"}}]}
LAST = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
USAGE = {"choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": 5}}
ASKED: dict[str, dict[str, Any]] = {
    "answered, with usage": {"script": {}},
    "answered with 200, without usage": {"script": {"usage": None}},
    "the client left; the provider was read": {"script": {"chunk_ms": 30}, "stream": True, "leaves": True},
    "the client left a stream that took": {"script": {"chunks": 99, "chunk_ms": 60}, "stream": True, "leaves": True},
    "the client left before an answer": {"script": {"latency_ms": 5000}, "leaves": True},
    "a stream ended here": {"script": {"tokens": 4000, "chunks": 200, "chunk_ms": 5}, "stream": True, "name": "poor"},
    "a stream broke off, or ended": {"script": cut_after(PIECE), "stream": True},
    "a stream broke off after": {"script": cut_after(PIECE, LAST, USAGE), "stream": True},
    "a whole answer broke off": {"script": {"fail": "cut"}},
    "the provider answered with a redirect": {"script": {"raw": "HTTP/1.1 302 Found\r\ncontent-length: 0\r\n\r\n"}},
    "the provider's own error": {"script": {"fail": "500"}},
    "the provider could not be connected": {"script": {}, "model": "absent/sim-small"},
    "refused by fastgate": {"script": {}, "model": "gpt-none"},
    "counting tokens": {"script": {}, "path": COUNT},
}
"""How a row begins, and what makes it happen."""
KILLED = ("a worker, or all of fastgate, was killed", "the same, after it was sent")
"""Rows of tests/chaos/test_kills.py."""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    house = House(tmp_path_factory.mktemp("house"), {}, workers=1)
    with house.simulator as simulator:
        house.owns_simulator = False
        sim = {"type": "sim", "base_url": simulator.url, "keys": [{"name": "k", "value": "upstream-key"}]}
        house.settings = {
            "disconnect": {"read_seconds": READ_SECONDS},
            "providers": {"sim": sim, "absent": {**sim, "base_url": f"http://127.0.0.1:{free_port()}"}},
            "keys": [
                key("one", budgets=[{"limit_usd": "1000", "window": "day"}]),
                key("poor", budgets=[{"limit_usd": "0.001", "window": "day"}]),
            ],
        }
        with house:
            yield house


def request(
    script: dict[str, Any],
    *,
    path: str = CHAT,
    model: str = "sim/sim-small",
    stream: bool = False,
    name: str = "one",
) -> bytes:
    message = {"role": "user", "content": f"sim: {json.dumps(script)}"}
    document = {"model": model, "messages": [message]}
    body = compact(document if path == COUNT else {**document, "stream": stream, "max_tokens": 4000})
    headers = {"x-api-key": secret(name), "anthropic-version": "2023-06-01", "content-type": "application/json"}
    return head(path, headers, length=len(body)) + body


def leave(house: House, asked: bytes) -> None:
    """Asks, and is gone while the request is open."""
    with socket.create_connection(("127.0.0.1", house.port)) as connection:
        connection.sendall(asked)
        wait_for(lambda: house.holds() == 1, 5, "it is on its way")


@pytest.mark.parametrize("begins", ASKED)
def test_a_request_is_settled_as_the_page_says(house: House, begins: str) -> None:
    [(settlement, outcome)] = [cells for happened, cells in TABLE.items() if happened.startswith(begins)]
    asked = dict(ASKED[begins])
    leaves = asked.pop("leaves", False)
    budget = f"key:{asked.get('name', 'one')}/day/default"
    before = Decimal(house.budget(budget)["spent_usd"])
    if leaves:
        leave(house, request(**asked))
    else:
        exchange(house.port, request(**asked))
    house.settled()
    row = house.requests()[0]
    assert (row["settlement"], row["outcome"]) == (settlement, outcome)
    cost, held = Decimal(row["cost_usd"]), Decimal(row["hold_usd"])
    fitting = {"none": cost == 0, "exact": cost > 0, "estimated": 0 < cost <= held, "unsettled": 0 < cost == held}
    assert fitting[settlement]
    assert Decimal(house.budget(budget)["spent_usd"]) == before + cost


def test_every_row_of_the_page_happens() -> None:
    begun = (*ASKED, *KILLED)
    assert len(TABLE) == len(begun)
    assert not [happened for happened in TABLE if not happened.startswith(begun)]


def test_the_page_names_what_the_ledger_says() -> None:
    described = set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE))
    assert described == set(SETTLEMENTS)
    assert {outcome for _, outcome in TABLE.values()} <= {*OUTCOMES, ""}
