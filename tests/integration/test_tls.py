"""The data plane over TLS and HTTP/2: what clients negotiate, and certificates that are renewed while they call."""

import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path

import httpx
import pytest
from openai import OpenAI

from tests.support.certificates import Authority, Pair
from tests.support.house import House, compact, key, secret, wait_for

CHAT = "/v1/chat/completions"
HEADERS = {"authorization": f"Bearer {secret('one')}", "content-type": "application/json"}
WORKERS = 2
RENEWALS = 3


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("house")
    install(folder, authority.issue("first.test", "first"))
    tls = {"cert": "gateway.pem", "key": "gateway.key"}  # beside the configuration
    settings = {"server": {"tls": tls}, "keys": [key("one"), key("kept", cache={"exact": True})]}
    with House(folder, settings, workers=WORKERS) as house:
        yield house


def install(folder: Path, pair: Pair) -> None:
    shutil.copy(pair.cert, folder / "gateway.pem")
    shutil.copy(pair.key, folder / "gateway.key")


def client(house: House, authority: Authority, *, http2: bool = False) -> httpx.Client:
    context = ssl.create_default_context(cafile=str(authority.ca))
    url = f"https://127.0.0.1:{house.port}"
    return httpx.Client(base_url=url, http2=http2, verify=context, headers=HEADERS, trust_env=False, timeout=30)


def question(text: str = "hi", **more: object) -> bytes:
    return compact({"model": "sim/sim-small", "max_tokens": 9, "messages": [{"role": "user", "content": text}], **more})


def shown(house: House, authority: Authority) -> str:
    """The name in the certificate that a new connection sees."""
    with client(house, authority) as one, one.stream("GET", "/healthz") as answer:
        connection = answer.extensions["network_stream"].get_extra_info("ssl_object")
        ((_, name),) = connection.getpeercert()["subject"][0]
        return str(name)


def renew(house: House, authority: Authority, name: str) -> None:
    """Put a new certificate in the place of the old; returns when all workers show it."""
    install(house.folder, authority.issue(name, name))
    house.admin("config/reload", "POST")
    in_a_row = 0

    def all_show_it() -> bool:
        nonlocal in_a_row
        in_a_row = in_a_row + 1 if shown(house, authority) == name else 0
        return in_a_row >= 8 * WORKERS

    wait_for(all_show_it, 20, f"new connections see {name}")


@pytest.mark.parametrize(("http2", "version"), [(False, "HTTP/1.1"), (True, "HTTP/2")])
def test_what_clients_negotiate(house: House, authority: Authority, http2: bool, version: str) -> None:
    with client(house, authority, http2=http2) as one:
        answer = one.post(CHAT, content=question())
        assert (answer.status_code, answer.http_version) == (200, version), answer.text
        with one.stream("POST", CHAT, content=question(stream=True)) as stream:
            assert (stream.status_code, stream.http_version) == (200, version)
            assert stream.read().endswith(b"data: [DONE]\n\n")
        long = one.post(CHAT, content=question("a" * (2 << 20)))
        assert (long.status_code, long.http_version) == (200, version)
        refused = one.post(CHAT, content=b"{")
        assert (refused.status_code, refused.http_version) == (400, version)
        unread = one.post(CHAT, content=question(), headers={"authorization": "Bearer nobody"})
        assert (unread.status_code, unread.headers["x-fastgate-error"]) == (401, "invalid_api_key")


def test_many_streams_of_one_connection(house: House, authority: Authority) -> None:
    script = 'sim: {"text": "one two three four", "chunks": 4, "chunk_ms": 20}'
    with client(house, authority, http2=True) as one, ExitStack() as stack:
        streams = [
            stack.enter_context(one.stream("POST", CHAT, content=question(script, stream=True))) for _ in range(20)
        ]
        assert len({stream.extensions["network_stream"] for stream in streams}) == 1
        for stream in reversed(streams):
            assert stream.read().endswith(b"data: [DONE]\n\n")


def test_headers_beyond_measure(house: House, authority: Authority) -> None:
    with client(house, authority, http2=True) as one:
        for count, expected in ((10, 200), (24, 431)):
            endless = {f"x-endless-{number}": "y" * 15_000 for number in range(count)}
            assert one.post(CHAT, content=question(), headers=endless).status_code == expected


def test_an_official_sdk(house: House, authority: Authority) -> None:
    with client(house, authority, http2=True) as one:
        sdk = OpenAI(api_key=secret("one"), base_url=f"https://127.0.0.1:{house.port}/v1", http_client=one)
        answer = sdk.chat.completions.create(model="sim/sim-small", messages=[{"role": "user", "content": "hi"}])
        assert answer.choices[0].message.content


@pytest.mark.parametrize("version", ["TLSv1_1", "TLSv1_2", "TLSv1_3"])
def test_versions_of_tls(house: House, authority: Authority, version: str) -> None:
    option = {"TLSv1_1": "-tls1_1", "TLSv1_2": "-tls1_2", "TLSv1_3": "-tls1_3"}[version]
    command = ("openssl", "s_client", "-connect", f"127.0.0.1:{house.port}", "-CAfile", str(authority.ca), option)
    ran = subprocess.run(command, check=False, input=b"", capture_output=True, timeout=20)
    assert (b"Verify return code: 0 (ok)" in ran.stdout and ran.returncode == 0) == (version != "TLSv1_1")


