"""The simulator's routes, keys and errors, without a connection."""

import json
from pathlib import Path
from typing import Any

import pytest

from fastgate.simulator.options import Options
from fastgate.simulator.replies import Reply, Whole
from fastgate.simulator.request import Request
from fastgate.simulator.rules import RulesError
from fastgate.simulator.service import Service

VERSION = {b"anthropic-version": b"2023-06-01"}
CHAT = {"model": "sim-small", "messages": [{"role": "user", "content": "hello"}]}


def ask(
    service: Service,
    method: str,
    target: str,
    body: object = None,
    headers: dict[bytes, bytes] | None = None,
    *,
    keep_alive: bool = True,
) -> bytes | Reply:
    data = b"" if body is None else json.dumps(body).encode()
    return service.reply(Request(method.encode(), target.encode(), headers or {}, data, keep_alive=keep_alive))


def answer(*arguments: Any, **options: Any) -> tuple[int, dict[str, str], Any]:
    """Status, headers and JSON body of a reply that is ready at once."""
    data = ask(*arguments, **options)
    assert isinstance(data, bytes)
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    assert int(headers["content-length"]) == len(body) or not body
    return int(first.split(" ")[1]), headers, json.loads(body) if body else None


@pytest.fixture
def service() -> Service:
    return Service(Options())


def test_a_chat_is_answered_and_billed_to_its_key(service: Service) -> None:
    status, headers, body = answer(
        service, "POST", "/v1/chat/completions?x=1", CHAT, {b"authorization": b"Bearer sk-1"}
    )
    assert status == 200
    assert body["object"] == "chat.completion"
    assert headers["x-request-id"] == "req_" + body["id"].removeprefix("chatcmpl-")
    (row,) = service.bill.report()["by_key"]
    assert (row["key"], row["requests"]) == ("sk-1", 1)


def test_a_message_is_answered_and_billed_to_its_key(service: Service) -> None:
    headers = {b"x-api-key": b"sk-2", b"authorization": b"Bearer sk-3", **VERSION}
    status, headers_out, body = answer(service, "POST", "/v1/messages?beta=true", {**CHAT, "max_tokens": 5}, headers)
    assert status == 200
    assert body["type"] == "message"
    assert "request-id" in headers_out
    assert service.bill.report()["by_key"][0]["key"] == "sk-2"


def test_the_same_request_gets_the_same_answer_and_another_seed_another_one() -> None:
    def texts(seed: int) -> list[Any]:
        service = Service(Options(seed=seed, tokens=(8, 32), now=1_700_000_000.0))
        return [answer(service, "POST", "/v1/chat/completions", {**CHAT, "user": str(user)})[2] for user in range(8)]

    assert texts(1) == texts(1)
    assert texts(1) != texts(2)
    assert len({body["usage"]["completion_tokens"] for body in texts(1)}) > 3


def test_its_clock_can_stand_still() -> None:
    service = Service(Options(now=1_700_000_000.0))
    assert answer(service, "POST", "/v1/chat/completions", CHAT)[2]["created"] == 1_700_000_000
    assert service.bill.report()["by_day"][0]["day"] == "2023-11-14"
    assert service.bill.requests(0, 1)["items"][0]["started"] == "2023-11-14T22:13:20+00:00"


def test_the_models_come_in_the_callers_shape(service: Service) -> None:
    _, _, openai = answer(service, "GET", "/v1/models")
    _, _, anthropic = answer(service, "GET", "/v1/models", None, VERSION)
    names = ["sim-small", "sim-large", "sim-reasoning", "sim-cached", "sim-embedding"]
    assert openai["object"] == "list"
    assert [model["id"] for model in openai["data"]] == [model["id"] for model in anthropic["data"]] == names
    assert anthropic["last_id"] == "sim-embedding"
    assert answer(service, "GET", "/v1/models/sim-large")[2]["object"] == "model"
    assert answer(service, "GET", "/v1/models/sim-large", None, VERSION)[2]["type"] == "model"


def test_further_models_come_from_a_price_file(tmp_path: Path) -> None:
    path = tmp_path / "prices.json"
    path.write_text('{"org/tiny": {"input_usd_per_million": "1", "output_usd_per_million": "2", "behaves": "cached"}}')
    service = Service(Options(prices=path))
    assert answer(service, "GET", "/v1/models/org%2Ftiny")[0] == 200
    body = answer(service, "POST", "/v1/chat/completions", {**CHAT, "model": "org/tiny", "user": "x" * 40})[2]
    assert body["model"] == "org/tiny"
    assert service.bill.report()["by_model"][0]["usd"] == "0.000034"  # 2 in, 1 of them cached at the price of input


