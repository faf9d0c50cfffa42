"""The exact cache over four workers: who gets which answer again, what it costs, and what clients may say about it."""

import json
import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import anthropic
import openai
import pytest

from fastgate.simulator.process import Simulator
from tests.support.by_api import CHAT
from tests.support.house import House, compact, key, secret, wait_for
from tests.support.wire import Answer, exchange, head

MESSAGES = "/v1/messages"


def settings(url: str) -> dict[str, Any]:
    upstream = {"keys": [{"name": "k", "value": "upstream-key"}]}
    price = {"input_usd_per_million": "1", "output_usd_per_million": "2"}
    like = {"type": "openai-compatible", "base_url": f"{url}/v1", "prices": {"sim-small": price}, **upstream}
    return {
        "providers": {"sim": {"type": "sim", "base_url": url, **upstream}, "like": like},
        "cache": {"exact": {"enabled": True, "ttl_seconds": 600, "max_mb": 16}},
        "teams": [{"id": "blue", "cache": {"scope": "team"}}],
        "models": {
            "smart": {"targets": [{"provider": "sim", "model": "sim-small"}]},
            "cold": {
                "targets": [{"provider": "sim", "model": "sim-small"}],
                "cache": {"max_temperature": 0.5, "tools": False},
            },
        },
        "keys": [
            key("one"),
            key("other"),
            key("off", cache={"exact": False}),
            key("blue-one", team="blue"),
            key("blue-other", team="blue"),
            key("blue-brief", team="blue", cache={"ttl_seconds": 1}),
            key("short", cache={"ttl_seconds": 4}),
            key("deaf", cache={"client_control": False}),
            key("paced", cache={"replay_ms": 20}),
            key("poor", budgets=[{"limit_usd": "0.0001", "window": "day"}]),
            key("few", limits=[{"requests": 3, "window": "day"}]),
        ],
    }


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with (
        Simulator() as simulator,
        House(tmp_path_factory.mktemp("cache"), settings(simulator.url), workers=4, simulator=simulator) as house,
    ):
        yield house


def body_of(text: str, **more: Any) -> dict[str, Any]:
    return {"model": "sim/sim-small", "max_tokens": 20, "messages": [{"role": "user", "content": text}], **more}


def post(house: House, name: str, body: dict[str, Any] | bytes, path: str = CHAT, **headers: str) -> Answer:
    raw = body if isinstance(body, bytes) else compact(body)
    said = {"authorization": f"Bearer {secret(name)}", "content-type": "application/json", "connection": "close"}
    if path == MESSAGES:
        said["anthropic-version"] = "2023-06-01"
    said |= {each.replace("_", "-"): value for each, value in headers.items()}
    return exchange(house.port, head(path, said, length=len(raw)) + raw)


def did(answer: Answer) -> str:
    assert answer.status == 200, answer.body
    return answer.headers["x-fastgate-cache"]


def asked(house: House) -> int:
    return int(house.bill()["total"]["requests"])


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
@pytest.mark.parametrize("stream", [False, True])
def test_the_same_answer_is_paid_for_once_whichever_worker_is_asked(house: House, path: str, stream: bool) -> None:
    body = body_of(f"again {path} {stream}", stream=stream)
    before = asked(house)
    first = post(house, "one", body, path)
    assert (did(first), first.headers["x-fastgate-attempts"]) == ("miss", "1")
    for _ in range(12):
        again = post(house, "one", body, path)
        assert (did(again), again.headers["x-fastgate-attempts"]) == ("exact", "0")
        assert again.body == first.body
        assert again.headers["content-type"].split(";")[0] == first.headers["content-type"].split(";")[0]
        assert int(again.headers["x-fastgate-cache-age"]) < 60
        assert float(again.headers["x-fastgate-saved-usd"].removeprefix("$")) > 0
        assert again.headers["x-fastgate-cost-usd"] == "0.000000000"
        assert again.headers["x-fastgate-cache-entry"]
    assert asked(house) == before + 1


def test_how_a_body_is_written_makes_no_other_question(house: House) -> None:
    first = post(house, "one", body_of("written", temperature=0))
    other = b"""{ "temperature" : 0, "messages":[ {"role":"user","content":"\\u0077ritten"} ],
                  "user": "somebody", "max_tokens":20, "model":"sim/sim-small" }"""
    assert did(first) == "miss"
    again = post(house, "one", other)
    assert did(again) == "exact"
    assert again.body == first.body


