"""How failures look to each API's clients: statuses, types, headers and the one sentence."""

import json

import pytest

from fastgate.dialects.anthropic import ANTHROPIC
from fastgate.dialects.base import Dialect
from fastgate.dialects.openai_chat import OPENAI_CHAT
from fastgate.wire.failure import Failure, FailureCode, shown, usd

CHAT = {
    "invalid_api_key": (401, "authentication_error", "invalid_api_key"),
    "budget_exceeded": (402, "insufficient_quota", "insufficient_quota"),
    "model_not_allowed": (403, "permission_error", "model_not_allowed"),
    "provider_not_allowed": (403, "permission_error", "provider_not_allowed"),
    "ip_not_allowed": (403, "permission_error", "ip_not_allowed"),
    "model_not_found": (404, "invalid_request_error", "model_not_found"),
    "not_found": (404, "invalid_request_error", "not_found"),
    "method_not_allowed": (405, "invalid_request_error", "method_not_allowed"),
    "upgrade_refused": (426, "invalid_request_error", "upgrade_refused"),
    "invalid_request": (400, "invalid_request_error", "invalid_request"),
    "model_unpriced": (400, "invalid_request_error", "model_unpriced"),
    "dialect_not_supported": (400, "invalid_request_error", "dialect_not_supported"),
    "request_too_large": (413, "invalid_request_error", "request_too_large"),
    "request_timeout": (408, "invalid_request_error", "request_timeout"),
    "rate_limited": (429, "rate_limit_error", "rate_limit_exceeded"),
    "upstream_error": (502, "server_error", "upstream_error"),
    "no_healthy_target": (503, "server_error", "no_healthy_target"),
    "upstream_timeout": (504, "server_error", "upstream_timeout"),
    "not_cached": (504, "server_error", "not_cached"),
    "overloaded": (503, "server_error", "server_is_overloaded"),
    "draining": (503, "server_error", "draining"),
    "internal_error": (500, "server_error", "internal_error"),
}
MESSAGES = {
    "invalid_api_key": (401, "authentication_error"),
    "budget_exceeded": (402, "billing_error"),
    "model_not_allowed": (403, "permission_error"),
    "provider_not_allowed": (403, "permission_error"),
    "ip_not_allowed": (403, "permission_error"),
    "model_not_found": (404, "not_found_error"),
    "not_found": (404, "not_found_error"),
    "method_not_allowed": (405, "invalid_request_error"),
    "upgrade_refused": (426, "invalid_request_error"),
    "invalid_request": (400, "invalid_request_error"),
    "model_unpriced": (400, "invalid_request_error"),
    "dialect_not_supported": (400, "invalid_request_error"),
    "request_too_large": (413, "request_too_large"),
    "request_timeout": (408, "invalid_request_error"),
    "rate_limited": (429, "rate_limit_error"),
    "upstream_error": (502, "api_error"),
    "no_healthy_target": (529, "overloaded_error"),
    "upstream_timeout": (504, "timeout_error"),
    "not_cached": (504, "timeout_error"),
    "overloaded": (529, "overloaded_error"),
    "draining": (529, "overloaded_error"),
    "internal_error": (500, "api_error"),
}


@pytest.mark.parametrize("code", FailureCode)
def test_every_code_has_its_answer(code: FailureCode) -> None:
    failure = Failure(code, "What.", param="model")
    status, headers, body = OPENAI_CHAT.error(failure, "r1")
    error = json.loads(body)["error"]
    assert (status, error["type"], error["code"]) == CHAT[code]
    assert error["param"] == "model"
    assert dict(headers)["x-fastgate-error"] == code
    assert dict(headers)["x-request-id"] == "r1"
    status, headers, body = ANTHROPIC.error(failure, "r1")
    document = json.loads(body)
    assert (status, document["error"]["type"]) == MESSAGES[code]
    assert (document["type"], document["request_id"]) == ("error", "r1")
    assert document["error"]["message"] == error["message"] == failure.sentence("r1")
    assert dict(headers)["request-id"] == "r1"
    assert dict(headers)["content-type"] == "application/json"


@pytest.mark.parametrize("dialect", [OPENAI_CHAT, ANTHROPIC], ids=lambda dialect: dialect.name)
def test_headers_say_whether_to_retry(dialect: Dialect) -> None:
    def headers(failure: Failure) -> dict[str, str]:
        return dict(dialect.error(failure, "r")[1])

    spent = headers(Failure(FailureCode.BUDGET_EXCEEDED, "Spent."))
    assert "retry-after" not in spent
    assert spent["x-should-retry"] == "false"
    assert headers(Failure.invalid_key("is unknown"))["x-should-retry"] == "false"
    limited = headers(Failure(FailureCode.RATE_LIMITED, "Slow.", retry_after=3600))
    assert limited["retry-after"] == "60"
    assert "x-should-retry" not in limited
    assert headers(Failure(FailureCode.DRAINING, "Bye.", retry_after=0))["retry-after"] == "1"
    assert "x-should-retry" not in headers(Failure(FailureCode.UPSTREAM_TIMEOUT, "Late."))
    assert headers(Failure(FailureCode.UPSTREAM_TIMEOUT, "Late.", final=True))["x-should-retry"] == "false"


