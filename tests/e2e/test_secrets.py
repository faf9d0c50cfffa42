"""No secret of a whole run is where it does not belong: logs, answers, errors, state, process listings, providers."""

import base64
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from tests.support import by_api
from tests.support.by_api import created, soon, status
from tests.support.house import House, compact, wait_for
from tests.support.recorder import Recorder, whole
from tests.support.wire import exchange, head

CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"
TOKEN: Final = "the-operators-own-admin-token-3f9a"
METRICS_TOKEN: Final = "the-scrapers-own-token-81c2"
STATE_KEY: Final = "5e" * 32
OF_FILE: Final = "sk-virtual-of-the-file-77d0"
UPSTREAM: Final = "upstream-credential-of-the-file-1b6e"
UPSTREAM_BY_API: Final = "upstream-credential-by-the-api-c40d"
UPSTREAM_LATER: Final = "upstream-credential-changed-9e21"
SEEN: Final = "upstream-credential-of-a-provider-that-tells-0d4c"
WRONG: Final = "sk-fg-a-key-that-nobody-ever-issued-5d13"
WRONG_TOKEN: Final = "an-admin-token-that-is-a-guess-e02f"
BROUGHT: Final = "a-secret-that-its-creator-brought-6a4b"
PROXY_PASSWORD: Final = "password-of-the-proxy-b8f3"
REDIS_PASSWORD: Final = "password-of-the-redis-7a42"

WHERE_IT_BELONGS: Final = {
    "admin-token": "made: admin-token",
    "state.key": "made: state.key",
    "dashboard-token": "made: dashboard-token",
    "quickstart-key": "OF_FILE",
}
"""Files of the state folder that are there to hold a secret: the last for the `curl` of the first screen."""

ANSWER: Final = whole(
    compact(
        {
            "object": "chat.completion",
            "model": "sim-small",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4},
        }
    )
)


@pytest.fixture(scope="module")
def provider() -> Iterator[Recorder]:
    """A provider that keeps what it is sent."""
    with Recorder(lambda _: ANSWER) as one:
        yield one


