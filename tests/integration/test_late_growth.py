"""Streams that outlast what they were admitted under: windows that turn, limits that are written anew meanwhile."""

import threading
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Self

import httpx
import pytest

from tests.support import by_api
from tests.support.by_api import CHAT, OK, created, soon, status
from tests.support.house import House, compact, key, secret, wait_for

OUTPUT = Decimal("0.0000006")  # USD per token of sim-small
TOKENS = 16_000
WHOLE = TOKENS * OUTPUT
PLENTY = {"limit_usd": "1", "window": "second"}
SETTINGS: dict[str, Any] = {
    "keys": [
        key("plain", budgets=[PLENTY]),
        key("rolling", budgets=[{**PLENTY, "rollover": True}]),
        key("alone", budgets=[{**PLENTY, "rollover": True}]),
        key("rate", limits=[{"output_tokens": 4 * TOKENS, "window": "second"}]),
        key("many", each={"model": {"budgets": [{"limit_usd": "1", "window": "day"}]}}),
        key("filed", budgets=[{"limit_usd": "0.006", "window": "day"}]),
    ]
}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with House(tmp_path_factory.mktemp("house"), SETTINGS, workers=1, simulator={"tokenizer": "byte"}) as house:
        yield house


class Stream:
    """``with Stream(house, secret) as stream``: a long answer that is read to its end, four seconds and more."""

    def __init__(self, house: House, secret: str) -> None:
        script = {"tokens": TOKENS, "reasoning": 0, "chunks": 800, "chunk_ms": 5}
        content = f"sim: {compact(script).decode()}"
        self.house, self.secret = house, secret
        self.text, self.request_id = "", ""
        self._body = compact(
            {"model": "sim/sim-small", "stream": True, "messages": [{"role": "user", "content": content}]}
        )
        self._thread = threading.Thread(target=self._read)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join()
        self.house.settled()
        self.row = self.house.admin(f"requests/{self.request_id}")

    @property
    def flows(self) -> bool:
        return self._thread.is_alive()

    @property
    def reason(self) -> str:
        """Why it ended, as the client reads it."""
        return self.text.rpartition('"finish_reason":"')[2].partition('"')[0]

    def _read(self) -> None:
        headers = {"authorization": f"Bearer {self.secret}", "content-type": "application/json"}
        with (
            httpx.Client(trust_env=False, timeout=60) as client,
            client.stream("POST", f"{self.house.url}{CHAT}", headers=headers, content=self._body) as answer,
        ):
            self.request_id = answer.headers["x-fastgate-request-id"]
            self.text = answer.read().decode()


def ended_for_want_of_money(stream: Stream) -> bool:
    """In order, and for no more than was held."""
    row = stream.row
    in_order = (row["error"], row["settlement"], stream.reason) == ("budget_exceeded", "estimated", "length")
    return in_order and Decimal(row["cost_usd"]) <= Decimal(row["hold_usd"]) < WHOLE


def is_whole(stream: Stream) -> bool:
    return (stream.row["settlement"], stream.reason) == ("exact", "stop") and stream.row["output_tokens"] == TOKENS


def turns(house: House, name: str, stream: Stream) -> None:
    """Others open the next windows, each for as much as nothing."""
    while stream.flows:
        assert status(house, secret(name)) == OK


@pytest.mark.parametrize("name", ["plain", "rolling"])
def test_money_of_a_window_that_is_gone_does_not_flow(house: House, name: str) -> None:
    """Once nobody counts it any more; with rollover, once what was left has moved on."""
    with Stream(house, secret(name)) as stream:
        turns(house, name, stream)
    assert ended_for_want_of_money(stream)
    assert Decimal(house.budget(f"key:{name}/second/default")["overrun_usd"]) == 0


def test_a_window_that_nobody_follows_goes_on(house: House) -> None:
    with Stream(house, secret("alone")) as stream:
        pass
    assert is_whole(stream)


def test_a_rate_of_tokens_is_no_money(house: House) -> None:
    with Stream(house, secret("rate")) as stream:
        turns(house, "rate", stream)
    assert is_whole(stream)


def grown(house: House, budget: str) -> None:
    """One of a template is there with its first request."""

    def has() -> bool:
        budgets = house.admin("budgets", limit=1000)["items"]
        return any(each["id"] == budget and Decimal(each["held_usd"]) > 2000 * OUTPUT for each in budgets)

    wait_for(has, 20, "its hold has grown")


def test_a_limit_that_is_lowered_ends_streams(house: House) -> None:
    with by_api.client(house) as api:
        token = created(api, "keys", id="lowered", budgets=[{"limit_usd": "1", "window": "day"}])["secret"]
        soon(house, token, OK)
        house.settled()
        house.simulator.reset()
        with Stream(house, token) as stream:
            grown(house, "key:lowered/day/default")
            api.patch("/budgets/key:lowered/day/default", json={"limit_usd": "0.000001"}).raise_for_status()
    assert ended_for_want_of_money(stream)
    assert Decimal(house.bill()["total"]["usd"]) <= Decimal(stream.row["cost_usd"])


def rewrite(house: House, name: str, **settings: Any) -> None:
    """Another key of that name in the file, and a reload."""
    house.write_config({"keys": [key(name, **settings) if each["id"] == name else each for each in SETTINGS["keys"]]})
    house.admin("config/reload", "POST")


def test_a_limit_of_a_template_that_is_lowered_ends_streams(house: House) -> None:
    with Stream(house, secret("many")) as stream:
        grown(house, "model:many/sim-small/day/default")
        rewrite(house, "many", each={"model": {"budgets": [{"limit_usd": "0.000001", "window": "day"}]}})
    assert ended_for_want_of_money(stream)


def test_a_limit_that_is_raised_lets_streams_flow_on(house: House) -> None:
    with Stream(house, secret("filed")) as stream:
        grown(house, "key:filed/day/default")
        rewrite(house, "filed", budgets=[{"limit_usd": "1", "window": "day"}])
    assert is_whole(stream)
