"""What reaches the provider: the client's bytes, but for the splices that have a name, and listed headers alone."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from hypothesis import HealthCheck, given, settings

from tests.support.house import House, key, secret
from tests.support.json_text import Written, bodies
from tests.support.recorder import Recorded, Recorder, whole

CHAT = b'{"model":"m","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}'
MESSAGE = b'{"type":"message","model":"m","content":[],"usage":{"input_tokens":1,"output_tokens":1}}'
CHAT_STREAM = (
    b'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}\n\ndata: [DONE]\n\n'
)
STREAM = b"text/event-stream"
EXAMPLES = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
CAP = 16_384


def answer(request: Recorded) -> bytes:
    """A small answer in the API that was asked."""
    if b"/messages" in request.target:
        return whole(MESSAGE)
    if json.loads(request.body).get("stream") is True:
        return whole(CHAT_STREAM).replace(b"application/json", STREAM)
    return whole(CHAT)


@pytest.fixture(scope="module")
def upstream() -> Iterator[Recorder]:
    with Recorder(answer) as recorder:
        yield recorder


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, upstream: Recorder) -> Iterator[House]:
    prices = {"upstream-name": {"input_usd_per_million": "1", "output_usd_per_million": "1"}}
    key_of = [{"name": "main", "value": "provider-secret"}]
    providers = {
        "compatible": {
            "type": "openai-compatible",
            "base_url": f"{upstream.url}/base/v1",
            "keys": key_of,
            "prices": prices,
        },
        "openai": {"type": "openai", "base_url": f"{upstream.url}/v1", "keys": key_of, "prices": prices},
        "anthropic": {"type": "anthropic", "base_url": upstream.url, "keys": key_of, "prices": prices},
    }
    models = {
        name: {"targets": [{"provider": name, "model": "upstream-name"}]}
        for name in ("compatible", "openai", "anthropic")
    }
    document = {
        "providers": providers,
        # The same name as the provider's: nothing has to be spliced for it.
        "models": {**models, "upstream-name": {"targets": [{"provider": "compatible", "model": "upstream-name"}]}},
        "output_cap": CAP,
        "teams": [{"id": "team"}],
        "keys": [
            key("free", team="team"),
            key("hard", team="team", budgets=[{"limit_usd": "1000000", "window": "lifetime"}]),
        ],
    }
    with House(tmp_path_factory.mktemp("house"), document, workers=1, simulator=None) as house:
        yield house


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with httpx.Client(trust_env=False, timeout=10) as client:
        yield client


# ---- bodies of any shape


def send(house: House, client: httpx.Client, path: str, body: bytes, name: str = "free") -> httpx.Response:
    headers = {"authorization": f"Bearer {secret(name)}", "content-type": "application/json"}
    received = client.post(f"{house.url}{path}", content=body, headers=headers)
    assert received.status_code == 200, (received.text, body)
    return received


@EXAMPLES
@given(made=bodies("upstream-name", {}))
def test_a_body_without_any_need_for_a_splice_arrives_as_it_was_sent(
    house: House, upstream: Recorder, client: httpx.Client, made: tuple[bytes, Written]
) -> None:
    send(house, client, "/v1/chat/completions", made[0])
    request = upstream.last()
    assert request.body == made[0]
    assert request.target == b"/base/v1/chat/completions"


@EXAMPLES
@given(made=bodies("anthropic", {"max_tokens": 7}))
def test_the_models_name_alone_is_replaced(
    house: House, upstream: Recorder, client: httpx.Client, made: tuple[bytes, Written]
) -> None:
    send(house, client, "/v1/messages", made[0], "hard")
    request = upstream.last()
    assert without(made[0], "model", '"anthropic"') == without(request.body, "model", '"upstream-name"')
    assert request.target == b"/v1/messages"


def without(body: bytes, name: str, value: str) -> tuple[bytes, bytes]:
    """What is around the value of a member at the top of a body."""
    start = member(body, name)
    assert body.startswith(value.encode(), start), body[start : start + 40]
    return body[:start], body[start + len(value) :]


def member(body: bytes, name: str) -> int:
    """Where the value of a top-level member begins, found with the standard library's decoder."""
    text = body.decode()
    decoder = json.JSONDecoder()
    at = text.index("{") + 1
    while True:
        at = skip(text, at)
        found, at = decoder.raw_decode(text, at)
        at = skip(text, skip(text, at) + 1)
        if found == name:
            return len(text[:at].encode())
        _, at = decoder.raw_decode(text, at)
        at = skip(text, at) + 1


