"""With the arena lost and the ledger unreadable nobody knows what was spent: what a budget binds is not served."""

import subprocess
import sys
import threading
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.house import House, key, secret, wait_for

SPENT = "key:spent/lifetime/default"
SETTINGS = {
    "keys": [
        key("spent", budgets=[{"limit_usd": "0.00025", "window": "lifetime"}]),
        key("bound", budgets=[{"limit_usd": "10", "window": "month"}]),
        key("free"),
    ]
}


def ask(house: House, name: str, path: str = "chat/completions") -> httpx.Response:
    return httpx.post(
        f"{house.openai_url}/{path}",
        headers={"authorization": f"Bearer {secret(name)}"},
        json={
            "model": "sim/sim-small",
            "max_tokens": 200,
            "messages": [{"role": "user", "content": 'sim: {"tokens": 100}'}],
        },
        trust_env=False,
        timeout=30,
    )


def command(house: House, *arguments: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "fastgate.cli.main", *arguments, "--state-dir", str(house.state_dir)]
    return subprocess.run(line, cwd=house.folder, capture_output=True, text=True, check=False, timeout=60)


def lose(house: House) -> bytes:
    """Everything that knows what was spent, but for the ledger's bytes, which are returned."""
    house.settled()
    house.kill_everything()
    ledger = house.state_dir / "ledger.duckdb"
    kept = ledger.read_bytes()
    (house.arena_dir / "arena.bin").unlink()
    ledger.write_bytes(b"no ledger" * 1000)
    return kept


def spend(house: House) -> None:
    while ask(house, "spent").status_code == 200:
        pass
    assert ask(house, "spent").headers["x-fastgate-error"] == "budget_exceeded"
    assert ask(house, "bound").status_code == 200


def refused(house: House, name: str = "bound") -> dict[str, Any]:
    answer = ask(house, name)
    assert answer.status_code == 503
    assert answer.headers["x-fastgate-error"] == "overloaded"
    assert answer.headers["retry-after"] == "60"
    return dict(answer.json())


def test_what_a_budget_binds_is_refused_until_the_ledger_can_be_read(tmp_path: Path) -> None:
    with House(tmp_path, SETTINGS, workers=2, simulator={}) as house:
        spend(house)
        before = {name: house.budget(f"key:{name}/{window}/default")["spent_usd"]
                  for name, window in (("spent", "lifetime"), ("bound", "month"))}  # fmt: skip
        kept = lose(house)
        house.start()
        billed = house.bill()["total"]
        for name in ("spent", "bound"):
            assert "fastgate state accept-loss" in refused(house, name)["error"]["message"]
        assert house.bill()["total"] == billed
        free = ask(house, "free")
        assert free.status_code == 200
        status = house.admin("status")["arena"]
        assert not status["counted"]
        assert "ledger" in status["not_compared"]
        found = command(house, "doctor")
        assert "what was spent is not known" in found.stdout
        metrics = httpx.get(f"{house.admin_url}/metrics", trust_env=False).text
        assert "fastgate_counters_known 0.0" in metrics
        damaged = house.state_dir / "ledger.duckdb"
        assert damaged.read_bytes() == b"no ledger" * 1000, "it is refused, and never written to"
        damaged.with_suffix(".put-right").write_bytes(kept)
        damaged.with_suffix(".put-right").replace(damaged)
        wait_for(lambda: house.admin("status")["arena"]["counted"], 20, "the counters are back")
        assert {name: house.budget(f"key:{name}/{window}/default")["spent_usd"]
                for name, window in (("spent", "lifetime"), ("bound", "month"))} == before  # fmt: skip
        assert ask(house, "spent").headers["x-fastgate-error"] == "budget_exceeded"
        assert ask(house, "bound").status_code == 200
        house.settled()
        assert house.admin("status")["arena"]["not_compared"] is None
        spent = sum(Decimal(row["cost_usd"]) for row in house.requests(key="bound"))
        assert Decimal(house.budget("key:bound/month/default")["spent_usd"]) == spent
        assert len(house.requests(key="free")) == 1, "what was served meanwhile is in the ledger, once"


