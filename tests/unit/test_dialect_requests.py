"""What chat completions and messages ask for, and the splices towards the provider."""

import json
from typing import Any

import pytest

from fastgate._core.body import scan, splice
from fastgate.dialects.anthropic import ANTHROPIC, identity
from fastgate.dialects.base import Dialect
from fastgate.dialects.openai_chat import OPENAI_CHAT
from fastgate.wire.failure import Failure, FailureCode
from fastgate.wire.request import ChatRequest


def read(dialect: Dialect, **members: Any) -> ChatRequest:
    return dialect.parse(json.dumps({"model": "m", "messages": [], **members}).encode())[1]


def refusal(dialect: Dialect, body: bytes) -> Failure:
    with pytest.raises(Failure) as caught:
        dialect.parse(body)
    assert caught.value.code is FailureCode.INVALID_REQUEST
    return caught.value


@pytest.mark.parametrize("dialect", [OPENAI_CHAT, ANTHROPIC], ids=lambda dialect: dialect.name)
@pytest.mark.parametrize(
    ("body", "message", "param"),
    [
        (b"{", "not acceptable JSON: the text ends too early, at line 1, column 2 \\(byte 1\\)", None),
        (b"[]", "must be a JSON object", None),
        (b'"x"', "must be a JSON object", None),
        (b"{}", "'model' is missing or empty", "model"),
        (b'{"model":""}', "'model' is missing or empty", "model"),
        (b'{"model":null}', "'model' is missing or empty", "model"),
        (b'{"model":7}', "'model' must be a string, not a number", "model"),
        (b'{"model":"m","stream":"true"}', "'stream' must be a boolean, not a string", "stream"),
        (b'{"model":"m","max_tokens":-1}', "'max_tokens' must not be negative, and is -1", "max_tokens"),
        (b'{"model":"m","max_tokens":1.5}', "'max_tokens' must be an integer", "max_tokens"),
        (b'{"model":"m","service_tier":1}', "'service_tier' must be a string", "service_tier"),
        (b'{"model":"m","model":"n"}', "member name is there twice", None),
        (b'{"model":"m\xff"}', "not valid UTF-8", None),
        (b'{"model":"m\0"}', "control character", None),
    ],
)
def test_what_no_provider_could_take_is_refused(dialect: Dialect, body: bytes, message: str, param: str | None) -> None:
    failure = refusal(dialect, body)
    assert failure.param == param
    with pytest.raises(Failure, match=message):
        raise failure


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({}, ("m", False, None, None, 1, None)),
        ({"stream": True, "n": 3}, ("m", True, None, None, 3, None)),
        ({"stream": None, "n": None, "max_tokens": None}, ("m", False, None, None, 1, None)),
        ({"max_tokens": 5}, ("m", False, 5, "max_tokens", 1, None)),
        ({"max_completion_tokens": 5}, ("m", False, 5, "max_completion_tokens", 1, None)),
        ({"max_tokens": 9, "max_completion_tokens": 5}, ("m", False, 9, "max_tokens", 1, None)),
        ({"max_tokens": 5, "max_completion_tokens": 9}, ("m", False, 9, "max_tokens", 1, None)),
        ({"stream_options": {"include_usage": False}}, ("m", False, None, None, 1, False)),
    ],
)
def test_chat_bounds(members: dict[str, Any], expected: tuple[Any, ...]) -> None:
    found = read(OPENAI_CHAT, **members)
    assert (found.model, found.stream, found.output_cap, found.cap_field, found.n, found.include_usage) == expected


def test_chat_choices_must_be_at_least_one() -> None:
    assert refusal(OPENAI_CHAT, b'{"model":"m","n":0}').param == "n"


def test_chat_what_costs_besides_text() -> None:
    parts = [
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        {"type": "image_url", "image_url": {"url": "https://x/y"}},
    ]
    found = read(
        OPENAI_CHAT,
        messages=[{"role": "user", "content": parts}],
        tools=[{"type": "function"}],
        web_search_options={},
        audio={"voice": "a"},
        prediction={"type": "content", "content": [{"type": "text", "text": "12345"}]},
        service_tier="flex",
    )
    assert (found.images, found.image_bytes) == (2, 26 + 11)
    assert found.has_tools
    assert found.has_hosted_tools
    assert found.has_audio_output
    assert (found.prediction_bytes, found.service_tier) == (5, "flex")
    assert read(OPENAI_CHAT, prediction={"content": "123"}).prediction_bytes == 3
    assert not read(OPENAI_CHAT, tools=None, functions=None).has_tools
    assert read(OPENAI_CHAT, tools=[]).has_tools  # for some, a prompt that declares none is one that declares tools
    assert read(OPENAI_CHAT, functions=[{}]).has_tools


