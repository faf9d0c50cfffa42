"""The exact cache of two hosts that share a Redis: whole gateways, by what their clients and operators see."""

import json
import re
import ssl
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any, Final
from urllib.request import ProxyHandler, build_opener

import httpx
import pytest

from tests.support import by_api
from tests.support.by_api import CHAT, created, soon
from tests.support.certificates import Authority
from tests.support.house import House, compact, key, secret, wait_for
from tests.support.redis_server import RedisServer
from tests.support.wire import Answer, exchange, head

MESSAGES: Final = "/v1/messages"
PASSWORD: Final = "password-of-the-redis-5c1d"
DEADLINE_MS: Final = 1000
"""That a busy machine keeps."""


def settings(server: RedisServer, *, cluster: str = "tests", shared: bool = True, **more: Any) -> dict[str, Any]:
    exact = {"enabled": True, "ttl_seconds": 600, "max_mb": 8, "single_flight": True}
    if shared:
        exact |= {"shared": "redis", "shared_deadline_ms": DEADLINE_MS}
        more["redis"] = {"url": f"redis://:{PASSWORD}@127.0.0.1:{server.port}/0", "cluster_id": cluster}
    return {
        "cache": {"exact": exact},
        "teams": [{"id": "blue", "cache": {"scope": "team"}}],
        "keys": [
            key("one"),
            key("other"),
            key("blue-one", team="blue"),
            key("blue-other", team="blue"),
            key("short", cache={"ttl_seconds": 4}),
        ],
        **more,
    }


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis"), password=PASSWORD) as server:
        yield server


@contextmanager
def hosts(folder: Path, server: RedisServer, workers: int) -> Iterator[tuple[House, House]]:
    """Two that share the server, and one simulator."""
    said = settings(server)
    for name in ("here", "there"):
        (folder / name).mkdir()
    with (
        House(folder / "here", said, workers=workers) as here,
        House(folder / "there", said, workers=workers, simulator=here.simulator) as there,
    ):
        for house in (here, there):
            reach(house)
        yield here, there


@pytest.fixture(scope="module")
def houses(tmp_path_factory: pytest.TempPathFactory, server: RedisServer) -> Iterator[tuple[House, House]]:
    with hosts(tmp_path_factory.mktemp("hosts"), server, 2) as both:
        yield both


def reach(house: House) -> None:
    """Wait until every worker has reached Redis: all look-ups are answered."""
    numbers, posts = count(), 8 * house.workers

    def reached() -> bool:
        before = events(house)["miss"]
        for _ in range(posts):
            post(house, "one", body_of(f"reached? {house.port} {next(numbers)}"))
        with suppress(AssertionError):  # those of a worker that has not yet were none
            return bool(wait_for(lambda: events(house)["miss"] >= before + posts, 1, "all look-ups are told"))
        return False

    wait_for(reached, 20, "every worker has reached Redis")


def body_of(text: str, **more: Any) -> dict[str, Any]:
    return {"model": "sim/sim-small", "max_tokens": 20, "messages": [{"role": "user", "content": text}], **more}


def post(house: House, name: str, body: dict[str, Any], path: str = CHAT, **headers: str) -> Answer:
    raw = compact(body)
    said = {"authorization": f"Bearer {secret(name)}", "content-type": "application/json"}
    said |= {each.replace("_", "-"): value for each, value in headers.items()}
    if path == MESSAGES:
        said["anthropic-version"] = "2023-06-01"
    return exchange(house.port, head(path, said, length=len(raw)) + raw)


def did(answer: Answer) -> str:
    assert answer.status == 200, answer.body
    return answer.headers["x-fastgate-cache"]


def events(house: House) -> dict[str, int]:
    """What the shared tier did, by outcome."""
    text = build_opener(ProxyHandler({})).open(f"{house.admin_url}/metrics", timeout=30).read().decode()
    found = re.findall(r'^fastgate_cache_events_total\{outcome="(\w+)",tier="shared"\} (\S+)$', text, re.MULTILINE)
    return {outcome: int(float(count)) for outcome, count in found}


def lying(server: RedisServer, text: str) -> list[bytes]:
    """Names of the values with this in them: each has its question."""
    with server.client() as client:
        return [
            name
            for name in client.scan_iter(match="*:cache:*", count=1000)
            if text.encode() in (client.get(name) or b"")
        ]