@pytest.mark.parametrize(
    ("failure", "sentence"),
    [
        (Failure.invalid_key("is unknown"), "The API key is unknown. Retrying does not help. (request id r)"),
        (Failure(FailureCode.OVERLOADED, "Full.", retry_after=2), "Full. Retry after 2 s. (request id r)"),
        (Failure(FailureCode.UPSTREAM_ERROR, "Cut."), "Cut. Retrying may help. (request id r)"),
        (Failure(FailureCode.UPSTREAM_ERROR, "Cut.", final=True), "Cut. Retrying does not help. (request id r)"),
        (
            Failure.budget(level="team", budget="team:a/month/main", limit=2 * 10**9, spent=1_500_000_000, held=1,
                           need=600_000_000, resets_at_ns=1_798_761_600 * 10**9),
            "The team budget 'team:a/month/main' does not cover this request: limit $2.00, spent $1.50, held by open "
            "requests $0.000000001, and this request may cost up to $0.60. It resets at 2027-01-01T00:00:00Z. Retrying "
            "does not help before it resets or is raised. (request id r)",
        ),
        (
            Failure.budget(level="key", budget="k", limit=2 * 10**9, spent=0, held=2 * 10**9, need=1, resets_at_ns=0,
                           others_hold=True),
            "The key budget 'k' does not cover this request: limit $2.00, spent $0.00, held by open requests $2.00, "
            "and this request may cost up to $0.000000001. It does not reset. What is spent leaves room for it, and "
            "open requests hold the rest: it may pass when they have ended. Retrying may help. (request id r)",
        ),
        (Failure.model_not_found("x\ny"), "The model 'x\N{REPLACEMENT CHARACTER}y' is neither a configured name nor "
         "'provider/model' of a known provider. Retrying does not help. (request id r)"),
        (Failure.model_not_allowed("m", "k"),
         "The key 'k' may not use the model 'm'. Retrying does not help. (request id r)"),
        (Failure.too_large(9), "The body is larger than the limit of 9 bytes. Retrying does not help. (request id r)"),
    ],
)  # fmt: skip
def test_the_sentence(failure: Failure, sentence: str) -> None:
    assert failure.sentence("r") == sentence


def test_a_lifetime_budget_never_resets() -> None:
    failure = Failure.budget(level="key", budget="b", limit=1, spent=1, held=0, need=1, resets_at_ns=0)
    assert "It does not reset." in failure.message


@pytest.mark.parametrize(
    ("nano", "text"),
    [
        (0, "$0.00"),
        (1, "$0.000000001"),
        (10**9, "$1.00"),
        (1_250_000_000, "$1.25"),
        (-5 * 10**8, "-$0.50"),
        (120_000, "$0.00012"),
    ],
)
def test_money_is_written_without_loss(nano: int, text: str) -> None:
    assert usd(nano) == text


def test_text_of_clients_is_bounded_in_messages() -> None:
    assert shown("a" * 300) == "a" * 200 + "..."


def test_errors_inside_streams() -> None:
    failure = Failure(FailureCode.UPSTREAM_ERROR, "Cut.")
    event = OPENAI_CHAT.stream_error(failure, "r")
    assert event.startswith(b'data: {"error":{')
    assert event.endswith(b"}}\n\n")
    assert event.count(b"\n") == 2
    event = ANTHROPIC.stream_error(failure, "r")
    assert event.startswith(b'event: error\ndata: {"type":"error","error":{"type":"api_error"')
    assert event.endswith(b"}\n\n")


def test_lists_of_models() -> None:
    document = json.loads(OPENAI_CHAT.models(["a", "b/c"]))
    assert document["object"] == "list"
    assert [item["id"] for item in document["data"]] == ["a", "b/c"]
    document = json.loads(ANTHROPIC.models(["a", "b/c"]))
    assert (document["first_id"], document["last_id"], document["has_more"]) == ("a", "b/c", False)
    assert [item["display_name"] for item in document["data"]] == ["a", "b/c"]
    assert json.loads(ANTHROPIC.models([]))["first_id"] is None


def test_the_sdks_read_the_lists() -> None:
    from anthropic.types import ModelInfo
    from openai.types import Model

    for listed in (json.loads(OPENAI_CHAT.models(["a"]))["data"][0], json.loads(OPENAI_CHAT.model("a"))):
        assert Model.model_validate(listed).id == "a"
    for listed in (json.loads(ANTHROPIC.models(["a"]))["data"][0], json.loads(ANTHROPIC.model("a"))):
        assert ModelInfo.model_validate(listed).id == "a"