@pytest.mark.parametrize(
    ("part", "images", "image_bytes"),
    [
        ({"type": "image_url", "image_url": "http://x"}, 1, 8),
        ({"type": "image_url", "image_url": {"url": None}}, 1, 0),
        ({"type": "image_url"}, 1, 0),
        ({"image_url": {"url": "http://x"}}, 1, 8),
        ({"type": "text", "text": "image_url"}, 0, 0),
    ],
)
def test_chat_images_by_their_type_and_by_their_member(part: Any, images: int, image_bytes: int) -> None:
    found = read(OPENAI_CHAT, messages=[{"role": "user", "content": [part, part]}])
    assert (found.images, found.image_bytes) == (2 * images, 2 * image_bytes)


@pytest.mark.parametrize(
    ("tool", "hosted"),
    [
        ({"type": "function", "function": {"name": "f"}}, False),
        ({"type": "custom", "custom": {"name": "c"}}, False),
        ({"function": {"name": "f"}}, False),
        *(({"type": kind}, True) for kind in ("web_search", "browser_search", "code_interpreter", "mcp")),
        ({"type": "builtin_function", "function": {"name": "$web_search"}}, True),
    ],
)
def test_chat_tools_that_the_provider_runs(tool: Any, hosted: bool) -> None:
    assert read(OPENAI_CHAT, tools=[{"type": "function"}, tool]).has_hosted_tools is hosted


def test_text_bytes_are_all_strings_but_images() -> None:
    body = '{"model":"m","messages":[{"content":[{"image_url":{"url":"12345"}},{"text":"é"}]}]}'.encode()
    found, request = OPENAI_CHAT.parse(body)
    assert request.text_bytes == found.string_bytes - 5
    assert (
        request.text_bytes == sum(map(len, ("model", "m", "messages", "content", "image_url", "url", "text", "é"))) + 1
    )


def test_chat_attribution() -> None:
    found = read(OPENAI_CHAT, user="u", metadata={"a": "b"}, prompt_cache_key="k", safety_identifier="s")
    assert (found.user, found.session, found.metadata) == ("u", "k", b'{"a": "b"}')
    assert read(OPENAI_CHAT, safety_identifier="s").user == "s"
    assert read(OPENAI_CHAT, user=5, prompt_cache_key=[], metadata="x").user is None
    assert OPENAI_CHAT.parse(b'{"model":"m","user":"\\ud800"}')[1].user is None


def edited(dialect: Dialect, body: bytes, **wanted: Any) -> bytes:
    found, request = dialect.parse(body)
    return splice(body, dialect.edits(found, request, **wanted))


@pytest.mark.parametrize(
    ("body", "wanted", "sent"),
    [
        (b'{"model":"m"}', {}, b'{"model":"m"}'),
        (b'{"model" : "m" }', {"model": 'n"\xe9'}, b'{"model" : "n\\"\xc3\xa9" }'),
        (b'{"model":"m"}', {"output_cap": 7}, b'{"max_completion_tokens":7,"model":"m"}'),
        (b'{"model":"m"}', {"output_cap": 7, "cap_field": "max_tokens"}, b'{"max_tokens":7,"model":"m"}'),
        (b'{"model":"m","max_tokens":9}', {"output_cap": 7}, b'{"model":"m","max_tokens":7}'),
        (b'{"max_tokens":9,"model":"m","max_completion_tokens":8}', {"model": "n", "output_cap": 7},
         b'{"max_tokens":7,"model":"n","max_completion_tokens":7}'),
        (b'{"model":"m","max_completion_tokens":null}', {"output_cap": 7}, b'{"model":"m","max_completion_tokens":7}'),
        (b'{"model":"m","max_tokens":9}', {"output_cap": 9, "cap_field": "max_completion_tokens"},
         b'{"model":"m","max_tokens":9}'),
        (b'{"model":"m","max_completion_tokens":9}', {"output_cap": 9, "cap_field": "max_tokens"},
         b'{"max_tokens":9,"model":"m","max_completion_tokens":9}'),
        (b'{"model":"m","max_completion_tokens":9,"max_tokens":null}', {"output_cap": 7, "cap_field": "max_tokens"},
         b'{"model":"m","max_completion_tokens":7,"max_tokens":7}'),
        (b'{"model":"m","stream":true}', {}, b'{"stream_options":{"include_usage":true},"model":"m","stream":true}'),
        (b'{"model":"m","stream":true,"stream_options":{}}', {},
         b'{"model":"m","stream":true,"stream_options":{"include_usage":true}}'),
        (b'{"model":"m","stream":true,"stream_options":{"x":1}}', {},
         b'{"model":"m","stream":true,"stream_options":{"include_usage":true,"x":1}}'),
        (b'{"model":"m","stream":true,"stream_options":null}', {},
         b'{"model":"m","stream":true,"stream_options":{"include_usage":true}}'),
        (b'{"model":"m","stream":true,"stream_options":{"include_usage":false}}', {},
         b'{"model":"m","stream":true,"stream_options":{"include_usage":true}}'),
        (b'{"model":"m","stream":true,"stream_options":{"include_usage":true}}', {},
         b'{"model":"m","stream":true,"stream_options":{"include_usage":true}}'),
        (b'{"model":"m","stream":true}', {"output_cap": 7},
         b'{"max_completion_tokens":7,"stream_options":{"include_usage":true},"model":"m","stream":true}'),
    ],
)  # fmt: skip
def test_chat_splices(body: bytes, wanted: dict[str, Any], sent: bytes) -> None:
    assert edited(OPENAI_CHAT, body, **wanted) == sent


