"""Caps on output for servers that know ``max_tokens`` alone: put beside the newer member where money is bound."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.house import House, compact, key, secret
from tests.support.recorder import Recorded, Recorder, whole
from tests.support.wire import exchange, head

HARD = [{"limit_usd": "1", "window": "day"}]
SOFT = [{"limit_usd": "1", "window": "day", "mode": "soft"}]
CLAMPED = [{"limit_usd": "0.005", "window": "day", "on_limit": "clamp"}]
BOTH = {"max_completion_tokens": 10, "max_tokens": 10}


def old_server(request: Recorded) -> bytes:
    """Writes 30,000 tokens where ``max_tokens`` does not say otherwise."""
    used = {"prompt_tokens": 5, "completion_tokens": json.loads(request.body).get("max_tokens") or 30_000}
    return whole(compact({"model": "tiny", "choices": [], "usage": used}))


@pytest.fixture(scope="module")
def upstream() -> Iterator[Recorder]:
    with Recorder(old_server) as recorder:
        yield recorder


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, upstream: Recorder) -> Iterator[House]:
    prices = {"tiny": {"input_usd_per_million": "1", "output_usd_per_million": "10"}}
    provider = {"base_url": f"{upstream.url}/v1", "keys": [{"name": "k", "value": "v"}], "prices": prices}
    settings = {
        "providers": {
            "old": {"type": "openai-compatible", **provider},
            "openai": {"type": "openai", **provider},
        },
        "keys": [
            key("hard", budgets=HARD),
            key("strict", budgets=[{**HARD[0], "bound": "strict"}]),
            key("soft", budgets=SOFT),
            key("free"),
            key("clamped-old", budgets=CLAMPED),
            key("clamped-openai", budgets=CLAMPED),
        ],
    }
    with House(tmp_path_factory.mktemp("house"), settings, workers=1) as house:
        yield house


@pytest.mark.parametrize(
    ("name", "model", "caps", "sent"),
    [
        ("hard", "old/tiny", {"max_completion_tokens": 10}, BOTH),
        ("strict", "old/tiny", {"max_completion_tokens": 10}, BOTH),
        ("hard", "old/tiny", {"max_completion_tokens": 10, "max_tokens": None}, BOTH),
        ("hard", "old/tiny", {"max_completion_tokens": 20, "max_tokens": 5},
         {"max_completion_tokens": 20, "max_tokens": 5}),
        ("hard", "old/tiny", {"max_tokens": 10}, {"max_tokens": 10}),
        ("soft", "old/tiny", {"max_completion_tokens": 10}, {"max_completion_tokens": 10}),
        ("free", "old/tiny", {"max_completion_tokens": 10}, {"max_completion_tokens": 10}),
        ("hard", "openai/tiny", {"max_completion_tokens": 10}, {"max_completion_tokens": 10}),
        ("hard", "openai/tiny", {"max_tokens": 10}, {"max_tokens": 10}),
    ],
)  # fmt: skip
def test_a_cap_is_sent_by_a_member_that_the_server_knows(
    house: House, upstream: Recorder, name: str, model: str, caps: dict[str, Any], sent: dict[str, Any]
) -> None:
    answer = ask(house, name, model, caps)
    assert answer.status == 200
    assert capped(upstream) == sent
    house.settled()
    if name in ("hard", "strict") and model == "old/tiny":
        shown = house.admin(f"requests/{answer.headers['x-fastgate-request-id']}")
        assert shown["overrun_usd"] == "0.000000000"


@pytest.mark.parametrize(("provider", "both"), [("old", True), ("openai", False)])
def test_a_lowered_cap_too(house: House, upstream: Recorder, provider: str, both: bool) -> None:
    answer = ask(house, f"clamped-{provider}", f"{provider}/tiny", {"max_completion_tokens": 5000})
    assert answer.status == 200, answer.body
    cap = int(answer.headers["x-fastgate-output-cap"])
    assert capped(upstream) == {"max_completion_tokens": cap, **({"max_tokens": cap} if both else {})}


def ask(house: House, name: str, model: str, caps: dict[str, Any]) -> Any:
    body = compact({"model": model, "messages": [{"role": "user", "content": "x"}], **caps})
    return exchange(
        house.port, head("/v1/chat/completions", {"authorization": f"Bearer {secret(name)}"}, length=len(body)) + body
    )


def capped(upstream: Recorder) -> dict[str, Any]:
    """The caps of the request that arrived."""
    body = json.loads(upstream.last().body)
    return {member: body[member] for member in BOTH if member in body}
