"""Who asks the same gets the same answer, and nobody else: over bodies, headers, scopes, ways and processes."""

import json
import subprocess
import sys
from copy import deepcopy
from typing import Any, Final

from hypothesis import given
from hypothesis import strategies as st

from fastgate.cache.fingerprint import Way, fingerprint, heading
from fastgate.dialects.anthropic import ANTHROPIC
from fastgate.dialects.openai_chat import OPENAI_CHAT

DIALECTS: Final = (OPENAI_CHAT, ANTHROPIC)
TEXTS = st.text(max_size=12)
NUMBERS = st.integers(-(10**6), 10**6) | st.floats(allow_nan=False, allow_infinity=False, width=32)
LEAVES = st.none() | st.booleans() | NUMBERS | TEXTS
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3), max_leaves=6
)
ASKING = (
    "messages", "system", "max_tokens", "max_completion_tokens", "temperature", "top_p", "top_k", "seed", "stop",
    "stop_sequences", "tools", "tool_choice", "response_format", "n", "logprobs", "top_logprobs", "logit_bias",
    "presence_penalty", "frequency_penalty", "reasoning_effort", "thinking", "verbosity", "modalities", "audio",
    "prediction", "service_tier", "web_search_options", "functions", "function_call", "parallel_tool_calls", "store",
    "unheard_of",
)  # fmt: skip
"""Members that change an answer, or may: what is not known belongs to the question."""
BODIES = st.dictionaries(st.sampled_from(ASKING), VALUES, min_size=1, max_size=5)
WAY = (b"t" * 16, "openai-chat", "sim", "http://127.0.0.1:9000/v1", "sim-small")
SAID = ("/chat/completions", "", None)


def asked(
    body: Any, *, way: Any = WAY, said: Any = SAID, cap: int | None = None, raw: bytes | None = None
) -> bytes | None:
    text = raw if raw is not None else json.dumps(body, separators=(",", ":")).encode()
    return fingerprint(heading(Way(*way), said, cap), text, OPENAI_CHAT.unasked)


def same(one: Any, other: Any) -> bool:
    """Whether two values are the same JSON to the letter: 1, 1.0 and true are three, and -0.0 is not 0.0."""
    return json.dumps(one) == json.dumps(other)


@given(BODIES, st.sampled_from(ASKING), VALUES)
def test_another_member_is_another_question(body: dict[str, Any], name: str, value: Any) -> None:
    other = {**body, name: value}
    if name in body and same(body[name], value):
        assert asked(body) == asked(other)
    else:
        assert asked(body) != asked(other)


@given(BODIES, st.data())
def test_something_else_anywhere_inside_is_another_question(body: dict[str, Any], data: st.DataObject) -> None:
    other = deepcopy(body)
    holder: Any = other
    at: Any = data.draw(st.sampled_from(sorted(other)))
    while isinstance(holder[at], dict | list) and holder[at] and data.draw(st.booleans()):
        holder = holder[at]
        at = data.draw(st.sampled_from(sorted(holder) if isinstance(holder, dict) else range(len(holder))))
    fresh = data.draw(VALUES)
    if same(holder[at], fresh):
        return
    holder[at] = fresh
    assert asked(body) != asked(other)


@given(BODIES, st.randoms(), st.booleans(), st.sampled_from([None, 1, 4]))
def test_how_it_is_written_is_none(body: dict[str, Any], chance: Any, ascii_only: bool, indent: int | None) -> None:
    names = list(body)
    chance.shuffle(names)
    other = json.dumps({name: body[name] for name in names}, ensure_ascii=ascii_only, indent=indent)
    assert asked(body) == asked(None, raw=other.encode("utf-8", "surrogatepass")) is not None


@given(BODIES, st.dictionaries(st.sampled_from(OPENAI_CHAT.unasked), LEAVES, max_size=4))
def test_who_asks_and_in_which_form_is_none(body: dict[str, Any], beside: dict[str, Any]) -> None:
    assert asked(body) == asked({**beside, **body, **beside})


ELSEWHERE = st.tuples(
    st.binary(min_size=16, max_size=16), st.sampled_from([each.name for each in DIALECTS]), TEXTS, TEXTS, TEXTS
)
TOLD = st.tuples(TEXTS, TEXTS, st.none() | TEXTS)


@given(ELSEWHERE, ELSEWHERE, TOLD, TOLD, st.none() | st.integers(1, 99), st.none() | st.integers(1, 99))
def test_another_tenant_way_header_or_cap_is_another_question(
    way: Any, other_way: Any, said: Any, other_said: Any, cap: int | None, other_cap: int | None
) -> None:
    one = asked({}, way=way, said=said, cap=cap)
    other = asked({}, way=other_way, said=other_said, cap=other_cap)
    assert (one == other) == ((way, said, cap) == (other_way, other_said, other_cap))


def test_what_is_left_out_cannot_be_what_is_asked() -> None:
    for dialect in DIALECTS:
        assert not set(dialect.unasked) & set(ASKING)
        assert {"model", "stream"} <= set(dialect.unasked)
        assert set(dialect.formal) <= set(dialect.unasked)


def test_another_process_asks_the_same() -> None:
    body = {"messages": [{"role": "user", "content": "ünï ☃"}], "temperature": 0.3}
    program = (
        "import json, sys; from tests.property.test_cache_questions import asked;"
        "sys.stdout.write(asked(json.load(sys.stdin)).hex())"
    )
    for seed in ("1", "2"):
        told = subprocess.run(
            [sys.executable, "-c", program],
            input=json.dumps(body),
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        )
        found = asked(body)
        assert found is not None
        assert told.stdout == found.hex()
