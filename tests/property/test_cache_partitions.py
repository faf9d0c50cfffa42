"""Partitions of the semantic cache: questions share one where they differ in the last turn's text, and nowhere else."""

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastgate.cache.fingerprint import Way, heading
from fastgate.cache.partition import partition
from fastgate.dialects.openai_chat import OPENAI_CHAT
from fastgate.dialects.turns import last_turn
from tests.support.semantic import STRANGER, TENANT

TEXTS = st.text(min_size=1, max_size=60)
BODY: dict[str, Any] = {
    "model": "smart",
    "messages": [
        {"role": "system", "content": "You are terse."},
        {"role": "user", "content": "What is the capital of France?"},
        {"role": "assistant", "content": "Paris."},
        {"role": "user", "content": "And of Spain?"},
    ],
    "temperature": 0.2,
    "max_tokens": 100,
    "response_format": {"type": "text"},
}


def with_text(body: dict[str, Any], text: str, *, parts: bool = False) -> bytes:
    changed = copy.deepcopy(body)
    changed["messages"][-1]["content"] = [{"type": "text", "text": text}] if parts else text
    return json.dumps(changed).encode()


def partition_of(body: bytes, tenant: bytes = TENANT, model: str = "m", path: str = "/v1/chat/completions") -> bytes:
    turn = last_turn(body)
    assert turn is not None
    common = heading(Way(tenant, "openai-chat", "sim", "http://127.0.0.1:9000/v1", model), (path, None), 100)
    found = partition(common, body, OPENAI_CHAT.unasked, text=turn[1:])
    assert found is not None
    return found


@given(TEXTS, TEXTS, st.booleans())
def test_the_last_text_makes_no_difference_and_is_what_it_is(one: str, other: str, parts: bool) -> None:
    first, second = with_text(BODY, one, parts=parts), with_text(BODY, other, parts=parts)
    turn = last_turn(first)
    assert turn is not None
    assert turn.text == one
    assert json.loads(first[turn.start : turn.end]) == one
    assert len(partition_of(first)) == 16
    assert partition_of(first) == partition_of(second)


@pytest.mark.parametrize(
    "change",
    [
        lambda body: body["messages"][0].update(content="You are verbose."),
        lambda body: body["messages"][1].update(content="What is the capital of Italy?"),
        lambda body: body["messages"][2].update(content="Paris"),
        lambda body: body["messages"].pop(0),
        lambda body: body["messages"].insert(0, body["messages"][3]),
        lambda body: body["messages"][3].update(name="someone"),
        lambda body: body.update(temperature=0.3),
        lambda body: body.update(max_tokens=99),
        lambda body: body.update(tools=[{"type": "function", "function": {"name": "f"}}]),
        lambda body: body.update(response_format={"type": "json_object"}),
        lambda body: body.update(stop=["."]),
        lambda body: body.update(something_new=True),
    ],
)
def test_all_else_makes_another_one(change: Any) -> None:
    changed = copy.deepcopy(BODY)
    change(changed)
    assert partition_of(json.dumps(changed).encode()) != partition_of(json.dumps(BODY).encode())


def test_so_do_who_asks_and_who_is_asked() -> None:
    body = json.dumps(BODY).encode()
    found = {
        partition_of(body), partition_of(body, tenant=STRANGER), partition_of(body, model="n"),
        partition_of(body, path="/v1/other"), partition_of(with_text(BODY, "And of Spain?", parts=True)),
    }  # fmt: skip
    assert len(found) == 5


def test_what_does_not_bear_on_the_answer_makes_none() -> None:
    other = {**BODY, "model": "another name", "user": "somebody", "stream": True}
    spaced = json.dumps(dict(reversed(list(other.items()))), indent=3).encode()
    assert partition_of(spaced) == partition_of(json.dumps(BODY).encode())


@pytest.mark.parametrize(
    "last",
    [
        {"role": "assistant", "content": "Paris."},
        {"role": "tool", "content": "42", "tool_call_id": "x"},
        {"role": "user", "content": ""},
        {"role": "user", "content": None},
        {"role": "user"},
        {"role": "user", "content": []},
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:"}}]},
        {"role": "user", "content": [{"type": "text"}]},
        {"role": "user", "content": ["text"]},
        "user",
        [],
        7,
    ],
)
def test_what_is_more_or_other_than_a_users_text_has_no_part_in_it(last: Any) -> None:
    assert last_turn(json.dumps({**BODY, "messages": [*BODY["messages"], last]}).encode()) is None


@pytest.mark.parametrize("body", [b"{}", b'{"messages": []}', b'{"messages": {}}', b"[", b'{"messages": null}'])
def test_what_is_no_conversation_has_no_last_turn(body: bytes) -> None:
    assert last_turn(body) is None


@given(
    st.lists(
        st.sampled_from([{"role": "user", "content": "same"}, {"role": "user", "content": "}]"}]),
        min_size=1,
        max_size=4,
    )
)
def test_the_last_one_is_meant_where_several_are_alike(messages: list[dict[str, str]]) -> None:
    body = json.dumps({"messages": messages}, indent=1).encode()
    turn = last_turn(body)
    assert turn is not None
    assert turn.text == messages[-1]["content"]
    assert b"role" not in body[turn.end :]
