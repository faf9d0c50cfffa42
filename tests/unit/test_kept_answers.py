"""Which answers may be kept: whole ones that say so, of requests that show all that they ask about."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from fastgate._core.events import EventScanner
from fastgate._core.slab import Slab, create_slab
from fastgate.dialects.anthropic import ANTHROPIC
from fastgate.dialects.base import Dialect
from fastgate.dialects.images import has_pointers
from fastgate.dialects.openai_chat import OPENAI_CHAT
from fastgate.dialects.openai_embeddings import OPENAI_EMBEDDINGS
from fastgate.dialects.shown import shows_all
from fastgate.dialects.turns import last_turn
from fastgate.gateway.flights import Flights
from fastgate.wire.request import ChatRequest

DONE = b"data: [DONE]\n\n"
STOPPED = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


def chunk(*choices: dict[str, Any], **more: Any) -> bytes:
    return b"data: " + json.dumps({"id": "c", "choices": choices, "usage": USAGE, **more}).encode() + b"\n\n"


def said(text: str, index: int = 0) -> dict[str, Any]:
    return {"index": index, "delta": {"content": text}, "finish_reason": None}


def ends(reason: str, index: int = 0) -> dict[str, Any]:
    return {"index": index, "delta": {}, "finish_reason": reason}


def delta(**delta: Any) -> bytes:
    event = {"type": "message_delta", "delta": delta, "usage": {"output_tokens": 2}}
    return b"event: message_delta\ndata: " + json.dumps(event).encode() + b"\n\n"


def complete(dialect: Dialect, events: bytes, n: int = 1) -> bool:
    scanner = EventScanner(dialect.table)
    scanner.feed(events)
    scanner.finish()
    return dialect.is_complete(scanner, ChatRequest(model="m", stream=True, n=n))


@pytest.mark.parametrize("reason", ["stop", "length", "tool_calls"])
def test_a_stream_that_says_why_and_that_it_is_done_is_complete(reason: str) -> None:
    assert complete(OPENAI_CHAT, chunk(said("a")) + chunk(ends(reason)) + DONE)
    both = chunk(said("a")) + chunk(said("b", 1)) + chunk(ends(reason, 1)) + chunk(ends("stop"))
    assert complete(OPENAI_CHAT, both + DONE, n=2)
    assert complete(ANTHROPIC, delta(stop_reason="end_turn") + STOPPED)


@pytest.mark.parametrize(
    "events",
    [
        chunk(said("a")),
        chunk(said("a")) + DONE,
        chunk(said("a")) + chunk(ends("stop")),
        chunk(said("a")) + chunk(ends("error")) + DONE,
        chunk(said("a")) + chunk(ends("content_filter")) + DONE,
        chunk(said("a"), error={"message": "no"}) + chunk(ends("stop")) + DONE,
        chunk(said("a")) + b"data: {torn\n\n" + chunk(ends("stop")) + DONE,
        chunk(said("a")) + b'data: {"id":',
    ],
)
def test_a_stream_that_may_be_a_part_or_went_wrong_is_not(events: bytes) -> None:
    assert not complete(OPENAI_CHAT, events)


def test_nor_is_one_of_whose_choices_one_is_cut() -> None:
    assert not complete(OPENAI_CHAT, chunk(said("a"), said("b", 1)) + chunk(ends("stop")) + DONE, n=2)


@pytest.mark.parametrize("events", [delta(stop_reason="end_turn"), STOPPED, delta(stop_reason=None) + STOPPED])
def test_nor_is_a_message_without_its_end(events: bytes) -> None:
    assert not complete(ANTHROPIC, events)


CHAT: dict[str, Any] = {"choices": [{"finish_reason": "stop", "message": {"content": "a"}}], "usage": USAGE}
MESSAGE: dict[str, Any] = {"type": "message", "stop_reason": "end_turn", "content": []}
VECTORS: dict[str, Any] = {"data": [{"embedding": [0.5]}], "usage": USAGE}


@pytest.mark.parametrize(
    ("dialect", "answer"), [(OPENAI_CHAT, CHAT), (ANTHROPIC, MESSAGE), (OPENAI_EMBEDDINGS, VECTORS)]
)
def test_whole_answers_are_answers(dialect: Dialect, answer: dict[str, Any]) -> None:
    assert dialect.is_answer(json.dumps(answer).encode())
    assert dialect.is_answer(json.dumps({**answer, "unheard_of": 1}).encode())


@pytest.mark.parametrize(
    ("dialect", "answer"),
    [
        (OPENAI_CHAT, {**CHAT, "error": {"message": "no"}}),
        (OPENAI_CHAT, {**CHAT, "choices": []}),
        (OPENAI_CHAT, {**CHAT, "choices": [{"finish_reason": None}]}),
        (OPENAI_CHAT, {**CHAT, "choices": [*CHAT["choices"], {"finish_reason": "error"}]}),
        (OPENAI_CHAT, {**CHAT, "choices": [{"finish_reason": "content_filter"}]}),
        (OPENAI_CHAT, {"usage": USAGE}),
        (OPENAI_CHAT, []),
        (ANTHROPIC, {**MESSAGE, "stop_reason": None}),
        (ANTHROPIC, {"type": "error", "error": {"type": "overloaded_error"}}),
        (OPENAI_EMBEDDINGS, {**VECTORS, "data": []}),
        (OPENAI_EMBEDDINGS, {**VECTORS, "error": {"message": "no"}}),
    ],
)
def test_errors_and_parts_are_not(dialect: Dialect, answer: Any) -> None:
    assert not dialect.is_answer(json.dumps(answer).encode())


@pytest.mark.parametrize("dialect", [OPENAI_CHAT, ANTHROPIC, OPENAI_EMBEDDINGS])
@pytest.mark.parametrize("answer", [b"", b"\xff", b"{", b'{"error":' + b"[" * 5000 + b"]" * 5000 + b"}"], ids=len)
def test_what_cannot_be_read_is_none(dialect: Dialect, answer: bytes) -> None:
    assert not dialect.is_answer(answer)


def asking(*parts: Any) -> bytes:
    return json.dumps({"messages": [{"role": "user", "content": list(parts)}]}).encode()


SHOWN: list[Any] = [
    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
    {"type": "input_image", "image_url": "DATA:image/png;base64,AAAA"},
    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
]
POINTED: list[Any] = [
    {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
    {"type": "image_url", "image_url": "https://example.com/a.png"},
    {"type": "image_url", "image_url": None},
    {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
    {"type": "image", "source": {"type": "file", "file_id": "file_1"}},
    {"type": "image"},
    {"type": "tool_result", "content": [{"type": "image", "source": {"type": "url", "url": "x"}}]},
]


def test_images_are_seen_or_pointed_at() -> None:
    assert not has_pointers(asking(*SHOWN))
    for part in POINTED:
        assert has_pointers(asking(*SHOWN, part)), part
    assert has_pointers(b"{")
    assert has_pointers(b"[" * 5000 + b"]" * 5000)


FUNCTION = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
PLAIN: list[Any] = [
    {"type": "text", "text": "a"},
    {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}},
    {"type": "input_text", "text": "a"},
    {"type": "refusal", "refusal": "no"},
    {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
    {"type": "input_audio", "input_audio": {"data": "AA/+", "format": "wav"}},
    {"type": "input_audio", "input_audio": {"data": "data:;base64,AAAA", "format": "wav"}},
    "a",
]
ELSEWHERE: list[Any] = [
    {"type": "audio_url", "audio_url": {"url": "https://example.com/a.mp3"}},
    {"audio_url": "https://example.com/a.mp3"},
    {"type": "text", "text": "a", "audio_url": "https://example.com/a.mp3"},
    {"type": "document_url", "document_url": "https://example.com/a.pdf"},
    {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
    {"type": "input_image", "file_id": "file-1"},
    {"type": "input_video", "input_video": {"url": "https://example.com/a.mp4"}},
    {"type": "video_url", "video_url": {"url": "https://example.com/a.mp4"}},
    {"type": "input_audio", "input_audio": "https://example.com/a.mp3"},
    {"type": "input_audio", "input_audio": {"data": "https://example.com/a.mp3", "format": "mp3"}},
    {"type": "thinking", "thinking": [{"type": "reference", "reference_ids": [1]}]},
    {"type": "unheard_of"},
    {},
    1,
]


def test_parts_that_are_plain_are_shown() -> None:
    assert shows_all(asking())
    assert shows_all(asking(*PLAIN))
    assert shows_all(b'{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":null}]}')
    assert shows_all(b'{"messages":[{"content":"half a pair: \\ud83d"}]}')


@pytest.mark.parametrize("part", ELSEWHERE, ids=str)
def test_of_parts_that_are_not_known_nothing_is(part: Any) -> None:
    assert not shows_all(asking(part))
    assert not shows_all(asking(*PLAIN, part))
    assert not shows_all(asking(part).replace(b'"type"', b'"t\\u0079pe"').replace(b'"content"', b'"c\\u006fntent"'))


@pytest.mark.parametrize(
    ("part", "shown"),
    [
        ({"type": "text", "text": "a"}, True),
        ({"type": "search_result", "source": "https://example.com/", "title": "t", "content": []}, True),
        ({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}, True),
        ({"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "a"}}, True),
        ({"type": "video", "source": {"type": "url", "url": "https://example.com/a.mp4"}}, False),
    ],
    ids=str,
)
def test_nor_is_a_source_of_a_message_whose_type_is_not_known(part: dict[str, Any], *, shown: bool) -> None:
    for parts in ([part], [{"type": "tool_result", "content": [part]}]):
        body = json.dumps({"model": "m", "messages": [{"role": "user", "content": parts}]}).encode()
        found, request = ANTHROPIC.parse(body)
        assert not request.unseen
        assert ANTHROPIC.shows_all(found) == shown


def test_a_content_that_comes_twice_is_none_of_which_the_other_may_count() -> None:
    both = b'{"messages":[{"content":[{"type":"audio_url","audio_url":"x"}],"content":"a"}]}'
    assert not shows_all(both)
    assert not shows_all(b'{"messages":[{"content":{"type":"audio_url","audio_url":"x"}}]}')


@pytest.mark.parametrize(
    ("more", "shown"),
    [
        ({"tools": [FUNCTION, {"type": "custom", "custom": {"name": "c"}}, {"function": {"name": "f"}}]}, True),
        ({"tools": None, "data_sources": None, "enable_search": False}, True),
        ({"tools": [FUNCTION, {"google_search": {}}]}, False),
        ({"tools": [{"type": "web_search", "web_search": {}}]}, False),
        ({"tools": {"google_search": {}}}, False),
        ({"data_sources": [{"type": "azure_search", "parameters": {}}]}, False),
        ({"enable_search": True}, False),
        ({"compound_custom": {"tools": {"enabled_tools": ["web_search"]}}}, False),
    ],
    ids=str,
)
def test_what_the_provider_searches_is_not_shown(more: dict[str, Any], *, shown: bool) -> None:
    assert shows_all(json.dumps({"messages": [{"content": "a"}], **more}).encode()) == shown


def test_a_text_that_is_none_has_no_meaning() -> None:
    for messages in (
        rb'[{"role":"user","content":"\ud83d"}]',
        rb'[{"role":"user","content":"\ud83d"},{"role":"user","content":"hi"}]',
    ):
        assert last_turn(b'{"messages":' + messages + b"}") is None


def test_who_lands_late_lands_nobody_else(tmp_path: Path) -> None:
    async def two_flights() -> None:
        path = str(tmp_path / "slab.bin")
        create_slab(path, 1)
        loop = asyncio.get_running_loop()
        flights, slab = Flights(loop), Slab(path)
        first, leads = flights.join(slab, b"k" * 16)
        assert leads
        first.land(unfit=True)
        second, leads = flights.join(slab, b"k" * 16)
        assert leads
        follower = second.wait(loop)
        first.land()  # once more, as its request ends
        again, leads = flights.join(slab, b"k" * 16)
        assert again is second
        assert not leads
        second.land()
        async with asyncio.timeout(5):
            await follower

    asyncio.run(two_flights())