def test_answers_come_by_what_is_asked(tmp_path: Path) -> None:
    path = tmp_path / "answers.yaml"
    path.write_text(
        "- {model: sim-large, script: {text: large}}\n"
        "- {contains: [capital, France], script: {text: Paris}}\n"
        "- {contains: [capital], script: {fail: '503'}}\n"
    )
    service = Service(Options(answers=path))

    def said(text: str, path: str = "/v1/chat/completions", **more: Any) -> Any:
        earlier = [{"role": "user", "content": "the capital of France"}, {"role": "assistant", "content": "Paris"}]
        messages = [*earlier, {"role": "user", "content": [{"type": "text", "text": text}]}]
        made = ask(service, "POST", path, {**CHAT, "messages": messages, "max_tokens": 20, **more}, VERSION)
        assert isinstance(made, bytes | Whole)
        return made if isinstance(made, bytes) else made.data

    assert b'"Paris"' in said("What is the capital of France?")
    assert b'"Paris"' in said("What is the capital of France?", "/v1/messages")
    assert b" 503 " in said("What is the capital of Spain?")
    assert b'"large"' in said("What is the capital of France?", model="sim-large")
    assert b'"Paris"' not in said("What is it?")
    assert b'"mine"' in said('sim: {"text": "mine"} of the capital of France')


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "answers.yaml"),
        ("a: b", "array"),
        ("- {contains: [a]}", "script"),
        ("- {script: {text: a}, contain: [a]}", "contain"),
        ("- {script: {}}\n- {script: {fail: sometimes}}", "entry 1: unknown failure"),
        ("- {script: {split: 0}}", "entry 0: the script's split"),
        ("- {script: {turns: [{text: a}]}}", "no turns"),
    ],
)
def test_a_file_of_answers_that_cannot_be_used_is_refused(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "answers.yaml"
    path.write_text(text)
    with pytest.raises(RulesError, match=says):
        Service(Options(answers=path))


def test_tokens_are_counted_for_nothing(service: Service) -> None:
    status, _, body = answer(service, "POST", "/v1/messages/count_tokens", CHAT, VERSION)
    assert (status, body) == (200, {"input_tokens": 2})
    assert service.bill.report()["total"]["requests"] == 0


@pytest.mark.parametrize(
    ("method", "target", "body", "headers", "status", "kind"),
    [
        ("POST", "/v1/chat/completions", {**CHAT, "model": "gpt"}, {}, 404, "invalid_request_error"),
        ("POST", "/v1/chat/completions", {"model": "sim-small"}, {}, 400, "invalid_request_error"),
        ("GET", "/v1/chat/completions", None, {}, 405, "invalid_request_error"),
        ("HEAD", "/v1/chat/completions", None, {}, 405, None),
        ("GET", "/v1/nothing", None, {}, 404, "invalid_request_error"),
        ("GET", "/v1/nothing", None, VERSION, 404, "not_found_error"),
        ("DELETE", "/v1/models", None, {}, 405, "invalid_request_error"),
        ("GET", "/v1/models/gpt", None, VERSION, 404, "not_found_error"),
        ("POST", "/v1/messages", {**CHAT, "max_tokens": 1}, {}, 400, "invalid_request_error"),
        ("POST", "/v1/messages", {**CHAT, "max_tokens": 1, "model": "x"}, VERSION, 404, "not_found_error"),
        ("POST", "/v1/messages/count_tokens", {**CHAT, "model": "x"}, VERSION, 404, "not_found_error"),
        ("GET", "/v1/messages/else", None, {}, 404, "not_found_error"),
        ("GET", "/_bill/requests?limit=0", None, {}, 400, "invalid_request_error"),
        ("GET", "/_bill/requests?after=x", None, {}, 400, "invalid_request_error"),
    ],
)
def test_what_cannot_be_answered_gets_an_error_in_the_callers_shape(
    service: Service, method: str, target: str, body: object, headers: dict[bytes, bytes], status: int, kind: str | None
) -> None:
    given, _, error = answer(service, method, target, body, headers)
    assert given == status
    assert (error["error"]["type"] if error else None) == kind
    assert service.bill.report()["total"]["requests"] == 0
    assert service.bill.report()["unbilled"] == {str(status): 1}


@pytest.mark.parametrize("path", ["/", "/api/hello", "/v1/models"])
def test_head_is_get_without_a_body(service: Service, path: str) -> None:
    status, headers, body = answer(service, "HEAD", path)
    assert status == 200
    assert body is None
    assert headers["content-length"] == answer(service, "GET", path)[1]["content-length"]


@pytest.mark.parametrize("headers", [{}, {b"authorization": b"Basic abc"}, {b"authorization": b"Bearer "}])
def test_a_key_can_be_required(headers: dict[bytes, bytes]) -> None:
    service = Service(Options(require_key=True))
    assert answer(service, "POST", "/v1/chat/completions", CHAT, headers)[2]["error"]["code"] == "invalid_api_key"
    status, _, body = answer(service, "POST", "/v1/messages", CHAT, {**headers, **VERSION})
    assert (status, body["error"]["type"]) == (401, "authentication_error")
    assert answer(service, "POST", "/v1/chat/completions", CHAT, {b"authorization": b"bearer k"})[0] == 200
    assert answer(service, "GET", "/_bill")[0] == 200


@pytest.mark.parametrize(
    ("failure", "kind", "retry_after"),
    [
        ("429", "rate_limit_error", "1"),
        ("500", "server_error", None),
        ("503", "server_error", "1"),
        ("529", "server_error", "1"),
    ],
)
def test_an_error_can_be_asked_for(service: Service, failure: str, kind: str, retry_after: str | None) -> None:
    message = 'sim: {"fail": "%s", "message": "no", "headers": {"X-Why": "so"}}' % failure  # noqa: UP031 - braces
    body = {**CHAT, "messages": [{"role": "user", "content": message}]}
    status, headers, error = answer(service, "POST", "/v1/chat/completions", body)
    assert (status, error["error"]["type"], error["error"]["message"]) == (int(failure), kind, "no")
    assert (headers.get("retry-after"), headers["x-why"]) == (retry_after, "so")
    status, _, error = answer(service, "POST", "/v1/messages", {**body, "max_tokens": 9}, VERSION)
    assert status == int(failure)
    assert error["request_id"].startswith("req_")


def test_a_share_of_requests_can_fail() -> None:
    service = Service(Options(fail="500=0.5", seed=1))
    statuses = [answer(service, "POST", "/v1/chat/completions", CHAT)[0] for _ in range(200)]
    assert 60 < statuses.count(500) < 140
    assert service.bill.report()["total"]["requests"] == statuses.count(200)
    answer(service, "POST", "/_reset")
    assert [answer(service, "POST", "/v1/chat/completions", CHAT)[0] for _ in range(200)] == statuses


@pytest.mark.parametrize(
    ("script", "more", "says"),
    [
        ("sim: {", {}, "cannot be played"),
        ('sim: {"tools": [{"name": "f"}]}', {}, "offers none"),
        ('sim: {"tools": [{"name": "f"}]}', {"tools": []}, "offers none"),
    ],
)
def test_a_script_that_cannot_be_played_is_an_error(service: Service, script: str, more: Any, says: str) -> None:
    body = {**CHAT, "messages": [{"role": "user", "content": script}], **more}
    status, _, error = answer(service, "POST", "/v1/chat/completions", body)
    assert (status, error["error"]["code"]) == (400, "invalid_script")
    assert says in error["error"]["message"]


def test_a_script_is_found_in_what_a_user_said_alone(service: Service) -> None:
    script = {
        "role": "user",
        "content": [{"type": "text", "text": "a"}, {"type": "text", "text": 'sim: {"fail":"500"}'}],
    }
    other = {"role": "user", "content": "hello"}
    by_assistant = {"role": "assistant", "content": 'sim: {"fail":"500"}'}
    statuses = [
        answer(service, "POST", "/v1/chat/completions", {**CHAT, "messages": messages})[0]
        for messages in ([other, script], [script, other], [other, by_assistant], [script, by_assistant, other])
    ]
    assert statuses == [500, 500, 200, 200]


def test_what_takes_time_is_a_reply_to_be_played(service: Service) -> None:
    assert isinstance(ask(service, "POST", "/v1/chat/completions", {**CHAT, "stream": True}), Reply)
    assert isinstance(ask(service, "POST", "/v1/chat/completions", CHAT, keep_alive=False), Reply)
    assert isinstance(ask(Service(Options(latency_ms=1)), "POST", "/v1/chat/completions", CHAT), Reply)


def test_the_bill_is_served_and_reset(service: Service) -> None:
    for _ in range(3):
        answer(service, "POST", "/v1/chat/completions", CHAT)
    assert answer(service, "GET", "/_bill")[2]["total"]["requests"] == 3
    page = answer(service, "GET", "/_bill/requests?after=1&limit=1")[2]
    assert [item["number"] for item in page["items"]] == [1]
    assert page["next"] == 2
    assert answer(service, "POST", "/_reset")[0] == 200
    assert answer(service, "GET", "/_bill")[2]["total"]["usd"] == "0"