def written(server: RedisServer, text: str, answers: int = 1) -> list[bytes]:
    """Wait until so many answers to what has this text lie there."""
    found: list[bytes] = wait_for(lambda: len(names := lying(server, text)) >= answers and names, 20, "it is written")
    assert len(found) == answers
    return found


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
@pytest.mark.parametrize("first_streams", [False, True])
@pytest.mark.parametrize("then_streams", [False, True])
def test_what_one_host_keeps_another_gives(
    houses: tuple[House, House], server: RedisServer, path: str, first_streams: bool, then_streams: bool
) -> None:
    here, there = houses
    text = f"forms {path} {first_streams} {then_streams}"
    body, asked = body_of(text), here.bill()["total"]["requests"]
    first = post(here, "one", body | {"stream": first_streams}, path)
    assert did(first) == "miss"
    written(server, text)
    for _ in range(6):
        again = post(there, "one", body | {"stream": then_streams}, path)
        assert did(again) == "exact"
        assert again.headers["x-fastgate-attempts"] == "0"
        assert float(again.headers["x-fastgate-saved-usd"]) > 0
        if first_streams == then_streams:
            assert again.body == first.body
    assert here.bill()["total"]["requests"] == asked + 1


def test_a_crowd_gets_it_too_and_pays_once_where_nobody_has_it(
    houses: tuple[House, House], server: RedisServer
) -> None:
    here, there = houses
    assert did(post(here, "one", body_of("for a crowd"))) == "miss"
    written(server, "for a crowd")
    asked = here.bill()["total"]["requests"]
    slow = f"sim: {json.dumps({'text': 'for a slow crowd', 'latency_ms': 300})}"
    with ThreadPoolExecutor(12) as crowd:
        answers = list(crowd.map(lambda _: did(post(there, "one", body_of("for a crowd"))), range(24)))
        assert answers == ["exact"] * 24
        assert here.bill()["total"]["requests"] == asked
        answers = sorted(crowd.map(lambda _: did(post(there, "one", body_of(slow))), range(12)))
    assert answers == ["exact"] * 11 + ["miss"]
    assert here.bill()["total"]["requests"] == asked + 1


def test_it_ends_when_the_first_would(houses: tuple[House, House], server: RedisServer) -> None:
    here, there = houses
    body, began = body_of("short"), time.monotonic()
    assert did(post(here, "short", body)) == "miss"
    written(server, "short")
    wait_for(lambda: time.monotonic() > began + 2, 10, "half of its time is over")
    again = post(there, "short", body)
    assert did(again) == "exact"
    assert int(again.headers["x-fastgate-cache-age"]) >= 1
    wait_for(lambda: did(post(there, "short", body)) == "miss", 10, "it is too old there, too")
    assert time.monotonic() - began < 2 + 4


def test_scopes_are_the_same_on_all_hosts(houses: tuple[House, House], server: RedisServer) -> None:
    here, there = houses
    for number, name in enumerate(("one", "blue-one"), 1):
        assert did(post(here, name, body_of("scopes"))) == "miss"
        written(server, "scopes", number)
    assert did(post(there, "blue-other", body_of("scopes"))) == "exact"
    assert did(post(there, "other", body_of("scopes"))) == "miss"


def test_what_the_api_made_is_somebody_else_on_each_host(houses: tuple[House, House], server: RedisServer) -> None:
    brought = "sk-fg-brought-to-both-hosts"
    for house in houses:
        with by_api.client(house) as api:
            created(api, "keys", id="made", secret=brought, cache={"exact": True})
        soon(house, brought, by_api.OK)
    raw = compact(body_of("of the API"))
    headers = {"authorization": f"Bearer {brought}", "content-type": "application/json"}
    request = head(CHAT, headers, length=len(raw)) + raw
    for number, house in enumerate(houses, 1):
        assert did(exchange(house.port, request)) == "miss"
        written(server, "of the API", number)
        assert did(exchange(house.port, request)) == "exact"


def test_wishes_hold_for_all_hosts(houses: tuple[House, House], server: RedisServer) -> None:
    here, there = houses
    body = body_of("wishes")
    assert did(post(here, "one", body, x_fastgate_cache="no-store")) == "miss"
    assert lying(server, "wishes") == []
    assert did(post(here, "one", body)) == "miss"
    written(server, "wishes")
    assert did(post(there, "one", body, x_fastgate_cache="no-cache, no-store")) == "bypass"
    assert did(post(there, "one", body, x_fastgate_cache="no-store")) == "miss", "nothing is fetched to be kept here"
    assert did(post(there, "one", body, x_fastgate_cache="only")) == "exact"
    answer = post(there, "one", body_of("never asked"), x_fastgate_cache="only")
    assert (answer.status, answer.headers["x-fastgate-error"]) == (504, "not_cached")