@pytest.fixture(scope="module", params=["given", "made"])
def house(
    request: pytest.FixtureRequest, provider: Recorder, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[House]:
    """The operator gives the gateway its own secrets, and its log is JSON; or it makes them, and its log is text."""
    given = request.param == "given"
    environment = {"UPSTREAM_KEY": UPSTREAM, **({"FASTGATE_STATE_KEY": STATE_KEY} if given else {})}
    house = House(tmp_path_factory.mktemp("house"), {}, workers=1, environment=environment)
    with house.simulator as running:
        house.owns_simulator = False
        sim = {"type": "sim", "base_url": running.url, "keys": [{"name": "main", "value": "${UPSTREAM_KEY}"}]}
        nowhere = {**sim, "base_url": "https://127.0.0.2:9", "proxy": f"http://user:{PROXY_PASSWORD}@127.0.0.2:9"}
        telling = {**sim, "base_url": provider.url, "keys": [{"name": "main", "value": SEEN}]}
        house.settings = {
            "admin": {"metrics_token": METRICS_TOKEN, **({"token": TOKEN} if given else {})},
            "providers": {"sim": sim, "nowhere": nowhere, "seen": telling},
            "models": {
                "small": {"targets": [{"provider": "sim", "model": "sim-small"}]},
                "kept": {"targets": [{"provider": "sim", "model": "sim-small"}], "cache": {"exact": True}},
            },
            "redis": {"url": f"redis://user:{REDIS_PASSWORD}@127.0.0.2:9/0"},
            "cache": {"exact": {"max_mb": 8, "shared": "redis"}},
            "keys": [{"id": "of-file", "secret": OF_FILE}],
            "logging": {"format": "json" if given else "text"},
        }
        with house:
            yield house


def ask(house: House, secret: str, path: str = CHAT, place: str = "authorization", **more: Any) -> str:
    """All that the client of one request is told; ``place``: the header of its secret."""
    document = {"model": "small", "max_tokens": 8, "messages": [{"role": "user", "content": "hello"}], **more}
    body = compact(document)
    value = f"Bearer {secret}" if place == "authorization" else secret
    headers = {place: value, "content-type": "application/json"}
    answer = exchange(house.port, head(path, headers, length=len(body)) + body)
    return f"{answer.status} {answer.headers} {answer.body!r}"


def script(**said: Any) -> list[dict[str, str]]:
    return [{"role": "user", "content": f"sim: {compact(said).decode()}"}]


def traffic(house: House) -> Iterator[str]:
    """What clients are told when all goes well, and when it does not."""
    echo = f"the key {UPSTREAM} is not one of ours"
    for path in (CHAT, MESSAGES):
        for stream in (False, True):
            yield ask(house, OF_FILE, path, stream=stream)
            yield ask(house, OF_FILE, path, stream=stream, messages=script(fail="500"))
            yield ask(house, OF_FILE, path, stream=stream, messages=script(fail="cut"))
        yield ask(house, WRONG, path)
        yield ask(house, OF_FILE, path, model="nowhere/sim-small")
        yield ask(house, OF_FILE, path, messages=script(status=401, body=json.dumps({"error": {"message": echo}})))
        yield ask(house, OF_FILE, f"{path}?key={WRONG}", nonsense={"a": [1]})
    for place in ("authorization", "x-api-key", "api-key", "x-goog-api-key", "x-bf-vk", "x-litellm-api-key"):
        yield ask(house, OF_FILE, place=place, model="seen/sim-small")
    yield ask(house, "", f"{CHAT}?key={OF_FILE}", place="x-nothing", model="seen/sim-small")


def changes(house: House, api: httpx.Client) -> tuple[list[str], list[str]]:
    """Secrets that the API issues, and what it says where it should say none."""
    keys = [{"name": "main", "value": UPSTREAM_BY_API}]
    provider = {"id": "second", "type": "sim", "base_url": house.simulator.url, "keys": keys}
    said = [api.post("/providers", json=provider).text]
    said.append(api.patch("/providers/second", json={"keys": [{"name": "main", "value": UPSTREAM_LATER}]}).text)
    issued = [created(api, "keys", id="issued")["secret"]]
    soon(house, issued[0], by_api.OK, "second/sim-small")
    issued.append(api.post("/keys/issued/rotate", params={"overlap_seconds": 60}).json()["secret"])
    said.append(api.post("/keys", json={"id": "brought", "secret": BROUGHT}).text)
    said.append(api.post("/keys", json={"id": "again", "secret": BROUGHT}).text)
    said.append(api.post("/keys", json={"id": "x", "secret": f"{WRONG} \n"}).text)
    said.append(api.post("/providers", json={**provider, "id": "p", "base_url": f"ftp://{house.port}"}).text)
    said.append(api.post("/config/reload").text)
    wrong = {"authorization": f"Bearer {WRONG_TOKEN}"}
    said.append(httpx.get(f"{house.admin_url}/api/v1/keys", headers=wrong, trust_env=False).text)
    return issued, said


def everything_shown(house: House, api: httpx.Client) -> Iterator[str]:
    """Each answer of the admin API that only reads, the page, and the metrics."""
    described = api.get("/openapi.json").json()["paths"]
    for path, methods in described.items():
        if "get" in methods and path.startswith("/api/v1/") and "{" not in path and not path.endswith("/live"):
            answer = api.get(path.removeprefix("/api/v1"))
            of_redis = path == "/api/v1/hosts"  # which is away here, and says so
            assert answer.status_code == (503 if of_redis else 200), f"{path}: {answer.text}"
            yield answer.text
    for one in ("/keys/issued", "/keys/of-file", "/providers/second", "/providers/sim", "/providers/nowhere"):
        yield api.get(one).text
    for row in house.requests()[:50]:
        yield api.get(f"/requests/{row['id']}").text
    with httpx.Client(base_url=house.admin_url, trust_env=False, follow_redirects=True) as browser:
        page = browser.post("/sign-in", data={"token": house.admin_token})
        assert page.status_code == 200
        yield page.text
        yield browser.get("/metrics", headers={"authorization": f"Bearer {METRICS_TOKEN}"}).text


def command(house: House, *arguments: str) -> str:
    """What a command of an operator prints, and how it stands in the process listing."""
    line = [sys.executable, "-m", "fastgate.cli.main", *arguments]
    with subprocess.Popen(
        line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=house.folder, env=house.environment
    ) as running:
        listed = Path(f"/proc/{running.pid}/cmdline").read_bytes().decode(errors="replace")
        printed, _ = running.communicate()
    return printed + listed


def processes(house: House) -> Iterator[str]:
    """The command lines of the supervisor and all that it started, as every user of the host sees them."""
    assert house.process is not None
    children = json.loads((house.state_dir / "supervisor.json").read_bytes())["children"]
    for pid in (house.process.pid, *(child["pid"] for child in children if child["pid"])):
        for name in ("cmdline", "comm", "stat"):
            yield Path(f"/proc/{pid}/{name}").read_bytes().decode(errors="replace")


def files(*folders: Path) -> Iterator[tuple[str, bytes]]:
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                yield path.name, path.read_bytes()


def members(path: Path) -> Iterator[tuple[str, bytes]]:
    """The files of a backup."""
    with tarfile.open(path) as archive:
        for member in archive:
            if (file := archive.extractfile(member)) is not None:
                yield Path(member.name).name, file.read()


def forms(secret: str) -> Iterator[bytes]:
    """As it is, in base64 and, where it stands for bytes, as these and in their base64."""
    plain = [secret.encode()]
    if len(secret) == 64:
        plain.append(bytes.fromhex(secret))
    for each in plain:
        yield each
        yield base64.b64encode(each).rstrip(b"=")
        yield base64.urlsafe_b64encode(each).rstrip(b"=")


def found_in(text: bytes, secrets: Mapping[str, str]) -> set[str]:
    return {name for name, secret in secrets.items() if any(form in text for form in forms(secret))}


def secrets_of(house: House, issued: list[str]) -> dict[str, str]:
    """All that were used, by name."""
    found = {name: value for name, value in globals().items() if name.isupper() and isinstance(value, str)}
    found |= {f"issued {number}": secret for number, secret in enumerate(issued)}
    for name in ("admin-token", "state.key", "dashboard-token"):
        if (path := house.state_dir / name).exists():
            found[f"made: {name}"] = path.read_text().strip()
    return {name: value for name, value in found.items() if value not in {CHAT, MESSAGES}}


def seen_by(provider: Recorder) -> bytes:
    """All that a provider was sent, but for the credential that it gave itself."""
    sent = []
    for each in provider.requests:
        assert each.header("authorization") == f"Bearer {SEEN}"
        others = [pair for pair in each.headers if pair[0] != "authorization"]
        sent.append(b"%b %b %b" % (each.target, repr(others).encode(), each.body))
    provider.requests.clear()
    assert len(sent) == 7
    return b"\n".join(sent)


def test_no_secret_is_anywhere_but_where_it_belongs(house: House, provider: Recorder) -> None:
    with by_api.client(house) as api:
        told = list(traffic(house))
        issued, said = changes(house, api)
        told += [ask(house, secret, model="second/sim-small") for secret in issued]
        house.settled()
        shown = [*said, *everything_shown(house, api)]
    printed = [
        command(house, *line)
        for line in (
            ("check", str(house.config)),
            ("config", "show", str(house.config)),
            ("doctor", "--config", str(house.config), "--state-dir", str(house.state_dir)),
            ("keys", "list", "--json", "--state-dir", str(house.state_dir)),
            ("report", "--by", "key,model", "--state-dir", str(house.state_dir)),
            ("state", "backup", "backup.tar.gz", "--state-dir", str(house.state_dir)),
        )
    ]
    listed = list(processes(house))
    for number, pid in enumerate(house.pids("worker")):  # what a killed process leaves is looked through, too
        os.kill(pid, 9)
        wait_for(lambda: status(house, OF_FILE, "small") == by_api.OK, 30, f"worker {number} is back")
    house.stop()

    secrets = secrets_of(house, issued)
    assert len(secrets) >= 15
    assert not found_in(seen_by(provider), secrets)
    texts = {"clients": told, "admin API": shown, "commands": printed, "process listing": listed}
    for where, some in texts.items():
        assert not found_in("\n".join(some).encode(), secrets), where
    log = house.log.read_bytes()
    assert not found_in(log, secrets)
    if house.settings["logging"]["format"] == "json":
        assert all(json.loads(line) for line in log.splitlines())
    assert any(b"request" in line for line in log.splitlines()), "nothing that could have told was logged"
    kept = [*files(house.state_dir, house.arena_dir), *members(house.folder / "backup.tar.gz")]
    assert len(kept) > 10
    for name, data in kept:
        assert found_in(data, secrets) <= {WHERE_IT_BELONGS.get(name)}, name