@pytest.mark.parametrize(
    "other",
    [
        {"temperature": 0.5},
        {"max_tokens": 21},
        {"seed": 1},
        {"model": "sim/sim-large"},
        {"messages": [{"role": "user", "content": "different."}]},
        {"messages": [{"role": "system", "content": "x"}, {"role": "user", "content": "different"}]},
        {"response_format": {"type": "json_object"}},
        {"n": 2},
        {"tools": [{"type": "function", "function": {"name": "f"}}]},
    ],
    ids=str,
)
def test_what_may_change_the_answer_is_another_question(house: House, other: dict[str, Any]) -> None:
    post(house, "one", body_of("different"))
    assert did(post(house, "one", body_of("different"))) == "exact"
    assert did(post(house, "one", body_of("different") | other)) == "miss"


def test_a_public_name_and_its_model_are_the_same_question(house: House) -> None:
    first = post(house, "one", body_of("named", model="smart"))
    again = post(house, "one", body_of("named"))
    assert (did(first), did(again)) == ("miss", "exact")


def test_keys_do_not_share_and_teams_do(house: House) -> None:
    body = body_of("shared?")
    assert did(post(house, "one", body)) == "miss"
    assert did(post(house, "other", body)) == "miss"
    assert did(post(house, "blue-one", body)) == "miss"
    assert did(post(house, "blue-other", body)) == "exact"


def test_who_has_no_cache_gets_none(house: House) -> None:
    for _ in range(2):
        assert did(post(house, "off", body_of("off"))) == "bypass"
    answer = post(house, "off", body_of("off"), x_fastgate_cache="only")
    assert (answer.status, answer.headers["x-fastgate-error"]) == (504, "not_cached")


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
@pytest.mark.parametrize("first_streams", [False, True])
def test_streamed_and_whole_answers_serve_each_other(house: House, path: str, first_streams: bool) -> None:
    body = body_of(f"forms {first_streams} {path}")
    first = post(house, "one", body | {"stream": first_streams}, path)
    again = post(house, "one", body | {"stream": not first_streams}, path)
    assert (did(first), did(again)) == ("miss", "exact")
    whole, streamed = (again, first) if first_streams else (first, again)
    document = json.loads(whole.body)
    events = [json.loads(line[6:]) for line in streamed.body.split(b"\n") if line.startswith(b"data: {")]
    if path == CHAT:
        assert document["choices"][0]["message"]["content"] == "".join(
            event["choices"][0]["delta"].get("content") or "" for event in events if event["choices"]
        )
        assert not any(event.get("usage") for event in events)
        assert document["usage"]["completion_tokens"] > 0
    else:
        assert document["content"][0]["text"] == "".join(
            event["delta"].get("text", "") for event in events if event["type"] == "content_block_delta"
        )
        assert document["stop_reason"] == next(
            e["delta"]["stop_reason"] for e in events if e["type"] == "message_delta"
        )


def test_usage_is_told_to_who_asks_for_it(house: House) -> None:
    body = body_of("usage", stream=True)
    without = post(house, "one", body)
    wanting = post(house, "one", body | {"stream_options": {"include_usage": True}})
    assert (did(without), did(wanting)) == ("miss", "exact")
    assert (b'"completion_tokens"' in without.body, b'"completion_tokens"' in wanting.body) == (False, True)


def test_the_sdks_take_hits_as_they_took_the_originals(house: House) -> None:
    client = openai.OpenAI(base_url=house.openai_url, api_key=secret("one"))
    for stream in (False, True):
        said = []
        for _ in range(2):
            if stream:
                with client.chat.completions.stream(
                    model="sim/sim-small", messages=[{"role": "user", "content": "sdk stream"}]
                ) as events:
                    said.append(events.get_final_completion().model_dump())
            else:
                made = client.chat.completions.with_raw_response.create(
                    model="sim/sim-small", messages=[{"role": "user", "content": "sdk"}]
                )
                said.append(made.parse().model_dump())
        assert said[0] == said[1]
    claude = anthropic.Anthropic(base_url=house.url, api_key=secret("one"))
    messages = [
        claude.messages.create(
            model="sim/sim-small", max_tokens=20, messages=[{"role": "user", "content": "sdk"}]
        ).model_dump()
        for _ in range(2)
    ]
    assert messages[0] == messages[1]