def test_what_lies_there_is_not_believed(houses: tuple[House, House], server: RedisServer) -> None:
    here, there = houses
    wrong = events(there)["unusable"]
    post(here, "one", body_of("damaged"))
    [name] = written(server, "damaged")
    with server.client() as client:
        value = client.get(name)
        at = value.rindex(b"content")
        client.set(name, value[:at] + b"CONTENT" + value[at + 7 :])
    assert did(post(there, "one", body_of("damaged"))) == "miss"
    wait_for(lambda: events(there)["unusable"] == wrong + 1, 10, "it is counted")


def test_operators_see_what_it_does(houses: tuple[House, House]) -> None:
    here, there = houses
    for house in houses:
        found = events(house)
        assert set(found) == {"hit", "miss", "timeout", "error", "unusable", "skipped", "stored", "dropped"}
    assert events(there)["hit"] >= 8
    assert events(here)["stored"] >= 8


def test_no_secret_of_it_is_told(houses: tuple[House, House]) -> None:
    for house in houses:
        assert PASSWORD not in house.log.read_text()
        assert house.admin("config")["redis"]["url"] == "***"
        for file in house.arena_dir.iterdir():
            if file.name.startswith("snapshot"):
                assert PASSWORD.encode() not in file.read_bytes()


def test_a_reload_changes_whether_and_with_whom(
    tmp_path: Path, houses: tuple[House, House], server: RedisServer
) -> None:
    here, _ = houses
    assert did(post(here, "one", body_of("reloaded"))) == "miss"
    written(server, "reloaded")

    def connections() -> int:
        with server.client() as client:
            return int(client.info("clients")["connected_clients"])

    own = connections()
    told = settings(server, shared=False)
    with House(tmp_path, told, workers=2, simulator=here.simulator) as house:

        def becomes(**changed: Any) -> None:
            house.write_config({**house.settings, **settings(server, **changed)})
            house.admin("config/reload", "POST")

        def only(text: str = "reloaded") -> int:
            return post(house, "one", body_of(text), x_fastgate_cache="only").status

        assert only() == 504
        assert events(house) == {}
        assert connections() == own
        with asked_all_along(house) as statuses:
            becomes(cluster="another")
            reach(house)
            assert only() == 504
            becomes()
            wait_for(lambda: only() == 200, 20, "it shares with the others")
            becomes(shared=False)
            wait_for(lambda: connections() == own, 20, "its connections are closed")
            assert only("never asked") == 504
        assert set(statuses) == {200}


@contextmanager
def asked_all_along(house: House) -> Iterator[list[int]]:
    """The statuses of requests that one client sends, one after another, until the block ends."""
    statuses: list[int] = []
    over = threading.Event()

    def ask() -> None:
        for number in count():
            if over.is_set():
                return
            statuses.append(post(house, "other", body_of(f"all along {number}")).status)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield statuses
    finally:
        over.set()
        thread.join()


def test_what_waits_is_written_when_a_host_stops(
    tmp_path: Path, houses: tuple[House, House], server: RedisServer
) -> None:
    with House(tmp_path, settings(server), workers=2, simulator=houses[0].simulator) as house:
        reach(house)
        for number in range(20):
            assert did(post(house, "one", body_of(f"before the end {number}"))) == "miss"
        assert house.stop() == 0
    assert len(lying(server, "before the end ")) == 20


def test_behind_tls_it_is_the_same(tmp_path: Path, houses: tuple[House, House], server: RedisServer) -> None:
    """There another server runs the requests, as tasks."""
    here, _ = houses
    authority = Authority(tmp_path)
    pair = authority.issue("gateway.test", "gateway")
    body = body_of("behind TLS")
    first = post(here, "one", body)
    written(server, "behind TLS")
    told = {**settings(server), "server": {"tls": {"cert": str(pair.cert), "key": str(pair.key)}}}
    with (
        House(tmp_path, told, workers=1, simulator=here.simulator) as house,
        httpx.Client(verify=ssl.create_default_context(cafile=str(authority.ca)), trust_env=False) as client,
    ):
        headers = {"authorization": f"Bearer {secret('one')}", "x-fastgate-cache": "only"}

        def ask() -> httpx.Response:
            return client.post(f"https://127.0.0.1:{house.port}{CHAT}", headers=headers, json=body)

        answer = wait_for(lambda: (found := ask()).status_code == 200 and found, 20, "it has reached Redis")
        assert answer.headers["x-fastgate-cache"] == "exact"
        assert answer.json() == json.loads(first.body)
