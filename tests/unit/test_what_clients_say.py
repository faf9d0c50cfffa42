"""What is kept of what clients say about themselves."""

import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastgate.gateway.attribution import (
    LONGEST_TAGS,
    LONGEST_VALUE,
    MOST_TAGS,
    NOTHING_SAID,
    Attributes,
    attributes_of,
    merged,
)
from fastgate.wire.request import ChatRequest


def test_a_request_that_says_nothing_costs_nothing() -> None:
    assert attributes_of({"content-type": "application/json"}, ChatRequest("m")) is NOTHING_SAID


def test_the_contracts_headers_win_over_the_body() -> None:
    headers = {
        "x-fastgate-user": "ann",
        "x-fastgate-session": "s1",
        "x-fastgate-operation": "op-7",
        "x-fastgate-tags": "feature=search, job=42",
    }
    request = ChatRequest("m", user="bob", session="s2", metadata=b'{"feature":"chat"}')
    said = attributes_of(headers, request)
    assert said == Attributes("ann", "s1", "op-7", (("feature", "search"), ("job", "42")))


def test_the_body_speaks_where_the_headers_are_silent() -> None:
    request = ChatRequest("m", user="bob", session="s2", metadata=b'{"feature":"chat","n":7,"deep":{"a":1}}')
    assert attributes_of({}, request) == Attributes("bob", "s2", "", (("feature", "chat"),))


@pytest.mark.parametrize("name", ["x-claude-code-session-id", "session-id", "x-session-id"])
def test_coding_agents_name_their_session(name: str) -> None:
    assert attributes_of({name: "ses_1"}, ChatRequest("m", session="body")).session == "ses_1"


@pytest.mark.parametrize("name", ["x-claude-code-agent-id", "x-openai-subagent"])
def test_a_sub_agent_is_a_tag(name: str) -> None:
    said = attributes_of({name: "reviewer", "x-fastgate-tags": "agent=fake,a=1"}, None)
    assert said.tags == (("a", "1"), ("agent", "reviewer"))


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("", ""),
        (",,", ""),
        ("a=1,a=2", "a=1,fastgate.dropped=1"),
        ("a", "fastgate.dropped=1"),
        ("=1", "fastgate.dropped=1"),
        ("a=", "fastgate.dropped=1"),
        ("a b=1", "fastgate.dropped=1"),
        ("fastgate.dropped=9", "fastgate.dropped=1"),
        ("a=x=y", "a=x=y"),
        ("a=x\x00y\u202e", "a=x y"),
        (",".join(f"t{n:02}=1" for n in range(MOST_TAGS + 3)), None),
    ],
)
def test_tags_that_cannot_be_kept_are_counted(said: str, kept: str | None) -> None:
    text = merged({}, attributes_of({"x-fastgate-tags": said}, None).tags)
    if kept is None:
        assert "fastgate.dropped=3" in text
        assert text.count("=") == MOST_TAGS + 1
    else:
        assert text == kept


def test_a_keys_own_tags_cannot_be_replaced() -> None:
    assert merged({"product": "ide"}, (("product", "other"), ("a", "1"))) == "a=1,product=ide"


def test_metadata_without_measure_is_not_read() -> None:
    raw = json.dumps({f"k{n}": "v" for n in range(5_000)}).encode()
    assert attributes_of({}, ChatRequest("m", metadata=raw)).tags == (("fastgate.dropped", "1"),)


TEXT = st.text(max_size=600)


@given(
    headers=st.dictionaries(
        st.sampled_from(["x-fastgate-user", "x-fastgate-session", "x-fastgate-operation", "x-fastgate-tags"]), TEXT
    ),
    agent=TEXT,
    metadata=st.dictionaries(TEXT, TEXT, max_size=30),
)
def test_whatever_is_said_fits_a_journal_and_a_terminal(
    headers: dict[str, str], agent: str, metadata: dict[str, str]
) -> None:
    raw = json.dumps(metadata).encode()
    said = attributes_of({**headers, "x-claude-code-agent-id": agent}, ChatRequest("m", metadata=raw))
    for text in said[:3]:
        assert len(text.encode()) <= LONGEST_VALUE
        assert text.isprintable()
        assert "," not in text
    tags = merged({}, said.tags)
    assert len(tags.encode()) <= LONGEST_TAGS + LONGEST_VALUE + 64
    assert tags.isprintable()
    assert all(part.partition("=")[1:] for part in tags.split(",") if tags)


def test_what_is_said_at_length_is_not_kept() -> None:
    """Whoever has a key could fill a worker's memory otherwise, with requests that cost nothing."""
    tracemalloc.start()
    try:
        for number in range(200):
            long = f"{number:01000000}"
            said = attributes_of({"x-fastgate-user": long, "x-fastgate-tags": f"job={long}"}, None)
            assert (len(said.user), said.tags) == (LONGEST_VALUE, (("job", long[:LONGEST_VALUE]),))
        assert tracemalloc.get_traced_memory()[0] < 4_000_000
    finally:
        tracemalloc.stop()
