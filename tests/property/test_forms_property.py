"""Any answer, into its other form and back; any stream, however its texts were cut and its events written."""

import copy
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fastgate.dialects import sse
from fastgate.dialects.anthropic import ANTHROPIC
from fastgate.dialects.forms import PIECE
from fastgate.dialects.openai_chat import OPENAI_CHAT
from tests.support.form_draws import CHAT_TEXTS, MESSAGES, completions

Object = dict[str, Any]


def chat_events(body: Object, include_usage: bool) -> list[bytes]:
    told = OPENAI_CHAT.events_of(json.dumps(body).encode(), include_usage=include_usage)
    assert told is not None
    return told


def message_events(body: Object) -> list[bytes]:
    told = ANTHROPIC.events_of(json.dumps(body).encode(), include_usage=False)
    assert told is not None
    return told


def whole(answer: bytes | None) -> Any:
    assert answer is not None
    return json.loads(answer)


@given(completions(), st.booleans())
def test_chats_there_and_back(body: Object, include_usage: bool) -> None:
    usage = None if include_usage else json.dumps(body["usage"]).encode()
    assert whole(OPENAI_CHAT.answer_of(b"".join(chat_events(body, include_usage)), usage=usage)) == body


@given(completions())
def test_usage_is_put_in_and_taken_out(body: Object) -> None:
    usage = json.dumps(body["usage"]).encode()
    without = b"".join(chat_events(body, False))
    stated = OPENAI_CHAT.same_form(without, include_usage=True, usage=usage)
    assert stated is not None
    assert whole(OPENAI_CHAT.answer_of(stated)) == body
    assert OPENAI_CHAT.same_form(stated, include_usage=False) == without


@given(MESSAGES)
def test_messages_there_and_back(body: Object) -> None:
    assert whole(ANTHROPIC.answer_of(b"".join(message_events(body)))) == body


def grown(event: Object) -> tuple[Object, str] | None:
    """Where an event has a text that could as well have come in two events, and in nothing else."""
    if "choices" in event:
        if not event["choices"] or event["choices"][0].get("logprobs"):
            return None
        holder = event["choices"][0]["delta"]
    else:
        holder = event.get("delta", {})
    for fragment in holder.get("tool_calls") or []:
        holder = fragment.get("function") or fragment["custom"]
    holder = holder.get("function_call") or holder
    if "role" in holder or "name" in holder or holder.get("type") == "compaction_delta":
        return None
    for name in (*CHAT_TEXTS, "arguments", "input", "text", "thinking", "partial_json"):
        if isinstance(holder.get(name), str):
            return holder, name
    return None


def written(draw: st.DataObject, told: list[bytes]) -> bytes:
    """Events in one of the many ways to write them, with texts cut anywhere."""
    spaced: Any = draw.draw(st.sampled_from([(",", ":"), (", ", " : "), (" ,\n", "\t:")]))
    stream = draw.draw(st.sampled_from([b"", b"\xef\xbb\xbf", b": a comment\n\n"]))
    for name, data in (each for event in told for each in sse.split(event)):
        if data == b"[DONE]":
            stream += sse.event(data)
            continue
        event = json.loads(data)
        parts = [event]
        if (place := grown(event)) is not None:
            text = place[0][place[1]]
            at = draw.draw(st.integers(0, len(text)))
            parts = [event, copy.deepcopy(event)]
            for part, piece in zip(parts, (text[:at], text[at:]), strict=True):
                holder, key = grown(part) or ({}, "")
                holder[key] = piece
        end = draw.draw(st.sampled_from([b"\n", b"\r\n", b"\r"]))
        for part in parts:
            lines = [b"data: " + line for line in json.dumps(part, separators=spaced).encode().split(b"\n")]
            if name:
                lines.insert(draw.draw(st.sampled_from([0, len(lines)])), b"event:" + name)
            stream += end.join([*lines, b"", b""])
    return stream


@given(completions(), st.data())
def test_chats_that_were_cut_anywhere(body: Object, draw: st.DataObject) -> None:
    assert whole(OPENAI_CHAT.answer_of(written(draw, chat_events(body, True)))) == body


@given(MESSAGES, st.data())
def test_messages_that_were_cut_anywhere(body: Object, draw: st.DataObject) -> None:
    assert whole(ANTHROPIC.answer_of(written(draw, message_events(body)))) == body


@given(completions() | MESSAGES)
def test_pieces_are_bounded(body: Object) -> None:
    told = chat_events(body, True) if "choices" in body else message_events(body)
    for event in (json.loads(data) for each in told for _, data in sse.split(each) if data != b"[DONE]"):
        if (place := grown(event)) is not None:
            assert len(place[0][place[1]]) <= PIECE
