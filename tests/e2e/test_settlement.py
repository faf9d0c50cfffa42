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
CHAT, MESSAGES, COUNT = "/v1/chat/completions", "/v1/messages", "/v1/messages/count_tokens"
READ_SECONDS = 1.0


def cut_after(*events: dict[str, Any]) -> dict[str, Any]:
    """A stream whose connection ends before its body does."""
    text = "".join(f"data: {json.dumps(event)}\n\n" for event in events)
    lines = f"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: {len(text) + 100}\r\n\r\n"
    return {"raw": lines + text}


PIECE = {"choices": [{"index": 0, "delta": {"content": "a"}}]}
LAST = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
USAGE = {"choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": 5}}

NUMBERS = ('"7"', "7.5", "true", "[7]", "1000000001", str(2**63), str(2**64), "1e30", "9" * 40)
"""Counts that no provider can mean, as JSON."""


def events(*texts: str) -> dict[str, Any]:
    return {"body": "".join(f"data: {text}\n\n" for text in texts), "headers": {"content-type": "text/event-stream"}}


def saying(output: str) -> list[dict[str, Any]]:
    """Answers of both APIs, whole and streamed, that report 10 tokens of input and this of output."""
    chat = f'"usage": {{"prompt_tokens": 10, "completion_tokens": {output}}}'
    choice = '"choices": [{"index": 0, "%s": {"content": "abc"}, "finish_reason": "stop"}]'
    usage = f'"usage": {{"input_tokens": 10, "output_tokens": {output}}}'
    block = '"content": [{"type": "text", "text": "abc"}], "stop_reason": "end_turn"'
    return [
        {"script": {"body": f"{{{choice % 'message'}, {chat}}}"}},
        {"script": events(f"{{{choice % 'delta'}}}", f'{{"choices": [], {chat}}}', "[DONE]"), "stream": True},
        {"script": {"body": f'{{"type": "message", {block}, {usage}}}'}, "path": MESSAGES},
        {
            "script": events(
                '{"type": "message_start", "message": {"usage": {"input_tokens": 10, "output_tokens": 1}}}',
                '{"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "abc"}}',
                f'{{"type": "message_delta", "delta": {{"stop_reason": "end_turn"}}, {usage}}}',
                '{"type": "message_stop"}',
            ),
            "path": MESSAGES,
            "stream": True,
        },
    ]


def declining(category: str | None, tokens: int) -> list[dict[str, Any]]:
    """Anthropic's refusal in a category, after so many tokens of output, whole and streamed; it is on the bill."""
    script = {
        "finish": "refusal",
        "stop_details": {"category": category},
        "usage": {"input_tokens": 90, "output_tokens": tokens or 1},
        **({"tokens": tokens} if tokens else {"text": ""}),
    }
    return [{"script": script, "path": MESSAGES, "stream": stream, "on_bill": True} for stream in (False, True)]


def sorry() -> list[dict[str, Any]]:
    """OpenAI's refusal, whole and streamed."""
    choice = '"choices": [{"index": 0, "%s": {"content": null, "refusal": "I will not."}, "finish_reason": "stop"}]'
    usage = '"usage": {"prompt_tokens": 10, "completion_tokens": 5}'
    return [
        {"script": {"body": f"{{{choice % 'message'}, {usage}}}"}},
        {"script": events(f"{{{choice % 'delta'}}}", f'{{"choices": [], {usage}}}', "[DONE]"), "stream": True},
    ]