def test_the_loss_can_be_accepted(tmp_path: Path) -> None:
    with House(tmp_path, SETTINGS, workers=1, simulator={}) as house:
        spend(house)
        assert command(house, "state", "accept-loss").returncode == 1
        lose(house)
        house.start()
        refused(house, "spent")
        house.kill_everything()  # the refusal outlives everything that could forget it
        house.start()
        refused(house, "spent")
        done = command(house, "state", "accept-loss")
        assert (done.returncode, done.stdout) == (0, "")
        assert "not counted" in done.stderr
        assert ask(house, "spent").status_code == 200
        assert house.admin("status")["arena"]["counted"]
        assert house.admin("audit")["items"][0]["action"] == "accept-loss"
        again = command(house, "state", "accept-loss")
        assert again.returncode == 1
        assert "no loss to accept" in again.stderr


def test_a_ledger_that_is_gone_is_missed(tmp_path: Path) -> None:
    """A new one in its place knows nothing of what was spent."""
    with House(tmp_path, SETTINGS, workers=1, simulator={}) as house:
        spend(house)
        lose(house)
        for path in house.state_dir.glob("ledger.duckdb*"):
            path.unlink()
        house.start()
        assert house.admin("status")["ledger"]["open"]
        refused(house, "spent")
        assert "is gone" in house.admin("status")["arena"]["not_compared"]
        house.stop()
        house.start()
        refused(house, "spent")
        assert command(house, "state", "accept-loss").returncode == 0
        assert ask(house, "spent").status_code == 200
        house.settled()
        house.kill_everything()
        (house.arena_dir / "arena.bin").unlink()
        house.start()
        assert house.admin("status")["arena"]["counted"], "the new ledger is the one that knows, from then on"
        assert Decimal(house.budget(SPENT)["spent_usd"]) > 0


def test_no_request_is_admitted_before_the_counters_are_back(tmp_path: Path) -> None:
    """From the moment that the port listens a client asks with a spent key: no worker may take it for a fresh one."""
    with House(tmp_path, SETTINGS, workers=2, simulator={}) as house:
        spend(house)
        house.settled()
        limit = Decimal("0.00025")
        for _ in range(3):
            house.kill_everything()
            (house.arena_dir / "arena.bin").unlink()
            answers: list[httpx.Response] = []
            ending = threading.Event()

            def hammer(answers: list[httpx.Response] = answers, ending: threading.Event = ending) -> None:
                while not ending.is_set():
                    try:
                        answers.append(ask(house, "spent"))
                    except httpx.TransportError:
                        time.sleep(0.001)  # nothing listens yet

            client = threading.Thread(target=hammer)
            client.start()
            house.start()
            wait_for(lambda answers=answers: len(answers) > 20, 30, "some answers")
            ending.set()
            client.join()
            assert {answer.status_code for answer in answers} <= {402, 503}
        assert Decimal(house.budget(SPENT)["spent_usd"]) <= limit


@pytest.mark.parametrize("damage", ["foreign", "truncated", "empty", "log"])
def test_a_damaged_ledger_is_refused_and_traffic_goes_on(tmp_path: Path, damage: str) -> None:
    """The arena is sound, so budgets are exact; the journals keep the events until the ledger is right."""
    with House(tmp_path, SETTINGS, workers=1, simulator={}) as house:
        spend(house)
        house.settled()
        before = {row["id"] for row in house.requests()}
        house.kill_everything()
        path, log = (house.state_dir / name for name in ("ledger.duckdb", "ledger.duckdb.wal"))
        kept, kept_log = path.read_bytes(), log.read_bytes() if log.exists() else None
        damaged, damaged_log = kept, kept_log
        if damage == "log":
            log.write_bytes(damaged_log := b"no log at all" * 100)
        else:
            damaged = {"foreign": b"%PDF" * 4096, "truncated": kept[: len(kept) // 2], "empty": b""}[damage]
            path.write_bytes(damaged)
        house.start()
        assert house.admin("status")["arena"]["counted"]
        assert ask(house, "spent").headers["x-fastgate-error"] == "budget_exceeded"
        assert ask(house, "bound").status_code == 200
        found = house.admin("status")["ledger"]
        assert not found["open"], damage
        assert found["error"]
        assert "ledger.duckdb" in house.log.read_text()
        assert path.read_bytes() == damaged
        assert not damaged_log or log.read_bytes() == damaged_log
        log.unlink(missing_ok=True)
        path.with_suffix(".right").write_bytes(kept)
        if kept_log is not None:
            log.write_bytes(kept_log)
        path.with_suffix(".right").replace(path)
        wait_for(lambda: house.admin("status")["ledger"]["open"], 20, "the ledger is open")
        house.settled()
        rows = [row["id"] for row in house.requests()]
        assert len(rows) == len(set(rows)) == len(before) + 2
        assert before < set(rows)