def skip(text: str, at: int) -> int:
    while text[at] in " \t\r\n":
        at += 1
    return at


@EXAMPLES
@given(made=bodies("upstream-name", {"stream": True}))
def test_a_stream_is_asked_for_its_usage_and_a_hard_budget_for_its_cap(
    house: House, upstream: Recorder, client: httpx.Client, made: tuple[bytes, Written]
) -> None:
    """Both are put behind the opening brace; everything else is as it was."""
    body = made[0]
    at = body.index(b"{") + 1
    send(house, client, "/v1/chat/completions", body)
    options = b'"stream_options":{"include_usage":true},'
    assert upstream.last().body == body[:at] + options + body[at:]
    send(house, client, "/v1/chat/completions", body, "hard")
    sent = upstream.last().body
    assert sent[: -len(body[at:])] in {
        body[:at] + b'"max_tokens":%d,' % CAP + options,
        body[:at] + options + b'"max_tokens":%d,' % CAP,
    }
    assert sent.endswith(body[at:])


@pytest.mark.parametrize(
    ("given_body", "sent"),
    [
        (b'{"model":"compatible"}', b'{"max_tokens":16384,"model":"upstream-name"}'),
        (b'{"model":"openai"}', b'{"max_completion_tokens":16384,"model":"upstream-name"}'),
        (b'{"model":"openai","max_tokens":5}', b'{"model":"upstream-name","max_tokens":5}'),
        (b'{"model":"openai", "max_completion_tokens" : null}',
         b'{"model":"upstream-name", "max_completion_tokens" : 16384}'),
        (b'{"model":"compatible","max_completion_tokens":5,"stream_options":{"include_usage":false},"stream":true}',
         b'{"max_tokens":5,"model":"upstream-name","max_completion_tokens":5,"stream_options":{"include_usage":true},'
         b'"stream":true}'),
        (b'{"model":"compatible","max_tokens":5,"stream_options":{ "x":1},"stream":true}',
         b'{"model":"upstream-name","max_tokens":5,"stream_options":{"include_usage":true, "x":1},"stream":true}'),
        (b'{"model":"compatible","max_tokens":5,"stream_options":{"include_usage":true},"stream":true}',
         b'{"model":"upstream-name","max_tokens":5,"stream_options":{"include_usage":true},"stream":true}'),
        (b'{"mod\\u0065l":"comp\\u0061tible","max_tokens":5}', b'{"mod\\u0065l":"upstream-name","max_tokens":5}'),
    ],
)  # fmt: skip
def test_the_splices(house: House, upstream: Recorder, client: httpx.Client, given_body: bytes, sent: bytes) -> None:
    send(house, client, "/v1/chat/completions", given_body, "hard")
    assert upstream.last().body == sent


# ---- headers

CREDENTIALS = ("authorization", "x-api-key", "api-key", "x-goog-api-key", "x-bf-vk", "x-litellm-api-key")
PRIVATE = {
    "cookie": "session=1",
    "x-fastgate-user": "u",
    "x-fastgate-session": "s",
    "x-fastgate-tags": "a=b",
    "x-fastgate-operation": "o",
    "x-forwarded-for": "10.0.0.1",
    "proxy-authorization": "Basic eA==",
    "origin": "https://example.com",
    "referer": "https://example.com/",
    "x-custom": "1",
    "te": "trailers",
    "openai-organization": "org-1",
}


