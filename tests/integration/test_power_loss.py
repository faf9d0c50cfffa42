"""Loss of power: memory is gone, and of files what was not synced. About a second of settlements may be lost."""

import shutil
import subprocess
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import httpx

from tests.support.house import House, key, secret, wait_for

BUDGET = "key:ide/month/default"
SETTINGS = {"keys": [key("ide", budgets=[{"limit_usd": "1000", "window": "month"}])]}
SECONDS = 1.0
"""As the documents say."""
MARGIN = 1.5
"""For a machine that has other things to do."""
SOURCE = Path(__file__).parents[1] / "support" / "synced.c"


@dataclass(frozen=True)
class Answer:
    at: float
    cost: Decimal


def synced_library(folder: Path) -> Path:
    library = folder / "synced.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", library, SOURCE, "-ldl"], check=True)
    return library


def lose_power(house: House, synced: Path) -> None:
    """Everything ends at once; what was in memory is gone, and files are as they were last synced."""
    house.kill_everything()
    shutil.rmtree(house.arena_dir)
    for name in ("ledger.duckdb", "ledger.duckdb.wal", "state.db", "state.db-wal", "state.db-shm"):
        (house.state_dir / name).unlink(missing_ok=True)
        if (synced / name).exists():
            shutil.copy(synced / name, house.state_dir / name)


def ask(house: House, by: httpx.Client) -> tuple[str, Answer]:
    body = {"model": "sim/sim-small", "max_tokens": 20, "messages": [{"role": "user", "content": 'sim: {"tokens": 3}'}]}
    answer = by.post(f"{house.openai_url}/chat/completions", json=body)
    assert answer.status_code == 200, answer.text
    said = answer.headers
    return said["x-fastgate-request-id"], Answer(time.monotonic(), Decimal(said["x-fastgate-cost-usd"]))


def traffic(house: House, answers: dict[str, Answer]) -> threading.Thread:
    """One request after another, until the gateway is gone."""

    def run() -> None:
        headers = {"authorization": f"Bearer {secret('ide')}"}
        with httpx.Client(headers=headers, trust_env=False, timeout=30) as client:
            while True:
                try:
                    id_, answer = ask(house, client)
                except httpx.TransportError:
                    return
                answers[id_] = answer

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def lost_seconds(answers: Mapping[str, Answer], kept: set[str], lost_at: float) -> float:
    """How long before the loss of power the first settlement was that is lost."""
    return max((lost_at - answer.at for id_, answer in answers.items() if id_ not in kept), default=0.0)


def test_about_a_second_of_settlements_is_lost(tmp_path: Path) -> None:
    synced = tmp_path / "synced"
    synced.mkdir()
    environment = {
        "LD_PRELOAD": str(synced_library(tmp_path)),
        "SYNCED_FROM": str(tmp_path / "state"),
        "SYNCED_TO": str(synced),
    }
    with House(tmp_path, SETTINGS, workers=1, simulator={}, environment=environment) as house:
        answers: dict[str, Answer] = {}
        lost: set[str] = set()
        for _ in range(2):
            client = traffic(house, answers)
            client_began = time.monotonic()
            wait_for(lambda began=client_began: time.monotonic() > began + 4 * SECONDS, 60, "some traffic")
            lost_at = time.monotonic()
            lose_power(house, synced)
            client.join()
            house.start()
            rows = {row["id"]: Decimal(row["cost_usd"]) for row in house.requests()}
            assert rows.keys() <= answers.keys()
            assert all(answers[id_].cost == cost for id_, cost in rows.items())
            lost |= answers.keys() - rows.keys()
            assert rows, "what was settled a second ago is synced"
            assert lost_seconds(answers, set(rows), lost_at) < SECONDS + MARGIN
            status = house.admin("status")
            assert status["arena"]["counted"]
            now = house.budget(BUDGET)
            assert (Decimal(now["spent_usd"]), Decimal(now["held_usd"])) == (sum(rows.values()), 0)
            answers = {id_: answers[id_] for id_ in rows}
    assert lost, "nothing was, though it may be that all had just been synced once: is anything simulated?"