def test_plain_http_gets_no_answer(house: House) -> None:
    with httpx.Client(trust_env=False) as plain, pytest.raises(httpx.TransportError):
        plain.get(f"http://127.0.0.1:{house.port}/healthz")


@contextmanager
def calling(house: House, authority: Authority, *, kept: bool) -> Iterator[None]:
    """Requests without a pause, on one connection or each on its own; AssertionError at the end where any failed."""
    failures: list[str] = []
    asked: list[int] = []
    ended = threading.Event()

    def call() -> None:
        with client(house, authority) as same:
            while not ended.is_set():
                try:
                    with nullcontext(same) if kept else client(house, authority) as one:
                        answer = one.post(CHAT, content=question())
                except httpx.TransportError as error:
                    failures.append(repr(error))
                else:
                    asked.append(answer.status_code)

    caller = threading.Thread(target=call)
    caller.start()
    try:
        yield
    finally:
        ended.set()
        caller.join()
    assert not failures
    assert set(asked) == {200}


def test_a_renewed_certificate_costs_no_connection(house: House, authority: Authority) -> None:
    script = 'sim: {"text": "one two three four five six", "chunks": 6, "chunk_ms": 500}'
    with (
        client(house, authority) as reader,
        reader.stream("POST", CHAT, content=question(script, stream=True)) as stream,
    ):
        pieces = stream.iter_bytes()
        received = next(pieces)
        with calling(house, authority, kept=True), calling(house, authority, kept=False):
            renew(house, authority, "renewed.test")
        assert (received + b"".join(pieces)).endswith(b"data: [DONE]\n\n")


def test_renewals_in_a_row(house: House, authority: Authority) -> None:
    with calling(house, authority, kept=False):
        for number in range(RENEWALS):
            renew(house, authority, f"renewed-{number}.test")
    assert shown(house, authority) == f"renewed-{RENEWALS - 1}.test"


def test_a_pair_that_does_not_fit_is_refused(house: House, authority: Authority) -> None:
    renew(house, authority, "good.test")
    workers = house.pids("worker")
    shutil.copy(authority.issue("other.test", "other").key, house.folder / "gateway.key")
    with pytest.raises(AssertionError, match=r"422.*server\.tls\.key: is not the key of the certificate"):
        house.admin("config/reload", "POST")
    assert "is not the key" in house.admin("status")["config"]["problems"][0]
    assert {shown(house, authority) for _ in range(8 * WORKERS)} == {"good.test"}
    renew(house, authority, "better.test")
    assert house.pids("worker") == workers


def test_the_private_key_goes_nowhere(house: House) -> None:
    lines = (house.folder / "gateway.key").read_text().splitlines()[1:-1]
    assert lines
    places = [house.log, *(p for p in (*house.state_dir.rglob("*"), *house.arena_dir.rglob("*")) if p.is_file())]
    assert len(places) > 5
    said = [path.read_bytes() for path in places] + [str(house.admin("config")).encode()]
    assert not any(line.encode() in text for line in lines for text in said)
    assert house.admin("config")["server"]["tls"] == {"cert": "gateway.pem", "key": "gateway.key"}


def test_http2_without_tls(tmp_path: Path) -> None:
    with House(tmp_path, {"keys": [key("one")]}, workers=1) as house:
        for versions, name in (({"http1": False, "http2": True}, "HTTP/2"), ({}, "HTTP/1.1")):
            with httpx.Client(base_url=house.url, headers=HEADERS, trust_env=False, **versions) as one:
                answer = one.post(CHAT, content=question())
                assert (answer.status_code, answer.http_version) == (200, name), answer.text
                with one.stream("POST", CHAT, content=question(stream=True)) as stream:
                    assert stream.read().endswith(b"data: [DONE]\n\n")
                assert one.post(CHAT, content=b"{").status_code == 400


@pytest.mark.parametrize("http2", [False, True])
def test_of_cache_headers_that_come_again_each_counts(house: House, authority: Authority, *, http2: bool) -> None:
    """By this server, too, which knows headers in another way."""
    body = question(f"again, HTTP/2: {http2}")
    with client(house, authority, http2=http2) as one:

        def ask(*said: tuple[str, str | bytes]) -> httpx.Response:
            named = [*(HEADERS | {"authorization": f"Bearer {secret('kept')}"}).items()]
            headers = [(name.encode(), value if isinstance(value, bytes) else value.encode()) for name, value in said]
            return one.post(CHAT, content=body, headers=[*((n.encode(), v.encode()) for n, v in named), *headers])

        for words in (("no-store", "no-cache"), ("no-cache", "no-store")):
            assert ask(*(("x-fastgate-cache", word) for word in words)).headers["x-fastgate-cache"] == "bypass"
        for times in (("0", "600"), ("600", "0")):
            assert ask(*(("x-fastgate-cache-ttl", time) for time in times)).headers["x-fastgate-cache"] == "miss"
        for name in ("x-fastgate-cache", "x-fastgate-cache-ttl"):
            assert ask((name, "no-störe".encode())).status_code == 400
        assert [ask().headers["x-fastgate-cache"] for _ in range(2)] == ["miss", "exact"]