@contextmanager
def headers_at(
    house: House, upstream: Recorder, client: httpx.Client, path: str, sent: dict[str, str]
) -> Iterator[Recorded]:
    body = b'{"model":"anthropic","max_tokens":5}' if "messages" in path else b'{"model":"compatible","max_tokens":5}'
    received = client.post(f"{house.url}{path}", content=body, headers={"content-type": "application/json", **sent})
    assert received.status_code == 200, received.text
    yield upstream.last()


@pytest.mark.parametrize("name", CREDENTIALS)
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
def test_no_header_of_the_client_goes_on_but_those_on_the_list(
    house: House, upstream: Recorder, client: httpx.Client, path: str, name: str
) -> None:
    credential = {name: f"Bearer {secret('free')}" if name == "authorization" else secret("free")}
    listed = {
        "content-type": "application/json",
        "accept": "text/plain",
        "user-agent": "agent/1",
        "idempotency-key": "i-1",
        "x-client-request-id": "c-1",
    }
    listed |= {"openai-beta": "x=1"} if "chat" in path else {"anthropic-version": "2023-06-01", "anthropic-beta": "a,b"}
    with headers_at(house, upstream, client, path, {**credential, **PRIVATE, **listed}) as request:
        found = dict(request.headers)
        assert secret("free") not in str(request.headers)
        theirs = {"authorization": "Bearer provider-secret"} if "chat" in path else {"x-api-key": "provider-secret"}
        ours = {
            "host": f"127.0.0.1:{upstream.port}",
            "accept-encoding": "identity",
            "content-length": found["content-length"],
        }
        assert found == {**listed, **theirs, **ours}
        assert len(found) == len(request.headers)


def test_a_key_in_the_query_ends_here_and_the_rest_of_it_goes_on(
    house: House, upstream: Recorder, client: httpx.Client
) -> None:
    path = f"/v1/messages?beta=true&key={secret('free')}&x=%20y"
    with headers_at(house, upstream, client, path, {}) as request:
        assert request.target == b"/v1/messages?beta=true&x=%20y"
        assert request.header("anthropic-version") == "2023-06-01"


def test_a_header_cannot_smuggle_another(house: House, upstream: Recorder, client: httpx.Client) -> None:
    odd = {
        "authorization": f"Bearer {secret('free')}",
        "user-agent": "a\u00e9\u00ff b",
        "x-client-request-id": "x" * 5000,
    }
    latin = {name: value.encode("latin-1") for name, value in odd.items()}
    with headers_at(house, upstream, client, "/v1/chat/completions", latin) as request:  # type: ignore[arg-type]
        assert request.header("x-client-request-id") == "x" * 5000
        assert request.header("user-agent") is None  # what is no ASCII text is not handed on
        assert len(request.headers) == 7


def test_what_a_provider_answers_reaches_the_client_without_its_private_headers(
    house: House, upstream: Recorder, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    private = b"set-cookie: a=b\r\nserver: secret/1\r\nalt-svc: h3\r\nx-internal: 1\r\n"
    listed = b"x-request-id: r-1\r\nopenai-processing-ms: 7\r\nx-ratelimit-remaining-requests: 9\r\n"
    monkeypatch.setattr(upstream, "answer", lambda _: whole(CHAT, headers=private + listed))
    received = send(house, client, "/v1/chat/completions", b'{"model":"compatible"}')
    upstream.last()
    assert received.content == CHAT
    assert received.headers["x-request-id"] == "r-1"
    assert received.headers["openai-processing-ms"] == "7"
    assert received.headers["x-ratelimit-remaining-requests"] == "9"
    assert not {"set-cookie", "alt-svc", "x-internal"} & set(received.headers)
    assert "secret" not in received.headers.get("server", "")


def test_the_reading_of_bodies_here_is_right() -> None:
    """``member`` is the test's own reading of a body: it has to be right itself."""
    body = b' { "a" : {"model": 1}, "model"\n: "x" }'
    assert body[member(body, "model") :].startswith(b'"x"')