def test_clients_say_what_they_want(house: House) -> None:
    body = body_of("wishes")
    assert post(house, "one", body, x_fastgate_cache="only").status == 504
    assert did(post(house, "one", body, x_fastgate_cache="no-store")) == "miss"
    assert did(post(house, "one", body, x_fastgate_cache_ttl="0")) == "miss"
    assert did(post(house, "one", body)) == "miss"
    assert did(post(house, "one", body, x_fastgate_cache="only")) == "exact"
    assert did(post(house, "one", body, x_fastgate_cache="no-cache, no-store")) == "bypass"
    bad = post(house, "one", body, x_fastgate_cache="maybe")
    assert bad.status == 400
    assert b"no-store, no-cache, only" in bad.body
    assert post(house, "one", body, x_fastgate_cache_ttl="soon").status == 400
    for name in ("x_fastgate_cache", "x_fastgate_cache_ttl"):
        unreadable = post(house, "one", body, **{name: "no-störe"})
        assert (unreadable.status, b"not ASCII" in unreadable.body) == (400, True)


@pytest.mark.parametrize(
    "said",
    [
        [("x-fastgate-cache", "no-store"), ("x-fastgate-cache", "no-cache")],
        [("x-fastgate-cache", "no-cache"), ("x-fastgate-cache", "no-store")],
        [("x-fastgate-cache-ttl", "0"), ("x-fastgate-cache-ttl", "600")],
        [("x-fastgate-cache-ttl", "600"), ("x-fastgate-cache-ttl", "0")],
        [("x-fastgate-cache-ttl", "600, 0")],
    ],
    ids=str,
)
def test_of_headers_that_come_again_each_counts(house: House, said: list[tuple[str, str]]) -> None:
    raw = compact(body_of(f"again {said}"))
    named = [
        ("authorization", f"Bearer {secret('one')}"),
        ("content-type", "application/json"),
        ("connection", "close"),
    ]
    answer = exchange(house.port, head(CHAT, [*named, *said], length=len(raw)) + raw)
    assert did(answer) in ("miss", "bypass")
    assert did(post(house, "one", raw)) == "miss"  # nothing was kept
    unclear = [*said, (said[0][0], "maybe"), said[-1]]
    assert exchange(house.port, head(CHAT, [*named, *unclear], length=len(raw)) + raw).status == 400


def test_who_may_not_say_is_not_heard(house: House) -> None:
    body = body_of("deaf")
    post(house, "deaf", body, x_fastgate_cache="no-store")
    assert did(post(house, "deaf", body, x_fastgate_cache="no-cache")) == "exact"


def test_answers_grow_old(house: House) -> None:
    body = body_of("old")
    assert did(post(house, "short", body)) == "miss"
    assert did(post(house, "short", body)) == "exact"
    wait_for(lambda: did(post(house, "short", body)) == "miss", 30, "the answer is too old")


def test_a_hit_has_the_pace_that_is_set(house: House) -> None:
    body = body_of("pace", stream=True)
    first = post(house, "paced", body)
    began = time.monotonic()
    again = post(house, "paced", body)
    assert did(again) == "exact"
    assert again.body == first.body
    events = first.body.count(b"data: ")
    assert time.monotonic() - began > 0.02 * (events - 1) > 0.1


def test_chance_and_tools_follow_the_settings(house: House) -> None:
    warm, tools = {"temperature": 0.7}, {"tools": [{"type": "function", "function": {"name": "f"}}]}
    for more in (warm, tools, {}):  # nothing said is 1
        for _ in range(2):
            assert did(post(house, "one", body_of("cold", model="cold", **more))) == "bypass"
    assert did(post(house, "one", body_of("cold", model="cold", temperature=0.5))) == "miss"
    assert did(post(house, "one", body_of("cold", model="cold", temperature=0.5))) == "exact"


def test_hits_cost_nothing_and_need_no_money_left(house: House) -> None:
    body = body_of("poor")
    assert did(post(house, "poor", body)) == "miss"
    while post(house, "poor", body_of(f"poor {time.monotonic_ns()}")).status != 402:
        pass
    assert did(post(house, "poor", body)) == "exact"