def test_usage_is_hidden_where_only_the_gateway_asked() -> None:
    assert OPENAI_CHAT.hides_usage(read(OPENAI_CHAT, stream=True))
    assert OPENAI_CHAT.hides_usage(read(OPENAI_CHAT, stream=True, stream_options={"include_usage": False}))
    assert not OPENAI_CHAT.hides_usage(read(OPENAI_CHAT, stream=True, stream_options={"include_usage": True}))
    assert not OPENAI_CHAT.hides_usage(read(OPENAI_CHAT))
    assert not ANTHROPIC.hides_usage(read(ANTHROPIC, stream=True))


def test_messages_bounds() -> None:
    found = read(
        ANTHROPIC,
        max_tokens=2048,
        thinking={"type": "enabled", "budget_tokens": 1024},
        speed="fast",
        inference_geo="us",
    )
    assert (found.output_cap, found.cap_field, found.thinking_budget) == (2048, "max_tokens", 1024)
    assert (found.fast, found.geo) == (True, "us")
    assert read(ANTHROPIC, max_tokens=0).output_cap == 0
    assert read(ANTHROPIC, thinking={"type": "disabled", "budget_tokens": 1024}).thinking_budget is None


def test_messages_tools() -> None:
    assert not read(ANTHROPIC, tools=None).has_tools
    assert read(ANTHROPIC, tools=[]).has_tools
    own = read(ANTHROPIC, tools=[{"name": "a"}, {"type": "custom", "name": "b"}])
    assert (own.has_tools, own.has_hosted_tools) == (True, False)
    assert read(ANTHROPIC, tools=[{"type": "web_search_20250305"}]).has_hosted_tools
    assert read(ANTHROPIC, mcp_servers=[{}]).has_hosted_tools


def test_messages_that_are_billed_for_more_than_the_answer() -> None:
    clearing = [{"type": "clear_thinking_20251015", "keep": "all"}, {"type": "clear_tool_uses_20250919"}]
    for free in ({}, {"fallbacks": []}, {"fallbacks": None}, {"context_management": {"edits": clearing}}):
        assert read(ANTHROPIC, **free).beside == ""
    for fallbacks in ("default", [{"model": "claude-opus-4-8"}]):
        assert read(ANTHROPIC, fallbacks=fallbacks).beside == "attempts of fallback models"
    compacting = {"edits": [*clearing, {"type": "compact_20260112"}]}
    assert read(ANTHROPIC, context_management=compacting).beside == "a compaction"
    assert read(ANTHROPIC, compaction={"type": "summarize"}).beside == "a compaction"
    assert read(ANTHROPIC, thread={"type": "create"}).unseen == ""
    continued = read(ANTHROPIC, thread={"type": "continue", "previous_message_id": "msg_1"})
    assert continued.unseen == "the earlier turns of a thread"


def test_messages_whose_provider_may_run_other_models() -> None:
    """The bounds are those of the attempt that may cost most."""
    thinking = {"type": "enabled", "budget_tokens": 1500}
    own = {"max_tokens": 1000, "thinking": {"type": "enabled", "budget_tokens": 1024}}
    found = read(
        ANTHROPIC,
        **own,
        fallbacks=[{"model": "a"}, {"model": "b", "max_tokens": 2000, "thinking": thinking, "speed": "fast"}],
        tools=[{"name": "mine"}, {"type": "advisor_20260301", "name": "advisor", "model": "c"}],
    )
    assert found.other_models == ("a", "b", "c")
    assert (found.output_cap, found.thinking_budget, found.fast) == (2000, 1500, True)
    found = read(ANTHROPIC, **own, fallbacks=[{"model": "a", "max_tokens": 5, "thinking": None}])
    assert (found.output_cap, found.thinking_budget, found.fast) == (1000, 1024, False)
    assert read(ANTHROPIC, fallbacks="default").other_models == ("default",)
    assert read(ANTHROPIC, fallbacks=None).other_models == ()


