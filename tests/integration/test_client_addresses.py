"""Keys that are bound to networks, called directly and through proxies. All of 127.0.0.0/8 is this host."""

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from tests.support.house import House, compact, key, secret, wait_for
from tests.support.wire import Answer, exchange, head

PROXY, CLIENT, STRANGER = "127.0.0.9", "127.1.0.1", "127.2.0.1"
CHAT, MESSAGES, MODELS = "/v1/chat/completions", "/v1/messages", "/v1/models"
BODY = compact({"model": "sim/sim-small", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]})


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    settings = {
        "server": {"trusted_proxies": [PROXY]},
        "keys": [key("bound", allowed_ips=["127.1.0.0/16", "2001:db8::/32", "127.0.0.0/24"]), key("free")],
    }
    with House(tmp_path_factory.mktemp("house"), settings, workers=1) as house:
        yield house


def ask(house: House, name: str, source: str, *forwarded: str, path: str = CHAT, by: str = "x-forwarded-for") -> Answer:
    method, body = ("GET", b"") if path == MODELS else ("POST", BODY)
    headers = [("authorization", f"Bearer {secret(name)}"), *((by, value) for value in forwarded)]
    if path == MESSAGES:
        headers.append(("anthropic-version", "2023-06-01"))
    return exchange(house.port, head(path, headers, method=method, length=len(body)) + body, source=source)


@pytest.mark.parametrize("path", [CHAT, MESSAGES, MODELS])
def test_a_key_is_refused_from_elsewhere(house: House, path: str) -> None:
    assert ask(house, "bound", CLIENT, path=path).status == 200
    assert ask(house, "free", STRANGER, path=path).status == 200
    refused = ask(house, "bound", STRANGER, path=path)
    assert (refused.status, refused.headers["x-fastgate-error"]) == (403, "ip_not_allowed")
    error = json.loads(refused.body)["error"]
    assert error["message"].startswith(f"The key 'bound' may not be used from {STRANGER}.")
    assert error["type"] == "permission_error"


@pytest.mark.parametrize(
    ("forwarded", "status"),
    [
        ((CLIENT,), 200),
        ((f"{STRANGER}, {CLIENT}",), 200),
        (("2001:db8::1",), 200),
        ((f"[::ffff:{CLIENT}]:4711",), 200),
        ((STRANGER,), 403),
        ((f"{CLIENT}, {STRANGER}",), 403),
        ((CLIENT, STRANGER), 403),
        (("nonsense",), 403),
        ((f"{CLIENT}, nonsense",), 403),
        ((), 403),
        (("\u00e9, 127.1.0.1",), 403),  # the server drops what is not ASCII: the proxy is not its client's address
    ],
)
def test_a_trusted_proxy_says_whom_it_speaks_for(house: House, forwarded: tuple[str, ...], status: int) -> None:
    answer = ask(house, "bound", PROXY, *forwarded)
    assert answer.status == status, answer.body


def test_nobody_else_does(house: House) -> None:
    assert ask(house, "bound", STRANGER, CLIENT).status == 403
    assert ask(house, "bound", CLIENT, STRANGER).status == 200


def ask_by_http2(house: House, name: str, source: str) -> httpx.Response:
    """Without TLS, by prior knowledge; ``bound`` may be used from where the worker hands such connections on."""
    transport = httpx.HTTPTransport(http1=False, http2=True, local_address=source)
    with httpx.Client(transport=transport, base_url=house.url) as client:
        return client.post(CHAT, headers={"authorization": f"Bearer {secret(name)}"}, content=BODY)


def listening(pid: int) -> set[int]:
    """The ports of 127.0.0.1 on which a process accepts connections."""
    held = set()
    for path in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed since
            held.add(os.readlink(path))
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {int(row[1].partition(":")[2], 16) for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in held}


def test_http2_without_tls_comes_from_its_client(house: House) -> None:
    assert [ask_by_http2(house, "bound", source).status_code for source in (CLIENT, STRANGER)] == [200, 403]


def test_nobody_else_is_served_where_http2_is_handed_on(house: House) -> None:
    assert ask_by_http2(house, "free", STRANGER).status_code == 200
    [worker] = house.pids("worker")
    [port] = listening(worker) - {house.port}
    headers = [("authorization", f"Bearer {secret('free')}")]
    answer = exchange(port, head(CHAT, headers, length=len(BODY)) + BODY)
    assert (answer.status, answer.body) == (403, b"")


@pytest.mark.parametrize(("by", "value"), [("x-real-ip", CLIENT), ("forwarded", f"for={CLIENT}")])
def test_headers_that_a_proxy_passes_on_are_not_believed(house: House, by: str, value: str) -> None:
    assert ask(house, "bound", PROXY, value, by=by).status == 403


def test_a_refusal_reaches_the_ledger(house: House) -> None:
    ask(house, "bound", STRANGER)
    house.settled()
    newest = house.requests(key="bound")[0]
    assert (newest["status"], newest["error"], newest["cost_usd"]) == (403, "ip_not_allowed", "0.000000000")


def test_the_networks_of_a_key_of_the_api_change_while_it_is_used(house: House) -> None:
    headers = {"authorization": f"Bearer {house.admin_token}"}
    with httpx.Client(base_url=f"{house.admin_url}/api/v1", headers=headers, trust_env=False) as api:
        bad = api.post("/keys", json={"id": "made", "allowed_ips": ["127.1.0.1/16"]})
        assert (bad.status_code, "has host bits set" in bad.text) == (422, True), bad.text
        made = api.post("/keys", json={"id": "made", "secret": secret("made"), "allowed_ips": ["127.1.0.0/16"]})
        assert (made.status_code, made.json()["allowed_ips"]) == (201, ["127.1.0.0/16"])
        wait_for(lambda: ask(house, "made", CLIENT).status == 200, 5, "the key works")
        assert ask(house, "made", STRANGER).status == 403
        assert api.patch("/keys/made", json={"allowed_ips": ["127.2.0.0/16"]}).status_code == 200
        wait_for(lambda: ask(house, "made", STRANGER).status == 200, 5, "its new network is in force")
        assert ask(house, "made", CLIENT).status == 403
