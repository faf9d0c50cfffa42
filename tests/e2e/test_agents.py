"""Claude Code and opencode, unmodified, through the gateway to the simulator: tools, sessions, money, refusals."""

import json
import os
import re
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from fastgate.simulator.process import Simulator
from tests.support.agents import Agent, block, blocks, lines, shell, spoken
from tests.support.house import House, key, secret, wait_for

pytestmark = pytest.mark.timeout(300)

NANO = Decimal("0.000000001")
RATES = ("input", "cache_read", "cache_write", "cache_write_1h", "output")
# Said to the gateway and to the simulator, so that no change of a price list fails a test; Claude Code has its own.
LISTED = {
    "claude-opus-5-5": ("4", "0.2", "5", "8", "20"),
    "claude-sonnet-5-5": ("2", "0.1", "2.5", "4", "10"),
    "claude-haiku-5-5": ("0.1", "0.01", "0.125", "0.2", "0.5"),
    "gpt-6.1-terra": ("1", "0.05", "1.25", "1.25", "5"),
    "gpt-6-luna": ("0.1", "0.01", "0.125", "0.125", "0.5"),
}


def prices(family: str, **more: str) -> dict[str, dict[str, str]]:
    """The prices of a family of models, each with further fields."""
    named = {name: zip(RATES, usd, strict=True) for name, usd in LISTED.items() if name.startswith(family)}
    return {name: {f"{rate}_usd_per_million": usd for rate, usd in each} | more for name, each in named.items()}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("house")
    billed = folder / "prices.json"
    billed.write_text(json.dumps(prices("", behaves="cached")))
    with Simulator(seed=7, prices=billed) as simulator:
        providers = {
            type_: {
                "type": type_,
                "base_url": url,
                "keys": [{"name": "k", "value": "upstream-key"}],
                "prices": prices(family, source="list"),
            }
            for type_, url, family in (
                ("anthropic", simulator.url, "claude"),
                ("openai", simulator.openai_url, "gpt"),
            )
        }
        settings = {
            "providers": providers,
            **yaml.safe_load(blocks()["A key for a developer", "yaml"]),
            "keys": [
                *yaml.safe_load(blocks()["One key for many developers", "yaml"])["keys"],
                key("claude-spends", team="platform", budgets=[{"limit_usd": "4", "window": "day"}]),
                key("opencode-spends", team="platform", budgets=[{"limit_usd": "0.15", "window": "day"}]),
            ],
        }
        with House(folder, settings, workers=1, simulator=simulator) as house:
            yield house


@pytest.fixture
def house(running: House) -> House:
    """The house, with a bill that begins with the test."""
    running.settled()
    running.simulator.reset()
    return running


@pytest.fixture(scope="module")
def laptop(running: House) -> str:
    """The secret of the page's key, made as the page makes it."""
    return as_operator(block("A key for a developer", "sh", running), running).strip()