@pytest.mark.parametrize(
    ("member", "message"),
    [
        (b'"fallbacks":"others"', "'fallbacks' cannot be read: Invalid enum value 'others'."),
        (b'"fallbacks":"\\n%b"' % (b"x" * 1000), "xxx...."),
        (b'"fallbacks":[{}]', "'fallbacks' cannot be read: Object missing required field `model`"),
        (b'"fallbacks":[{"model":"a","max_tokens":-1}]', "'fallbacks' cannot be read: Expected `int` >= 0"),
        (b'"fallbacks":[{"model":"a","mod\\u0065l":"b"}]', "'fallbacks' cannot be read: a member's name comes twice"),
        (b'"fallbacks":[%b]' % b",".join([b'{"model":"a"}'] * 17),
         "'fallbacks' cannot be read: Expected `array` of length <= 16"),
        (b'"tools":[%b]' % b",".join([b'{"model":"a"}'] * 17), "'tools' names 17 models, and may name 16."),
        (b'"tools":[{"model":1}]', "'tools' cannot be read: Expected `str | null`, got `int`"),
    ],
)  # fmt: skip
def test_other_models_have_to_be_told_for_sure(member: bytes, message: str) -> None:
    assert message in refusal(ANTHROPIC, b'{"model":"m",' + member + b"}").message


def image(data: str, kind: str = "image") -> dict[str, Any]:
    return {"type": kind, "source": {"type": "base64", "data": data}}


@pytest.mark.parametrize(
    ("content", "images", "image_bytes"),
    [
        ([image("12345"), {"type": "text", "text": "x"}], 1, 5),
        ([{"type": "tool_result", "content": [image("123")]}, image("12")], 2, 5),
        ([image("12345"), image("a document can be text", "document")], 1, 0),
        ([{"type": "tool_result", "content": [image("1", "document")]}], 0, 0),
        ([{"type": "search_result", "source": {"data": "text"}}], 0, 0),
        ("12345", 0, 0),
    ],
)
def test_messages_images(content: Any, images: int, image_bytes: int) -> None:
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": content}]}).encode()
    found, request = ANTHROPIC.parse(body)
    assert (request.images, request.image_bytes) == (images, image_bytes)
    assert request.text_bytes == found.string_bytes - image_bytes


def test_messages_splices() -> None:
    assert edited(ANTHROPIC, b'{"model":"m","stream":true}', model="n") == b'{"model":"n","stream":true}'
    assert edited(ANTHROPIC, b'{"model":"m"}', output_cap=7) == b'{"max_tokens":7,"model":"m"}'
    assert edited(ANTHROPIC, b'{"max_tokens":null,"model":"m"}', output_cap=7) == b'{"max_tokens":7,"model":"m"}'
    body = b'{"model":"m","max_tokens":5,"fallbacks":[{"model":"n","max_tokens":9},{"model":"o","max_tokens":6}]}'
    assert edited(ANTHROPIC, body, output_cap=9) == body
    assert json.loads(edited(ANTHROPIC, body, output_cap=7)) == {
        "model": "m",
        "max_tokens": 5,
        "fallbacks": [{"model": "n", "max_tokens": 7}, {"model": "o", "max_tokens": 6}],
    }


@pytest.mark.parametrize(
    ("user_id", "expected"),
    [
        (None, (None, None)),
        ("someone", ("someone", None)),
        ('{"device_id":"d","account_uuid":"","session_id":"s"}', ("d", "s")),
        ('{"device_id":"d","account_uuid":"a","session_id":"s"}', ("a", "s")),
        ('{"session_id":4}', ('{"session_id":4}', None)),
        ("{not json", ("{not json", None)),
        ("[]", ("[]", None)),
    ],
)
def test_claude_codes_identity_is_unpacked(user_id: str | None, expected: tuple[str | None, str | None]) -> None:
    assert identity(user_id) == expected


def test_output_bytes_of_whole_answers() -> None:
    message = {"content": "é!", "refusal": None, "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}
    found = scan(json.dumps({"model": "x", "choices": [{"message": message}] * 2}).encode(), OPENAI_CHAT.answer_fields)
    assert OPENAI_CHAT.output_bytes_of_answer(found) == 2 * 6
    assert OPENAI_CHAT.model_of_answer(found) == "x"
    content = [{"type": "text", "text": "é"}, {"type": "tool_use", "name": "f", "input": {"a": 1}}]
    found = scan(json.dumps({"model": "y", "content": content}).encode(), ANTHROPIC.answer_fields)
    assert ANTHROPIC.output_bytes_of_answer(found) == 2 + 1 + 7
    assert ANTHROPIC.model_of_answer(found) == "y"
