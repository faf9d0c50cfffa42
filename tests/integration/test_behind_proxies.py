"""A gateway whose providers are behind a proxy, or TLS: what they get, and what clients and operators hear."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from fastgate.simulator.process import Simulator
from tests.support.certificates import Authority
from tests.support.connect_proxy import ConnectProxy
from tests.support.house import House, compact, free_port, key, secret, wait_for
from tests.support.nginx import Nginx
from tests.support.wire import Answer, exchange, head

CHAT = "/v1/chat/completions"
USER, PASSWORD = "gateway", "pw-of-the-proxy"
NAMED = "upstream.test:8000"


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    simulator = Simulator()
    simulator.start()
    yield simulator
    simulator.stop()


@pytest.fixture(scope="module")
def secured(simulator: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The simulator behind TLS: its address, and the authority that its certificate is from."""
    folder, port = tmp_path_factory.mktemp("secured"), free_port()
    authority = Authority(folder)
    pair = authority.issue("upstream.test", "upstream")
    server = (
        f"server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {pair.cert}; ssl_certificate_key {pair.key};"
        f" location / {{ proxy_pass {simulator.url}; proxy_buffering off; }} }}"
    )
    with Nginx(folder / "run", server, port):
        yield f"https://127.0.0.1:{port}", authority.ca


@pytest.fixture(scope="module")
def proxy(simulator: Simulator) -> Iterator[ConnectProxy]:
    port = int(simulator.url.rpartition(":")[2])
    with ConnectProxy(credentials=(USER, PASSWORD), names={NAMED: port}) as proxy:
        yield proxy


def provider(url: str, **more: Any) -> dict[str, Any]:
    return {"type": "sim", "base_url": url, "keys": [{"name": "k", "value": "upstream-key"}], **more}


@pytest.fixture(scope="module")
def house(
    tmp_path_factory: pytest.TempPathFactory, simulator: Simulator, secured: tuple[str, Path], proxy: ConnectProxy
) -> Iterator[House]:
    https, ca = secured
    given = f"127.0.0.1:{proxy.port}"
    with ConnectProxy() as gone:
        nobody = gone.url
    settings = {
        "keys": [key("one", budgets=[{"limit_usd": "10", "window": "day"}])],
        "providers": {
            "configured": provider(simulator.url, proxy=f"http://{USER}:{PASSWORD}@{given}"),
            "named": provider(f"http://{NAMED}"),
            "direct": provider(simulator.url),
            "locked": provider(simulator.url, proxy=f"http://{USER}:not-{PASSWORD}@{given}"),
            "secured": provider(https, ca_file=str(ca)),
            "secured-behind": provider(https, ca_file=str(ca), proxy=f"http://{USER}:{PASSWORD}@{given}"),
            "distrusted": provider(https),
            "gone": provider(simulator.url, proxy=nobody),
        },
    }
    environment = {"HTTP_PROXY": f"http://{USER}:{PASSWORD}@{given}", "NO_PROXY": "elsewhere.test"}
    folder = tmp_path_factory.mktemp("house")
    with House(folder, settings, workers=1, simulator=simulator, environment=environment) as house:
        yield house


def ask(house: House, provider: str, **more: Any) -> Answer:
    messages = [{"role": "user", "content": "hi"}]
    body = compact({"model": f"{provider}/sim-small", "max_tokens": 9, "messages": messages, **more})
    headers = {"authorization": f"Bearer {secret('one')}", "content-type": "application/json"}
    return exchange(house.port, head(CHAT, headers, length=len(body)) + body)


def test_providers_behind_the_proxy(
    house: House, proxy: ConnectProxy, simulator: Simulator, secured: tuple[str, Path]
) -> None:
    for name in ("configured", "named", "secured-behind"):
        assert ask(house, name).status == 200
        streamed = ask(house, name, stream=True)
        assert (streamed.status, streamed.body.endswith(b"data: [DONE]\n\n")) == (200, True)
    targets = [simulator.url.removeprefix("http://"), NAMED, secured[0].removeprefix("https://")]
    assert sorted(proxy.targets) == sorted(targets)