def test_hits_count_as_requests(house: House) -> None:
    body = body_of("few")
    assert [did(post(house, "few", body)) for _ in range(3)] == ["miss", "exact", "exact"]
    refused = post(house, "few", body)
    assert (refused.status, refused.headers["x-fastgate-error"]) == (429, "rate_limited")


def test_the_ledger_has_what_was_saved(house: House) -> None:
    body = body_of("ledger", user="ledger-user")
    first = post(house, "other", body)
    for _ in range(3):
        post(house, "other", body)
    house.settled()
    rows = house.requests(key="other", user="ledger-user")
    assert [row["cache"] for row in rows] == ["exact", "exact", "exact", "miss"]
    cost = first.headers["x-fastgate-cost-usd"]
    assert [row["cost_usd"] for row in rows] == ["0.000000000"] * 3 + [cost]
    assert [row["saved_usd"] for row in rows] == [cost] * 3 + ["0.000000000"]
    total = house.admin("spend", by="cache", where="key=other")["groups"]
    assert next(group["requests"] for group in total if group["cache"] == "exact") == 3


def test_the_ledger_is_the_bill(house: House) -> None:
    house.settled()
    ledger, bill = house.admin("spend")["total"], house.bill()["total"]
    assert abs(Decimal(ledger["cost_usd"]) - Decimal(bill["usd"])) <= Decimal("1e-9") * ledger["requests"]
    assert Decimal(ledger["saved_usd"]) > 0


@pytest.mark.parametrize("script", [{"fail": "500"}, {"fail": "429"}, {"fail": "cut"}], ids=str)
@pytest.mark.parametrize("stream", [False, True])
def test_no_failure_is_kept(house: House, script: dict[str, str], stream: bool) -> None:
    body = body_of(f"sim: {json.dumps(script)}", stream=stream)
    for _ in range(2):
        answer = post(house, "one", body)
        assert answer.headers.get("x-fastgate-cache") != "exact"


def test_who_wants_younger_answers_gets_none_that_is_older(house: House) -> None:
    body = body_of("how old may it be?")
    assert did(post(house, "blue-one", body)) == "miss"
    assert did(post(house, "blue-other", body)) == "exact"
    wait_for(lambda: did(post(house, "blue-brief", body)) == "miss", 5, "it is older than a second")
    assert did(post(house, "blue-other", body)) == "exact"


@pytest.mark.parametrize("url", ["https://example.com/a.png", "data:image/png;base64,iVBORw0KGgo="])
def test_an_image_somewhere_else_may_be_another_one_by_then(house: House, url: str) -> None:
    content = [{"type": "text", "text": "what is it?"}, {"type": "image_url", "image_url": {"url": url}}]
    body = {**body_of(""), "messages": [{"role": "user", "content": content}]}
    shown = url.startswith("data:")
    assert [did(post(house, "one", body)) for _ in range(2)] == (["miss", "exact"] if shown else ["bypass"] * 2)


@pytest.mark.parametrize(
    "more",
    [
        {
            "messages": [
                {"role": "user", "content": [{"type": "audio_url", "audio_url": {"url": "https://example.com/a"}}]}
            ]
        },
        {"tools": [{"type": "function", "function": {"name": "f"}}, {"google_search": {}}]},
        {"enable_search": True},
    ],
    ids=str,
)
def test_what_is_looked_up_elsewhere_is_asked_for_anew(house: House, more: dict[str, Any]) -> None:
    assert [did(post(house, "one", body_of("elsewhere", **more))) for _ in range(2)] == ["bypass"] * 2


def test_any_server_may_answer_by_who_asks(house: House) -> None:
    """What only files a request for OpenAI is a part of the question for servers that are just like it."""
    for model, second in (("sim/sim-small", "exact"), ("like/sim-small", "miss")):
        body = {**body_of("who am I?"), "model": model}
        assert did(post(house, "one", {**body, "user": "ann"})) == "miss"
        assert did(post(house, "one", {**body, "user": "bob"})) == second


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
def test_an_answer_that_is_nested_without_end_is_passed_on_and_not_kept(house: House, path: str) -> None:
    answer = '{"usage":{"prompt_tokens":1,"completion_tokens":1},"x":' + "[" * 5000 + "]" * 5000 + "}"
    body = body_of(f"sim: {json.dumps({'status': 200, 'body': answer})}")
    for _ in range(2):
        given = post(house, "one", body, path)
        assert (did(given), given.body) == ("miss", answer.encode())
