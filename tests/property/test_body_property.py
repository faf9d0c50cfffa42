"""Any JSON, however it is spelt: it is taken, read right, and leaves the gateway unchanged but for the splices."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fastgate._core.body import BodyError, Fields, scan, splice
from fastgate.dialects.anthropic import ANTHROPIC
from fastgate.dialects.base import Dialect
from fastgate.dialects.openai_chat import OPENAI_CHAT
from tests.fuzz import reference

FIELDS = Fields(["a", "a.b", "*", "*.a"], unique=False)
SPACES = st.text(alphabet=" \t\r\n", max_size=3)
TEXTS = st.text(max_size=40) | st.text(alphabet='abc"\\/\n\té模😀\x7f', max_size=80)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
DOCUMENTS = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("ab") | TEXTS, inner, max_size=4),
    max_leaves=20,
)


@st.composite
def spelt(draw: st.DrawFn, value: Any) -> str:
    """A JSON text of ``value`` with random space, and random escapes in its strings."""
    around = draw(SPACES), draw(SPACES)
    if isinstance(value, dict):
        members = draw(st.permutations(list(value.items())))
        text = (
            "{" + ",".join(draw(spelt(name)) + ":" + draw(spelt(item)) for name, item in members) + draw(SPACES) + "}"
        )
    elif isinstance(value, list):
        text = "[" + ",".join(draw(spelt(item)) for item in value) + draw(SPACES) + "]"
    else:
        text = json.dumps(value, ensure_ascii=draw(st.booleans()))
        if isinstance(value, str) and value.isascii() and value.isalnum() and draw(st.integers(0, 9)) == 0:
            at = draw(st.integers(0, len(value) - 1))
            text = f'"{value[:at]}\\u{ord(value[at]):04x}{value[at + 1 :]}"'
    return around[0] + text + around[1]


def taken(data: bytes) -> bool:
    try:
        scan(data, FIELDS)
    except BodyError:
        return False
    return True


@given(st.data())
def test_every_spelling_is_taken_and_read(data: st.DataObject) -> None:
    document = data.draw(DOCUMENTS)
    text = data.draw(spelt(document)).encode("utf-8")
    found = scan(text, FIELDS)
    if isinstance(document, dict) and "a" in document:
        raw = found.raw(0)
        assert raw is not None
        assert json.loads(raw) == document["a"]
        if isinstance(document["a"], str):
            assert found.text(0) == document["a"]
        elif isinstance(document["a"], bool):
            assert found.boolean(0) is document["a"]
        elif isinstance(document["a"], int) and -(2**63) <= document["a"] < 2**63:
            assert found.integer(0) == document["a"]
    else:
        assert found.kind(0) == 0
    if isinstance(document, list):
        assert found.count(2) == len(document)


@given(DOCUMENTS, st.integers(0, 10_000), st.binary(max_size=3), st.integers(0, 3))
@example([1], 1, b"", 1)
def test_mutated_json_is_taken_where_it_is_still_json(document: Any, at: int, put: bytes, cut: int) -> None:
    text = json.dumps(document, ensure_ascii=False).encode()
    at %= len(text) + 1
    text = text[:at] + put + text[at + cut :]
    assert taken(text) == reference.valid(text)


@given(st.text(alphabet='{}[]",:\\ue1.-+0 tfn\n', max_size=30))
def test_text_of_the_grammars_characters(text: str) -> None:
    assert taken(text.encode()) == reference.valid(text.encode())


@given(st.binary(max_size=12))
def test_strings_of_any_bytes(text: bytes) -> None:
    body = b'{"a":"' + text + b'"}'
    valid = reference.valid(body)
    assert taken(body) == valid
    try:
        msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        # The one difference: half a surrogate pair, written as an escape.
        assert not valid or b"\\u" in text
    else:
        assert valid


@given(DOCUMENTS)
def test_string_bytes(document: Any) -> None:
    plain = reference.decode(json.dumps(document).encode())
    numbers = sum(len(text) for text in _numbers(document))
    assert scan(json.dumps(document).encode(), FIELDS).string_bytes == reference.string_bytes(plain) - numbers


def _numbers(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for item in value.values() for text in _numbers(item)]
    if isinstance(value, list):
        return [text for item in value for text in _numbers(item)]
    return [] if isinstance(value, bool) or not isinstance(value, int | float) else [json.dumps(value)]


@st.composite
def requests(draw: st.DrawFn) -> dict[str, Any]:
    """A request with any members beside those that matter."""
    body = draw(st.dictionaries(TEXTS, DOCUMENTS, max_size=4))
    for name in ("model", "stream", "stream_options", "max_tokens", "max_completion_tokens", "n"):
        body.pop(name, None)
    body["model"] = draw(st.text(min_size=1, max_size=20))
    body["messages"] = [{"role": "user", "content": draw(DOCUMENTS)}]
    flags = st.booleans() | st.none()
    caps = st.integers(0, 2**40) | st.none()
    optional = {
        "stream": flags,
        "stream_options": st.none() | st.fixed_dictionaries({}, optional={"include_usage": flags, "x": TEXTS}),
        "max_tokens": caps,
        "max_completion_tokens": caps,
        "n": st.integers(1, 8),
    }
    return body | draw(st.fixed_dictionaries({}, optional=optional))


@pytest.mark.parametrize("dialect", [OPENAI_CHAT, ANTHROPIC], ids=lambda dialect: dialect.name)
@given(st.data())
def test_only_the_splices_change(dialect: Dialect, data: st.DataObject) -> None:
    document = data.draw(requests())
    body = data.draw(spelt(document)).encode()
    found, request = dialect.parse(body)
    model = data.draw(st.none() | TEXTS)
    cap = data.draw(st.none() | st.integers(0, 10**6))
    edits = dialect.edits(found, request, model=model, output_cap=cap)
    sent = splice(body, edits)
    assert unchanged(body, sent, edits)
    assert json.loads(sent) == wanted(dialect, document, model, cap)
    if model is None and cap is None and not dialect.hides_usage(request):
        assert sent == body


def unchanged(body: bytes, sent: bytes, edits: list[tuple[int, int, bytes]]) -> bool:
    """Whether every byte outside of the edits is there, in its order."""
    at = shift = 0
    for start, end, text in edits:
        if sent[at + shift : start + shift] != body[at:start]:
            return False
        at, shift = end, shift + len(text) - (end - start)
    return sent[at + shift :] == body[at:]


def wanted(dialect: Dialect, document: dict[str, Any], model: str | None, cap: int | None) -> dict[str, Any]:
    """What the provider should read."""
    result = dict(document)
    if model is not None:
        result["model"] = model
    names = ["max_completion_tokens", "max_tokens"] if dialect is OPENAI_CHAT else ["max_tokens"]
    if cap is not None:
        given_caps = [name for name in names if result.get(name) is not None] or names[:1]
        result |= {name: cap if result.get(name) is None else min(result[name], cap) for name in given_caps}
    if dialect is OPENAI_CHAT and result.get("stream"):
        result["stream_options"] = {**(result.get("stream_options") or {}), "include_usage": True}
    return result
