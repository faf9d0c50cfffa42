"""Who shares budgets, as operators see it, and going on without a host that is gone for good."""

import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Final

import httpx

from tests.support.house import House, secret, wait_for
from tests.support.redis_server import RedisServer
from tests.support.shared_hosts import BUDGET, hosts, known, learning, settings

TEAM: Final = {"limit_usd": "4.00", "window": "lifetime"}


def command(house: House, *arguments: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "fastgate.cli.main", *arguments, "--state-dir", str(house.state_dir)]
    return subprocess.run(line, cwd=house.folder, capture_output=True, text=True, check=False, timeout=60)


def listed(house: House) -> dict[str, tuple[bool, bool]]:
    """Of each host, whether it lives and whether it is awaited."""
    items = json.loads(command(house, "hosts", "list", "--json").stdout)
    return {each["host"]: (each["lives"], each["awaited"]) for each in items}


def name(house: House) -> str:
    return str(house.admin("status")["leases"]["host"])


def status_of_a_request(house: House) -> int:
    body = {"model": "sim/sim-large", "max_tokens": 8, "messages": [{"role": "user", "content": "Hello"}]}
    headers = {"authorization": f"Bearer {secret('one')}"}
    return httpx.post(f"{house.openai_url}/chat/completions", json=body, headers=headers).status_code


def test_a_redis_that_lost_its_data_goes_on_without_a_host_that_is_gone(tmp_path: Path) -> None:
    with (
        RedisServer(tmp_path) as server,
        hosts(tmp_path, [settings(server.url, "roll", TEAM)] * 2, workers=1) as [house, other],
    ):
        here, there = name(house), name(other)
        assert listed(house) == {here: (True, False), there: (True, False)}
        alive = command(house, "hosts", "forget", there)
        assert (alive.returncode, f"host {there} lives" in alive.stderr) == (1, True), alive.stderr
        assert status_of_a_request(other) == status_of_a_request(house) == 200
        assert "among 2 hosts; " in command(house, "doctor").stdout
        other.settled()
        wait_for(lambda: Decimal(house.budget(BUDGET)["spent_usd"]) > 0, 15, "it knows what it spent")
        other.kill_everything()
        server.kill()
        server.start()
        wait_for(lambda: house.admin("status")["leases"]["waits_for"] == [there], 30, "it waits")
        assert f"it waits for {there}" in (told := command(house, "doctor")).stdout + told.stderr
        assert "fastgate hosts forget NAME" in told.stdout + told.stderr
        assert listed(house) == {here: (True, False), there: (False, True)}
        assert learning(house)

        unknown = command(house, "hosts", "forget", "nobody")
        assert (unknown.returncode, "there is no host nobody" in unknown.stderr) == (1, True), unknown.stderr
        done = command(house, "hosts", "forget", there)
        assert (done.returncode, here in done.stdout, there in done.stdout) == (0, True, False), done.stderr
        wait_for(lambda: known(house) == 1, 15, "it grants again")
        assert status_of_a_request(house) == 200
        entry = house.admin("audit")["items"][0]
        assert (entry["action"], entry["collection"], entry["id"]) == ("forget", "hosts", there)

        other.start()
        wait_for(lambda: known(house) == known(other) == 2, 30, "it is a host again")
        assert status_of_a_request(other) == 200

        server.kill()
        away = command(house, "hosts", "list")
        assert (away.returncode, "cannot be asked" in away.stderr) == (1, True), away.stderr


def test_a_host_shows_what_others_spend_of_what_it_never_used(tmp_path: Path) -> None:
    """Who looks at a host behind a balancer, or at one that has just come, sees what there is to see."""
    day = {"name": "day", "limit_usd": "4.00", "window": "day"}
    calendar = {"name": "calendar", "limit_usd": "4.00", "window": "day", "calendar": True}
    said = {
        "teams": [
            {"id": "blue", "budgets": [TEAM, day, calendar], "limits": [{"tokens": 9000, "window": "hour"}]},
            {"id": "red", "budgets": [day]},
        ]
    }
    with (
        RedisServer(tmp_path) as server,
        hosts(tmp_path, [settings(server.url, "seen", TEAM, **said)] * 2, workers=1) as [house, other],
    ):
        assert status_of_a_request(house) == 200
        house.settled()
        used = {budget["id"]: budget["spent_usd"] for budget in house.admin("budgets")["items"]}
        spent = used[BUDGET]
        assert Decimal(spent) > 0
        blue = {BUDGET: spent, "team:blue/day/day": spent, "team:blue/day/calendar": spent}
        assert used == {**blue, "team:red/day/day": "0.000000000"}

        def seen() -> dict[str, str]:
            return {budget["id"]: budget["spent_usd"] for budget in other.admin("budgets")["items"]}

        wait_for(lambda: seen() == used, 5, "it shows the same")
        [limit], [mine] = (each.admin("limits")["items"] for each in (other, house))
        assert limit["used"] == mine["used"] > 0
        for each in (house, other):
            assert each.budget("team:red/day/day")["resets_at"] is None, "to look at it is no use of it"
        server.kill()
        assert seen() == used, "as it was known last"


def test_a_host_that_shares_nothing_says_so(tmp_path: Path) -> None:
    with House(tmp_path, {"keys": []}, workers=1, simulator={}) as house:
        done = command(house, "hosts", "list")
        assert (done.returncode, "shares no budgets with others" in done.stderr) == (1, True), done.stderr
