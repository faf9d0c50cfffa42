"""Every message that docs/troubleshooting.md quotes is produced here, and reads as the page says."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from tests.support.documents import ROOT
from tests.support.house import House, free_port, key, secret

PAGE = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
QUOTES = re.findall(r"^\| `([^`]+)`", PAGE, re.MULTILINE)
CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"
MANY = "x" * 1_100_000
AHEAD_SECONDS = 3600


def pattern(quote: str) -> re.Pattern[str]:
    """A quote with anything in the place of each ``…``."""
    return re.compile(".+".join(map(re.escape, quote.split("…"))), re.DOTALL)


def quoted(text: str) -> str:
    """The one quote of the page that is in a text."""
    found = [quote for quote in QUOTES if pattern(quote).search(text)]
    assert len(found) == 1, f"{found} for: {text}"
    return found[0]


def settings(house: House) -> dict[str, Any]:
    upstream = [{"name": "k", "value": "upstream-key"}]
    sim = {"type": "sim", "base_url": house.simulator.url, "keys": upstream}
    nothing = {"type": "openai-compatible", "base_url": house.simulator.openai_url, "keys": upstream}
    day = {"limit_usd": "100", "window": "day"}
    return {
        "server": {"max_body_mb": 1},
        "disconnect": {"read_seconds": 1},  # the stream that is open is nobody's at the end
        "providers": {
            "sim": sim,
            "absent": {**sim, "base_url": f"http://127.0.0.1:{free_port()}"},
            "impatient": {**sim, "timeout_seconds": {"first_byte": 0.2}},
            "keyless": {**sim, "keys": [{**upstream[0], "models": ["other"]}]},
            "openai-only": nothing,
        },
        "keys": [
            key("plain"),
            key("expired", expires="2020-01-01T00:00:00Z"),
            key("spent", budgets=[{"limit_usd": "0.000001", "window": "day"}]),
            key("strict", budgets=[{**day, "bound": "strict"}]),
            key("budgeted", budgets=[day]),
            key("narrow", models=["sim/sim-large"]),
            key("elsewhere", providers=[{"provider": "absent"}]),
            key("paced", limits=[{"requests": 1, "window": "day"}]),
            key("crowded", limits=[{"concurrent": 1}]),
            key("little", limits=[{"tokens": 5, "window": "day"}]),
            key("bound", allowed_ips=["192.0.2.0/24"]),
        ],
    }


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    house = House(tmp_path_factory.mktemp("house"), {}, workers=1)
    with house.simulator:
        house.owns_simulator = False
        house.settings = settings(house)
        with house, open_stream(house, "crowded"):
            assert answer(house, "paced").status_code == 200
            yield house


@contextmanager
def open_stream(house: House, name: str) -> Iterator[None]:
    """An answer that takes its time, so that a request is open."""
    body = {"model": "sim/sim-small", "stream": True, **says(ttft_ms=0, chunk_ms=60_000)}
    headers = {"authorization": f"Bearer {secret(name)}"}
    with httpx.stream("POST", house.url + CHAT, json=body, headers=headers, trust_env=False, timeout=30) as stream:
        assert stream.status_code == 200
        yield


def answer(house: House, name: str | None, path: str = CHAT, **more: Any) -> httpx.Response:
    """To a request with ``headers`` and these members of its body."""
    headers = more.pop("headers", {}) | ({} if name is None else {"authorization": f"Bearer {secret(name)}"})
    body = {"model": "sim/sim-small", "max_tokens": 8, "messages": [{"role": "user", "content": "hi"}], **more}
    return httpx.post(house.url + path, json=body, headers=headers, trust_env=False, timeout=30)


def says(**script: str | int) -> dict[str, Any]:
    """Messages that tell the simulator what to do."""
    return {"messages": [{"role": "user", "content": f"sim: {json.dumps(script)}"}]}


HOSTED = {"tools": [{"type": "web_search_20250305", "name": "web_search"}]}
NO_ROOM = "The … limit '…' has no room for this request: it allows"
REFUSALS: list[tuple[str, int, str | None, dict[str, Any]]] = [
    ("The API key is missing", 401, None, {}),
    ("The API key is unknown", 401, "nobody", {}),
    ("The API key '…' expired", 401, "expired", {}),
    ("The … budget '…' does not cover", 402, "spent", {}),
    (f"{NO_ROOM} …, of which … are taken, and this request may", 429, "paced", {}),
    (f"{NO_ROOM} … concurrent", 429, "crowded", {}),
    (f"{NO_ROOM} …, of which … are taken, and this request alone", 429, "little", {}),
    ("The … budget '…' is strict", 400, "strict", {"path": MESSAGES, **HOSTED}),
    ("The key '…' may not use the model", 403, "narrow", {}),
    ("The key '…' may not use a provider", 403, "elsewhere", {}),
    ("The key '…' may not be used from", 403, "bound", {}),
    ("The model '…' is neither", 404, "plain", {"model": "gpt-none"}),
    ("There is nothing at", 404, "plain", {"path": "/v2/chat"}),
    ("Nothing prices the model", 400, "budgeted", {"model": "openai-only/unheard-of"}),
    ("The model '…' is served in the dialect", 400, "plain", {"path": MESSAGES, "model": "openai-only/sim-small"}),
    ("'…' is not supported yet.", 400, "plain", {"path": "/v1/responses"}),
    ("The body is larger", 413, "plain", {"messages": [{"role": "user", "content": MANY}]}),
    ("The provider '…' could not be connected", 502, "plain", {"model": "absent/sim-small"}),
    ("The provider '…' gave no answer in time", 504, "plain", {"model": "impatient/sim-small", **says(fail="hang")}),
    ("The provider '…' closed the connection", 502, "plain", says(fail="cut")),
    ("The request says 'x-fastgate-cache: only', and", 504, "plain", {"headers": {"x-fastgate-cache": "only"}}),
    ("No provider key serves the model", 503, "plain", {"model": "keyless/sim-small"}),
]  # fmt: skip
"""How a quote begins, the status that the page says, the key, and what is asked."""


@pytest.mark.parametrize(("begins", "status", "name", "asked"), REFUSALS, ids=lambda value: str(value)[:40])
def test_a_request_fails_as_the_page_says(
    house: House, begins: str, status: int, name: str | None, asked: dict[str, Any]
) -> None:
    refused = answer(house, name, **asked)
    assert refused.status_code == status, refused.text
    quote = quoted(refused.json()["error"]["message"])
    assert quote.startswith(begins)
    assert f"| `{quote}` ({status}" in PAGE
    section = PAGE.split(f"| `{quote}`")[0].rpartition("\n## ")[2].partition("\n")[0]
    if section == "A request is refused":
        assert ("retry-after" in refused.headers) == (name in ("paced", "crowded"))
        assert ("x-should-retry" in refused.headers) == ("retry-after" not in refused.headers)


STARTS = ("port … is in use", "fastgate is already running")


@pytest.mark.parametrize("begins", STARTS)
def test_it_does_not_start_as_the_page_says(house: House, begins: str) -> None:
    port, folder = (house.port, house.folder / "another") if "port" in begins else (free_port(), house.state_dir)
    served = command_of(
        house, "serve", "--port", str(port), "--admin-port", str(free_port()), "--state-dir", str(folder)
    )
    assert served.returncode == 1
    assert quoted(served.stderr).startswith(begins)


def command_of(house: House, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "fastgate.cli.main", *arguments]
    return subprocess.run(command, cwd=house.folder, capture_output=True, text=True, check=False, timeout=60)


LATER = ("…: set aside as …", "the ledger is not available", "the state folder was written", "Fatal Python error")


def test_what_is_damaged_is_said_as_on_the_page(tmp_path_factory: pytest.TempPathFactory) -> None:
    said = []
    with House(tmp_path_factory.mktemp("damaged"), {"keys": [key("plain")]}, workers=1) as house:
        house.stop()
        (house.arena_dir / "arena.bin").write_bytes(b"no arena")
        ledger = house.state_dir / "ledger.duckdb"
        ledger.write_bytes(b"no ledger" * 1000)
        house.start()
        said += [line for line in house.log.read_text().splitlines() if "set aside" in line]
        assert answer(house, "plain").status_code == 200  # traffic goes on
        spend = httpx.get(
            f"{house.admin_url}/api/v1/spend", headers={"authorization": f"Bearer {house.admin_token}"}, trust_env=False
        )
        assert (spend.status_code, spend.json()["type"]) == (503, "urn:fastgate:problem:ledger_unavailable")
        said.append(spend.json()["detail"])
        assert "counters cannot be compared with the ledger" in house.log.read_text()
        assert house.admin("status")["arena"]["not_compared"]
        ahead = (house.state_dir / "admin-token").stat().st_mtime + AHEAD_SECONDS
        os.utime(house.state_dir / "admin-token", (ahead, ahead))
        findings = command_of(house, "doctor", "--state-dir", str(house.state_dir)).stdout.splitlines()
        said += [line for line in findings if "after now" in line]
        (house.arena_dir / "arena.bin").write_bytes(b"")
        house.ends()
        said.append(next(line for line in house.log.read_text().splitlines() if "Bus error" in line))
    assert [quoted(line).startswith(begins) for line, begins in zip(said, LATER, strict=True)] == [True] * len(LATER)


WITHOUT = ("semantic does not serve",)


def test_what_goes_on_without_the_semantic_cache_is_said_as_on_the_page(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    semantic = {"cache": {"semantic": {"embedder": {"type": "onnx", "model": "./nonexistent"}}}}
    folder = tmp_path_factory.mktemp("without")
    with House(folder, {**semantic, "keys": [key("plain", cache={"semantic": True})]}, workers=1) as house:
        assert answer(house, "plain").status_code == 200
        said = next(line for line in house.log.read_text().splitlines() if "does not serve" in line)
    assert quoted(said).startswith(WITHOUT)


def test_no_message_of_the_page_is_left_out() -> None:
    produced = [begins for begins, *_ in REFUSALS] + [*STARTS, *LATER, *WITHOUT]
    assert len(QUOTES) == len(produced)
    assert not [quote for quote in QUOTES if not quote.startswith(tuple(produced))]