def test_an_authority_of_the_operators_own(house: House) -> None:
    assert ask(house, "secured").status == 200
    assert ask(house, "secured", stream=True).body.endswith(b"data: [DONE]\n\n")


def test_this_host_is_never_behind_the_proxy_of_the_environment(house: House, proxy: ConnectProxy) -> None:
    before = len(proxy.heads)
    assert ask(house, "direct").status == 200
    assert len(proxy.heads) == before


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("locked", "it wants a user and password"),
        ("gone", "onnection refused"),
        ("distrusted", "CERTIFICATE_VERIFY_FAILED"),
    ],
)
def test_what_cannot_be_connected(house: House, name: str, said: str) -> None:
    spent = house.budget("key:one/day/default")["spent_usd"]
    answer = ask(house, name)
    assert (answer.status, answer.headers["x-fastgate-error"]) == (502, "upstream_error")
    message = json.loads(answer.body)["error"]["message"]
    assert message.startswith(f"The provider '{name}' could not be connected.")
    assert "127.0.0.1" not in message
    line = next(line for line in house.log.read_text().splitlines() if f"provider {name}: cannot connect" in line)
    assert (" through the proxy 127.0.0.1:" in line) == (name != "distrusted")
    assert said in line
    house.settled()
    assert house.budget("key:one/day/default")["spent_usd"] == spent  # nothing was sent, nothing is owed


def test_the_proxys_password_goes_nowhere(house: House) -> None:
    files: list[Path] = [house.log, *(path for path in house.state_dir.rglob("*") if path.is_file())]
    shown = house.admin("config")
    assert shown["providers"]["configured"]["proxy"] == "***"
    said = [path.read_bytes() for path in files] + [json.dumps([shown, house.admin("status")]).encode()]
    said += [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in (*house.pids("worker"), *house.pids("control"))]
    assert not any(PASSWORD.encode() in text for text in said)


def test_a_provider_of_the_api(house: House, proxy: ConnectProxy, simulator: Simulator) -> None:
    headers = {"authorization": f"Bearer {house.admin_token}"}
    address = f"http://{USER}:{PASSWORD}@127.0.0.1:{proxy.port}"
    with httpx.Client(base_url=f"{house.admin_url}/api/v1", headers=headers, trust_env=False) as api:

        def change(status: int, **patch: Any) -> httpx.Response:
            answer = api.patch("/providers/made", json=patch)
            assert (answer.status_code, PASSWORD in answer.text) == (status, False), answer.text
            return answer

        made = api.post("/providers", json={"id": "made", **provider(simulator.url, proxy=address)})
        assert (made.status_code, PASSWORD in made.text) == (201, False), made.text
        wait_for(lambda: ask(house, "made").status == 200, 10, "the provider serves")
        asked = len(proxy.heads)
        change(200, timeout_seconds={"connect": 3})  # the proxy stays
        wait_for(lambda: ask(house, "made").status == 200 and len(proxy.heads) > asked, 10, "a tunnel of its new pool")
        bad = change(409, proxy=f"socks5://{USER}:{PASSWORD}@127.0.0.1")
        assert "proxy: has to begin with http:// or https://" in bad.text
        change(200, proxy=f"http://127.0.0.1:{free_port()}")
        wait_for(lambda: ask(house, "made").status == 502, 10, "its other proxy, where nobody is")
        change(200, proxy=None)
        wait_for(lambda: ask(house, "made").status == 200, 10, "no proxy")


def test_a_proxy_of_the_environment_that_cannot_be_used(house: House, tmp_path: Path) -> None:
    from fastgate.control.check import check

    (tmp_path / "fastgate.yaml").write_bytes(house.config.read_bytes())
    problems = check(tmp_path / "fastgate.yaml", {"HTTP_PROXY": f"socks5://{USER}:{PASSWORD}@127.0.0.1"})
    [problem] = [str(problem) for problem in problems]
    assert (
        "providers.named: the proxy that the environment names for it has to begin with http:// or https://" in problem
    )
    assert PASSWORD not in problem