def as_operator(script: str, house: House) -> str:
    """What a block of commands for the gateway's host prints."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {"PATH": path, "HOME": str(house.folder), "FASTGATE_STATE_DIR": str(house.state_dir)}
    ran = shell(script, folder=house.folder, environment=environment)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def claude(house: House, folder: Path, key_secret: str, *further: str) -> Agent:
    """Claude Code, set up by the page; ``further``: headings whose exports are added."""
    exports = [block(heading, "sh", house, key_secret) for heading in ("Claude Code", "Without a way out", *further)]
    return Agent(folder, *exports)


def opencode(house: House, folder: Path, key_secret: str) -> Agent:
    """opencode, set up by the page."""
    agent = Agent(folder, block("Without a way out", "sh", house))
    (agent.work / "opencode.json").write_text(block("opencode", "json", house, key_secret))
    return agent


def script(*turns: dict[str, Any]) -> str:
    """A prompt that scripts one answer after another."""
    return f"sim: {json.dumps({'turns': turns})}"


def call(name: str, **arguments: Any) -> dict[str, Any]:
    """A turn that calls a tool."""
    return {"tools": [{"name": name, "arguments": arguments}]}


def session_of(house: House, session: str) -> list[dict[str, Any]]:
    """A session's rows, oldest first; what they cost is the whole bill of the simulator, and the API's sum for it."""
    house.settled()
    rows = house.requests(session=session)[::-1]
    cost = sum((Decimal(row["cost_usd"]) for row in rows), Decimal(0))
    bill = house.bill()["total"]
    [group] = house.admin("spend", by="session", where=f"session={session}")["groups"]
    assert cost == Decimal(group["cost_usd"]) == Decimal(bill["usd"])
    assert bill["requests"] == sum(row["settlement"] == "exact" for row in rows)
    assert not [row for row in rows if row["settlement"] not in {"exact", "none"}]
    return rows


def test_claude_code_reads_and_writes_files_and_costs_what_is_billed(house: House, laptop: str, tmp_path: Path) -> None:
    agent = claude(house, tmp_path, laptop)
    note, written = agent.work / "note.txt", agent.work / "written.txt"
    note.write_text("the word is plum\n")
    prompt = script(
        call("Read", file_path=str(note)),
        {"text": "Now I write.", **call("Write", file_path=str(written), content="by a tool\n")},
        {"text": "Both are done."},
    )
    stream = ("-p", "--output-format", "stream-json", "--verbose", "--allowedTools", "Read,Write")
    first = agent.run("claude", *stream, prompt=prompt)
    assert first.returncode == 0, spoken(first)
    *events, result = lines(first.stdout)
    assert "the word is plum" in json.dumps([event for event in events if event["type"] == "user"])
    assert written.read_text() == "by a tool\n"
    assert result["result"] == "Both are done."
    second = agent.run("claude", *stream, "--continue", prompt=script({"text": "Once more."}))
    assert lines(second.stdout)[-1]["result"] == "Once more."

    rows = session_of(house, result["session_id"])
    assert [(row["status"], row["stream"], row["model"], row["key"]) for row in rows] == [
        (200, True, "claude-opus-5-5", "laptop")
    ] * 4
    device = json.loads((agent.home / ".claude.json").read_text())["userID"]
    assert {(row["user"], row["team"]) for row in rows} == {(device, "platform")}
    printed = json.loads(first.stdout.splitlines()[-1], parse_float=Decimal)["total_cost_usd"]
    assert printed.quantize(NANO) == sum(Decimal(row["cost_usd"]) for row in rows[:3])


def test_claude_codes_tiers_are_aliases_for_sub_agents_too(house: House, laptop: str, tmp_path: Path) -> None:
    agent = claude(house, tmp_path, laptop, "Model tiers", "Whose spend it is")
    task = {"description": "Look", "prompt": script({"text": "It is plum."}), "subagent_type": "general-purpose"}
    prompt = script(call("Agent", **task, model="haiku", run_in_background=False), {"text": "Plum, it says."})
    ran = agent.run(
        "claude", "-p", "--model", "opus", "--output-format", "json", "--allowedTools", "Agent", prompt=prompt
    )
    assert ran.returncode == 0, spoken(ran)
    [result] = lines(ran.stdout)
    assert result["result"] == "Plum, it says."

    rows = session_of(house, result["session_id"])
    assert [(row["model"], row["upstream_model"], "agent" in row["tags"]) for row in rows] == [
        ("coding", "claude-sonnet-5-5", False),
        ("anthropic/claude-haiku-5-5", "claude-haiku-5-5", True),
        ("coding", "claude-sonnet-5-5", False),
    ]
    assert {(row["user"], row["tags"]["repository"], row["tags"]["branch"]) for row in rows} == {
        ("ann", "shop", "main")
    }
    offered = json.loads((agent.home / ".claude" / "cache" / "gateway-models.json").read_text())["models"]
    assert {"claude-opus-5-5", "claude-haiku-5-5", "anthropic/claude-haiku-5-5"} <= {model["id"] for model in offered}


def test_claude_code_counts_tokens_for_nothing(house: House, laptop: str, tmp_path: Path) -> None:
    ran = claude(house, tmp_path, laptop).run("claude", "-p", "--output-format", "json", prompt="/context")
    assert ran.returncode == 0, spoken(ran)
    [result] = lines(ran.stdout)
    assert "Context Usage" in result["result"]
    rows = session_of(house, result["session_id"])
    assert rows
    assert {(row["status"], row["settlement"]) for row in rows} == {(200, "none")}


def test_opencode_reads_and_writes_files_and_costs_what_is_billed(house: House, laptop: str, tmp_path: Path) -> None:
    agent = opencode(house, tmp_path, laptop)
    note, written = agent.work / "note.txt", agent.work / "written.txt"
    note.write_text("the word is plum\n")
    prompt = script(
        call("read", filePath=str(note)),
        {"text": "Now I write.", **call("write", filePath=str(written), content="by a tool\n")},
        {"text": "Both are done."},
    )
    ran = agent.run("opencode", "run", "--format", "json", prompt=prompt)
    assert ran.returncode == 0, spoken(ran)
    parts = [event["part"] for event in lines(ran.stdout)]
    assert "the word is plum" in json.dumps([part for part in parts if part["type"] == "tool"])
    assert written.read_text() == "by a tool\n"
    assert [part["text"] for part in parts if part["type"] == "text"] == ["Now I write.", "Both are done."]

    rows = session_of(house, parts[0]["sessionID"])
    assert sorted((row["status"], row["stream"], row["model"], row["user"]) for row in rows) == [
        (200, True, "small", "ann"),
        *[(200, True, "smart", "ann")] * 3,
    ]


def test_what_a_session_cost_is_seen_by_command_and_by_api(house: House, laptop: str, tmp_path: Path) -> None:
    ran = claude(house, tmp_path, laptop).run(
        "claude", "-p", "--output-format", "json", prompt=script({"text": "Yes."})
    )
    session = json.loads(ran.stdout)["session_id"]
    [row] = wait_for(lambda: house.requests(session=session), 5, "the session in the ledger")
    report, _, spend = as_operator(block("What a session cost", "sh", house), house).partition("{")
    [line] = [line for line in report.splitlines() if line.startswith(session)]
    assert line.split()[1:4] == ["claude-opus-5-5", "1", row["cost_usd"]]
    [group] = [each for each in json.loads("{" + spend)["groups"] if each["session"] == session]
    assert group["cost_usd"] == row["cost_usd"]
    assert Decimal(row["cost_usd"]) == Decimal(house.bill()["total"]["usd"])


def refusal(key_id: str) -> re.Pattern[str]:
    """What the page shows of a spent budget, with any amounts, moment and request id."""
    text = blocks()["When the budget is spent", "text"].strip().removeprefix("API Error: 402 ")
    varying = r"\$[\d.]*\d|\d{4}-[\dT:-]+Z|[0-9a-f]{32}"
    return re.compile(r"\S+".join(map(re.escape, re.split(varying, text.replace("laptop", key_id)))))


def test_claude_code_stops_at_once_when_its_budget_is_spent(house: House, tmp_path: Path) -> None:
    agent = claude(house, tmp_path, secret("claude-spends"))
    written = agent.work / "written.txt"
    usage = {"input_tokens": 5000, "output_tokens": 100_000}
    prompt = script({**call("Write", file_path=str(written), content="paid for\n"), "usage": usage}, {"text": "No."})
    ran = agent.run("claude", "-p", "--output-format", "json", "--allowedTools", "Write", prompt=prompt)
    assert ran.returncode == 1
    assert written.read_text() == "paid for\n"
    [result] = lines(ran.stdout)
    assert refusal("claude-spends").fullmatch(result["result"].removeprefix("API Error: 402 ")), result["result"]
    rows = session_of(house, result["session_id"])
    assert [(row["status"], row["error"]) for row in rows] == [(200, ""), (402, "budget_exceeded")]


MANY = 30
"""Refusals in the moment that a program takes to end; one that tried without end would reach any number."""


def test_opencode_stops_when_its_budget_is_spent(house: House, tmp_path: Path) -> None:
    agent = opencode(house, tmp_path, secret("opencode-spends"))
    written = agent.work / "written.txt"
    usage = {"prompt_tokens": 5000, "completion_tokens": 60_000}
    prompt = script({**call("write", filePath=str(written), content="paid for\n"), "usage": usage}, {"text": "No."})
    # With a title given none is asked for: the session is its turns.
    ran = agent.run("opencode", "run", "--title", "Spent", prompt=prompt)
    assert ran.returncode == 1
    assert written.read_text() == "paid for\n"
    assert refusal("opencode-spends").search(spoken(ran)), spoken(ran)
    house.settled()
    [session] = {row["session"] for row in house.requests(key="opencode-spends")}
    paid, *refused = [row["status"] for row in session_of(house, session)]
    assert paid == 200
    # On a busy machine it asks on until it has ended, which takes it a moment: every one is refused, and none costs.
    assert set(refused) == {402}
    assert len(refused) < MANY


@pytest.mark.parametrize("name", ["claude", "opencode"])
def test_a_wrong_key_is_said_at_once(house: House, tmp_path: Path, name: str) -> None:
    wrong = secret("nobody")
    if name == "claude":
        ran = claude(house, tmp_path, wrong).run("claude", "-p", prompt=script({"text": "No."}))
    else:
        ran = opencode(house, tmp_path, wrong).run("opencode", "run", prompt=script({"text": "No."}))
    assert ran.returncode == 1
    assert "The API key is unknown" in spoken(ran)
    assert wrong not in spoken(ran)
    assert not house.bill()["total"]["requests"]


def test_each_developer_of_one_key_has_a_budget(house: House) -> None:
    for name in ("ann", "bob", "ann"):
        answer = httpx.post(
            f"{house.url}/v1/messages",
            headers={"x-api-key": "sk-fg-change-me", "x-fastgate-user": name, "anthropic-version": "2023-06-01"},
            json={"model": "claude-haiku-5-5", "max_tokens": 20, "messages": [{"role": "user", "content": "Hi"}]},
            trust_env=False,
        )
        assert answer.status_code == 200, answer.text
    house.settled()
    ann, bob = (house.admin(f"budgets/user:agents/{name}/day/default") for name in ("ann", "bob"))
    assert Decimal(ann["spent_usd"]) == 2 * Decimal(bob["spent_usd"]) > 0


def test_every_block_of_the_page_is_run_here() -> None:
    assert set(blocks()) == {
        ("A key for a developer", "yaml"),
        ("A key for a developer", "sh"),
        ("One key for many developers", "yaml"),
        ("Claude Code", "sh"),
        ("opencode", "json"),
        ("Whose spend it is", "sh"),
        ("What a session cost", "sh"),
        ("Model tiers", "sh"),
        ("When the budget is spent", "text"),
        ("Without a way out", "sh"),
    }
