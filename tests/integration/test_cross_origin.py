"""Calls as browsers make them for pages of other origins."""

from collections.abc import Iterator, Sequence

import httpx
import pytest

from tests.support.house import House, compact, key, secret

APP, OTHER = "https://app.example.com", "https://evil.example.com"
ALLOW, EXPOSE = "access-control-allow-origin", "access-control-expose-headers"
CHAT = "/v1/chat/completions"
HEADERS = {"authorization": f"Bearer {secret('page')}", "content-type": "application/json"}


def running(folder: pytest.TempPathFactory, origins: Sequence[str]) -> House:
    return House(
        folder.mktemp("house"),
        {"server": {"cors_origins": list(origins)}, "keys": [key("page")]},
        workers=1,
    )


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with running(tmp_path_factory, [APP, "http://localhost:3000"]) as house:
        yield house


@pytest.fixture(scope="module")
def client(house: House) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=house.url, trust_env=False, timeout=30) as client:
        yield client


def body(**more: object) -> bytes:
    return compact({"model": "sim/sim-small", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}], **more})


def preflight(client: httpx.Client, origin: str, wanted: str = "authorization", path: str = CHAT) -> httpx.Response:
    headers = {"origin": origin, "access-control-request-method": "POST", "access-control-request-headers": wanted}
    return client.options(path, headers=headers)


def test_a_preflight_allows_what_the_sdks_send(client: httpx.Client) -> None:
    wanted = (
        "authorization,content-type,x-api-key,anthropic-version,anthropic-dangerous-direct-browser-access,"
        "x-stainless-lang,x-stainless-retry-count,x-fastgate-tags,openai-beta,idempotency-key"
    )
    answer = preflight(client, APP, f"{wanted},X-Secret-Thing,cookie")
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers[ALLOW] == APP
    assert answer.headers["access-control-allow-methods"] == "GET, POST"
    assert answer.headers["access-control-allow-headers"].split(", ") == wanted.split(",")
    assert answer.headers["access-control-max-age"] == "7200"
    assert answer.headers["vary"] == "origin"
    assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize(
    "origin", [OTHER, f"{APP}.evil.example", f"{APP}/", APP.upper(), "null", "http://app.example.com"]
)
def test_a_preflight_from_elsewhere_says_what_is_missing(client: httpx.Client, origin: str) -> None:
    answer = preflight(client, origin)
    assert (answer.status_code, ALLOW in answer.headers) == (403, False)
    assert answer.text == f"The origin {origin} is not in this gateway's server.cors_origins.\n"


@pytest.mark.parametrize(
    ("method", "path", "content", "status"),
    [
        ("POST", CHAT, body(), 200),
        ("POST", CHAT, body(stream=True), 200),
        ("POST", CHAT, body(messages=[{"role": "user", "content": "a" * (2 << 20)}]), 200),
        ("POST", CHAT, b"{", 400),
        ("POST", "/v1/messages", body(model="sim/none"), 400),
        ("GET", "/v1/models", b"", 200),
        ("GET", "/nowhere", b"", 404),
        ("GET", "/readyz", b"", 200),
        ("OPTIONS", CHAT, b"", 405),
    ],
)
def test_every_answer_is_for_the_page(
    client: httpx.Client, method: str, path: str, content: bytes, status: int
) -> None:
    for origin in (APP, "http://localhost:3000"):
        answer = client.request(method, path, content=content, headers={**HEADERS, "origin": origin})
        assert answer.status_code == status, answer.text
        assert answer.headers.get_list(ALLOW) == [origin]
        assert (answer.headers[EXPOSE], answer.headers["vary"]) == ("*", "origin")
    for elsewhere in ({"origin": OTHER}, {}):
        answer = client.request(method, path, content=content, headers={**HEADERS, **elsewhere})
        assert (answer.status_code, ALLOW in answer.headers) == (status, False)
        assert answer.headers["vary"] == "origin"  # what a cache has kept for one must not go to another


def test_a_page_without_a_key_can_read_why_it_is_refused(client: httpx.Client) -> None:
    answer = client.post(CHAT, content=body(), headers={"origin": APP})
    assert (answer.status_code, answer.headers[ALLOW]) == (401, APP)


def test_a_reload_says_that_it_takes_a_restart(house: House) -> None:
    changed = {**house.settings, "server": {"cors_origins": ["*"]}}
    house.write_config(changed)
    try:
        assert house.admin("config/reload", "POST")["restart_needed"] == ["server.cors_origins"]
    finally:
        house.write_config(house.settings)


def test_every_origin(tmp_path_factory: pytest.TempPathFactory) -> None:
    with running(tmp_path_factory, ["*"]) as house, httpx.Client(base_url=house.url, trust_env=False) as client:
        allowed = preflight(client, OTHER)
        assert (allowed.status_code, allowed.headers[ALLOW]) == (204, "*")
        answer = client.post(CHAT, content=body(), headers={**HEADERS, "origin": OTHER})
        assert (answer.status_code, answer.headers[ALLOW], answer.headers[EXPOSE]) == (200, "*", "*")
        assert "vary" not in answer.headers


def test_without_the_setting_nothing_is_said(tmp_path_factory: pytest.TempPathFactory) -> None:
    with running(tmp_path_factory, []) as house, httpx.Client(base_url=house.url, trust_env=False) as client:
        assert preflight(client, APP).status_code == 405
        answer = client.post(CHAT, content=body(), headers={**HEADERS, "origin": APP})
        assert not {ALLOW, EXPOSE, "vary"} & set(answer.headers)