ASKED: dict[str, dict[str, Any] | list[dict[str, Any]]] = {
    "answered, with usage": {"script": {}, "on_bill": True},
    "answered with 200, without usage": {"script": {"usage": None}},
    "answered with a usage that cannot be": [asked for number in NUMBERS for asked in saying(number)],
    "answered with a negative count": saying("-7"),
    "the model refused in its answer": sorry(),
    "the model refused (Anthropic's": [*declining("cyber", 20), *declining(None, 20), *declining("bio", 0)],
    "the model refused before any output": [*declining("cyber", 0), *declining(None, 0)],
    "the client left; the provider was read": {"script": {"chunk_ms": 30}, "stream": True, "leaves": True},
    "the client left a stream that took": {"script": {"chunks": 99, "chunk_ms": 60}, "stream": True, "leaves": True},
    "the client left before an answer": {"script": {"latency_ms": 5000}, "leaves": True},
    "the client's time was over (": {"script": {"latency_ms": 300}, "patience": 50, "on_bill": True},
    "the client's time was over in": {"script": {"chunks": 99, "chunk_ms": 60}, "stream": True, "patience": 50},
    "the client's time was over, and": {"script": {"latency_ms": 5000}, "patience": 50},
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
"""How a row begins, and what makes it happen: one request, or several that end alike."""
CASES = [(begins, each) for begins, asked in ASKED.items() for each in (asked if isinstance(asked, list) else [asked])]
FREE = "the model refused before any output"
CAP = 4000
WHOLE = (CAP + 1000) * Decimal("0.0000006")
"""More than an answer of the whole cap costs, with its input: of a model of which little is known."""
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
            "teams": [{"id": "crew", "budgets": [{"limit_usd": "2000", "window": "day"}]}],
            "keys": [
                key("one", team="crew", budgets=[{"limit_usd": "1000", "window": "day"}]),
                key("poor", team="crew", budgets=[{"limit_usd": "0.001", "window": "day"}]),
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
    patience: int | None = None,
) -> bytes:
    message = {"role": "user", "content": f"sim: {json.dumps(script)}"}
    document = {"model": model, "messages": [message]}
    body = compact(document if path == COUNT else {**document, "stream": stream, "max_tokens": CAP})
    headers = {"x-api-key": secret(name), "anthropic-version": "2023-06-01", "content-type": "application/json"}
    if patience is not None:
        headers["x-fastgate-timeout-ms"] = str(patience)
    return head(path, headers, length=len(body)) + body


def leave(house: House, asked: bytes) -> None:
    """Asks, and is gone while the request is open."""
    with socket.create_connection(("127.0.0.1", house.port)) as connection:
        connection.sendall(asked)
        wait_for(lambda: house.holds() == 1, 5, "it is on its way")


def spent(house: House, name: str) -> list[Decimal]:
    """Of the key's budget, and of its team's."""
    return [Decimal(house.budget(f"{owner}/day/default")["spent_usd"]) for owner in (f"key:{name}", "team:crew")]


@pytest.mark.parametrize(("begins", "asked"), CASES, ids=lambda value: value if isinstance(value, str) else "")
def test_a_request_is_settled_as_the_page_says(house: House, begins: str, asked: dict[str, Any]) -> None:
    [(settlement, outcome)] = [cells for happened, cells in TABLE.items() if happened.startswith(begins)]
    asked = dict(asked)
    leaves, on_bill = asked.pop("leaves", False), asked.pop("on_bill", False)
    name = asked.get("name", "one")
    before, billed = spent(house, name), Decimal(house.bill()["total"]["usd"])
    if leaves:
        leave(house, request(**asked))
    else:
        exchange(house.port, request(**asked))
    house.settled()
    row = house.requests()[0]
    assert (row["settlement"], row["outcome"], row["key"]) == (settlement, outcome, name)
    cost, held = Decimal(row["cost_usd"]), Decimal(row["hold_usd"])
    exact = cost == 0 if begins == FREE else cost > 0
    estimated = 0 < cost <= max(held, 0 if name == "poor" else WHOLE)
    fitting = {"none": cost == 0, "exact": exact, "estimated": estimated, "unsettled": 0 < cost == held}
    assert fitting[settlement]
    if on_bill:
        assert Decimal(house.bill()["total"]["usd"]) - billed == cost
    assert spent(house, name) == [amount + cost for amount in before]


def test_every_row_of_the_page_happens() -> None:
    begun = (*ASKED, *KILLED)
    assert len(TABLE) == len(begun)
    assert not [happened for happened in TABLE if not happened.startswith(begun)]


def test_the_page_names_what_the_ledger_says() -> None:
    described = set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE))
    assert described == set(SETTLEMENTS)
    assert {outcome for _, outcome in TABLE.values()} <= {*OUTCOMES, ""}
