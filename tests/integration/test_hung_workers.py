"""A worker that lives and does nothing is ended and started again; what it held is resolved."""

import os
import signal
import threading
from decimal import Decimal
from pathlib import Path

import httpx

from fastgate._core.arena import Arena
from fastgate._core.owner import WORKER, owners
from tests.support.house import House, key, secret, wait_for

SETTINGS = {"keys": [key("ide", budgets=[{"limit_usd": "10", "window": "month"}])]}
BUDGET = "key:ide/month/default"
SLOW = 'sim: {"tokens": 100, "chunk_ms": 60000}'


def stream(house: House) -> None:
    body = {"model": "sim/sim-small", "stream": True, "messages": [{"role": "user", "content": SLOW}]}
    headers = {"authorization": f"Bearer {secret('ide')}"}
    try:
        httpx.post(f"{house.openai_url}/chat/completions", json=body, headers=headers, trust_env=False, timeout=60)
    except httpx.TransportError:
        return  # the worker was killed under it


def heartbeats(arena: Arena) -> list[int]:
    return [owner["heartbeat_ns"] for owner in owners(arena) if owner["kind"] == WORKER]


def test_a_stopped_worker_is_replaced_and_its_hold_is_charged(tmp_path: Path) -> None:
    with House(tmp_path, SETTINGS, workers=1, simulator={}, environment={"FASTGATE_SILENT_LOOKS": "2"}) as house:
        client = threading.Thread(target=stream, args=(house,))
        client.start()
        wait_for(lambda: house.holds() == 1, 20, "the request holds")
        held = Decimal(house.budget(BUDGET)["held_usd"])
        assert held > 0
        [stopped] = house.pids("worker")
        house.pause("worker")
        wait_for(lambda: house.pids("worker") not in ([], [stopped]), 30, "another worker")
        client.join()
        house.settled()
        [row] = house.requests()
        assert (row["settlement"], row["outcome"], Decimal(row["cost_usd"])) == ("unsettled", "unknown", held)
        now = house.budget(BUDGET)
        assert (Decimal(now["spent_usd"]), Decimal(now["held_usd"])) == (held, 0)
        assert "worker 0 has given no sign of life" in house.log.read_text()
        [worker] = [child for child in house.admin("status")["processes"] if child["name"] == "worker 0"]
        assert (worker["restarts"], worker["last_end"]) == (1, "signal SIGKILL")


def test_a_supervisor_that_was_stopped_takes_no_worker_for_dead(tmp_path: Path) -> None:
    """As after a machine slept: all that the clock says is long ago."""
    with House(tmp_path, SETTINGS, workers=2, simulator={}, environment={"FASTGATE_SILENT_LOOKS": "2"}) as house:
        before = sorted(house.pids("worker"))
        assert house.process is not None
        everyone = [house.process.pid, *before]
        for pid in everyone:
            os.kill(pid, signal.SIGSTOP)
        threading.Event().wait(4)  # longer than a worker may be silent: the time itself is what is tested
        for pid in everyone:
            os.kill(pid, signal.SIGCONT)
        arena = Arena(str(house.arena_dir / "arena.bin"))
        began = heartbeats(arena)

        def beaten() -> bool:
            return all(now > then + 2 * 10**9 for now, then in zip(heartbeats(arena), began, strict=True))

        wait_for(beaten, 30, "signs of life for two more seconds")
        assert sorted(house.pids("worker")) == before


def test_a_control_process_comes_back_while_the_configuration_is_broken(tmp_path: Path) -> None:
    with House(tmp_path, SETTINGS, workers=1, simulator={}) as house:
        good = house.config.read_text()
        house.config.write_text(good + "\nno_such_setting: 1\n")
        [control] = house.pids("control")
        os.kill(control, signal.SIGKILL)

        def back() -> bool:
            try:
                return control not in house.pids("control")
            except (OSError, AssertionError):
                return False

        wait_for(back, 30, "the control process is back")
        assert "mistakes" in house.admin("status")["config"]["error"]
        assert house.budget(BUDGET)["limit_usd"] == "10.000000000"
        kept = house.state_dir / "last-good"
        assert kept.stat().st_mode & 0o777 == 0o600
        assert b"limit_usd" not in kept.read_bytes()
        house.config.write_text(good)
        house.admin("config/reload", "POST")
        assert house.admin("status")["config"]["error"] is None
