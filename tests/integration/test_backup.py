"""What a backup is worth: after a restore, spend, budgets, keys and audit are what they were when it was made."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from fastgate.backup.contents import LOCKS, MEMBERS, PASSING, RESTORED, RESTORING
from tests.integration.test_arena_lost import ask, standing
from tests.support import by_api
from tests.support.by_api import OK, created, status
from tests.support.house import House, key, secret

SETTINGS = {
    "customers": [{"id": "acme", "budgets": [{"limit_usd": "1000", "window": "month"}]}],
    "teams": [{"id": "platform", "customer": "acme", "budgets": [{"limit_usd": "0.01", "window": "week"}]}],
    "keys": [
        key("ide", team="platform", budgets=[{"limit_usd": "9", "window": {"every": 3, "unit": "day"}}]),
        key("batch", team="platform", budgets=[{"limit_usd": "100", "window": "lifetime"}]),
        key("spent", team="platform", budgets=[{"limit_usd": "0.00025", "window": "lifetime"}]),
    ],
}


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "fastgate.cli.main", *arguments]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FASTGATE_")}
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, cwd=folder, env=environment)


def command(house: House, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run(house.folder, *arguments, "--state-dir", str(house.state_dir))


def picture(house: House) -> dict[str, Any]:
    """All that has to be the same again."""
    house.settled()
    return {
        "budgets": standing(house),
        "spend": house.admin("spend", by="key,team,model,tag:job"),
        "requests": house.requests(),
        "keys": house.admin("keys")["items"],
        "providers": house.admin("providers")["items"],
        "audit": house.admin("audit")["items"],
    }


def traffic(house: House, made: str) -> None:
    for name in ("ide", "batch", "ide", "spent", "spent", "spent"):
        ask(house, name)
    answer = httpx.post(
        f"{house.openai_url}/chat/completions",
        headers={"authorization": f"Bearer {made}", "x-fastgate-tags": "job=42"},
        json={"model": "sim/sim-small", "max_tokens": 20, "messages": [{"role": "user", "content": "hello"}]},
        trust_env=False,
        timeout=30,
    )
    assert answer.status_code == 200, answer.text


def create(house: House, id_: str) -> str:
    made = command(house, "keys", "create", id_, "--team", "platform", "--budget", "2/day")
    assert made.returncode == 0, made.stderr
    return made.stdout.strip()


def with_backup(house: House, archive: Path) -> dict[str, Any]:
    """Traffic, and a backup while it serves; the picture at that moment."""
    traffic(house, create(house, "laptop"))
    house.settled()
    (house.state_dir / "host").write_text("a-host\n")
    (house.state_dir / "peers-of-prod").write_text("a-host\nb-host\n")
    (house.state_dir / "loans-of-prod").write_text("{}")
    assert command(house, "budgets", "reset", "key:batch/lifetime/default").returncode == 0
    ask(house, "batch")
    before = picture(house)
    made = command(house, "state", "backup", str(archive), "--json")
    assert made.returncode == 0, made.stderr
    members = [member["name"] for member in json.loads(made.stdout)["members"]]
    small = ["state.key", "admin-token", "host", "quickstart-key", "peers-of-prod"]
    assert members == ["state.db", "ledger.duckdb", *small]
    assert archive.stat().st_mode & 0o777 == 0o600
    return before


def test_a_backup_while_it_runs_is_restored_elsewhere(tmp_path: Path) -> None:
    archive = tmp_path / "backup.tar.gz"
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
    with House(tmp_path / "one", SETTINGS, workers=2, simulator={}) as house:
        with by_api.client(house) as api:
            keys = [{"name": "main", "value": "upstream-secret-two"}]
            created(api, "providers", id="second", type="sim", base_url=house.simulator.url, keys=keys)
        sealed = create(house, "sealed")
        before = with_backup(house, archive)
        traffic(house, create(house, "later"))
        assert picture(house) != before
        token = house.admin_token
        assert not list(house.state_dir.glob("*backup*"))
        other = House(tmp_path / "two", SETTINGS, workers=2, simulator=house.simulator)
        restored = command(other, "state", "restore", str(archive))
        assert restored.returncode == 0, restored.stderr
        with other:
            assert other.admin_token == token
            assert (other.state_dir / "host").read_text() == "a-host\n", "among others it is the same"
            assert (other.state_dir / "peers-of-prod").read_text() == "a-host\nb-host\n"
            assert not (other.state_dir / "loans-of-prod").exists()
            assert picture(other) == before
            assert ask(other, "spent").headers["x-fastgate-error"] == "budget_exceeded"
            cost = Decimal(ask(other, "ide").headers["x-fastgate-cost-usd"])
            other.settled()
            team = "team:platform/week/default"
            spent = Decimal(before["budgets"][team]["spent_usd"])
            assert Decimal(standing(other)[team]["spent_usd"]) == spent + cost
            assert status(other, sealed, "second/sim-small") == OK
            assert "upstream-secret-two" in {row["key"] for row in other.bill()["by_key"]}


def test_a_restore_in_place_forgets_what_came_after_the_backup(tmp_path: Path) -> None:
    """The arena of the same folder counts that: it must not be believed."""
    archive = tmp_path / "backup.tar.gz"
    with House(tmp_path, SETTINGS, workers=1, simulator={}) as house:
        before = with_backup(house, archive)
        refused = command(house, "state", "restore", str(archive), "--force")
        assert (refused.returncode, "already running" in refused.stderr) == (1, True), refused.stderr
        traffic(house, create(house, "later"))
        house.settled()
        house.pause("control")
        ask(house, "ide")  # in the journal alone
        house.kill_everything()
        refused = command(house, "state", "restore", str(archive))
        assert (refused.returncode, "--force sets it aside" in refused.stderr) == (1, True), refused.stderr
        assert command(house, "state", "restore", str(archive), "--force").returncode == 0
        [aside] = house.state_dir.glob("replaced-*")
        assert {"state.db", "ledger.duckdb", "admin-token"} <= {path.name for path in aside.iterdir()}
        house.start()
        assert picture(house) == before
        house.stop()
        house.start()  # the arena is the new one's now
        assert picture(house) == before
        assert len(list(house.arena_dir.glob("replaced-*"))) == 1


def test_a_backup_of_a_stopped_gateway_is_the_same(tmp_path: Path) -> None:
    archive = tmp_path / "backup.tar.gz"
    (tmp_path / "two").mkdir()
    with House(tmp_path, SETTINGS, workers=1, simulator={}) as house:
        traffic(house, create(house, "laptop"))
        before = picture(house)
        house.stop()
        kept = {path.name: path.read_bytes() for path in house.state_dir.iterdir() if path.name in MEMBERS}
        made = command(house, "state", "backup", str(archive))
        assert made.returncode == 0, made.stderr
        assert {name: (house.state_dir / name).read_bytes() for name in kept} == kept
        again = command(house, "state", "backup", str(archive))
        assert (again.returncode, "--force replaces it" in again.stderr) == (1, True)
        assert command(house, "state", "backup", str(archive), "--force").returncode == 0
        other = House(tmp_path / "two", SETTINGS, workers=1, simulator=house.simulator)
        assert command(other, "state", "restore", str(archive)).returncode == 0
        with other:
            assert picture(other) == before


def test_what_a_killed_gateway_did_not_book_is_not_left_out_of_a_backup_unnoticed(tmp_path: Path) -> None:
    archive = tmp_path / "backup.tar.gz"
    with House(tmp_path, SETTINGS, workers=1, simulator={}) as house:
        house.pause("control")
        ask(house, "ide")
        house.kill_everything()
        made = command(house, "state", "backup", str(archive))
        assert (made.returncode, "was cut off" in made.stderr) == (1, True), made.stderr
        assert not archive.exists()
        house.start()
        assert command(house, "state", "backup", str(archive)).returncode == 0


def test_backups_go_on_beside_traffic_and_each_is_whole(tmp_path: Path) -> None:
    (tmp_path / "two").mkdir()
    with House(tmp_path, SETTINGS, workers=2, simulator={}) as house:
        counts = []
        for number in range(3):
            for _ in range(20):
                assert ask(house, "batch").status_code == 200
            made = command(house, "state", "backup", str(tmp_path / f"{number}.tar.gz"))
            assert made.returncode == 0, made.stderr
            other = House(tmp_path / "two", SETTINGS, workers=1, simulator=house.simulator)
            made = command(other, "state", "restore", str(tmp_path / f"{number}.tar.gz"), "--force")
            assert made.returncode == 0, made.stderr
            with other:
                total = other.admin("spend")["total"]
                counts.append(total["requests"])
                spent = standing(other)["key:batch/lifetime/default"]["spent_usd"]
                assert spent == total["cost_usd"]
        assert counts == [20, 40, 60]  # what was answered before the backup is in it


def test_nothing_starts_from_half_a_restore(tmp_path: Path) -> None:
    with House(tmp_path, SETTINGS, workers=1, simulator={}) as house:
        archive = tmp_path / "backup.tar.gz"
        assert command(house, "state", "backup", str(archive)).returncode == 0
        house.stop()
        (house.state_dir / RESTORING).touch()
        options = ["--config", str(house.config), "--port", str(house.port), "--admin-port", str(house.admin_port)]
        served = command(house, "serve", *options)
        assert (served.returncode, "was interrupted" in served.stderr) == (1, True), served.stderr
        assert command(house, "state", "restore", str(archive), "--force").returncode == 0
        assert not (house.state_dir / RESTORING).exists()
        house.start()


def test_every_file_of_a_state_folder_is_known_to_backups(tmp_path: Path) -> None:
    with House(tmp_path, SETTINGS, workers=1, simulator={}) as house:
        ask(house, "ide")
        house.settled()
        found = {path.name for path in house.state_dir.iterdir()}
        assert found <= {*MEMBERS, *PASSING, *LOCKS, RESTORED}
        assert {"state.db", "ledger.duckdb", "admin-token"} <= found


def test_the_documented_commands_do_what_they_say(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
    block = page.partition("## Backup and restore")[2].partition("```sh\n")[2].partition("```")[0]
    with House(tmp_path, SETTINGS, workers=1, simulator={}) as house:
        environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "FASTGATE_STATE_DIR": str(house.state_dir),
        }
        done = subprocess.run(
            ["bash", "-e", "-c", block], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert {"state.db", "ledger.duckdb", "admin-token"} <= {
            path.name for path in (tmp_path / "restored-state").iterdir()
        }


def truncate(archive: bytes) -> bytes:
    return archive[:-20]


def cut_in_half(archive: bytes) -> bytes:
    return archive[: len(archive) // 2]


def alter(archive: bytes) -> bytes:
    middle = len(archive) // 2
    return archive[:middle] + bytes([archive[middle] ^ 0xFF]) + archive[middle + 1 :]


def nothing(_: bytes) -> bytes:
    return b""


@pytest.mark.parametrize("damage", [truncate, cut_in_half, alter, nothing])
def test_a_damaged_backup_is_refused_and_the_state_stays(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    archive, folder = tmp_path / "backup.tar.gz", tmp_path / "state"
    folder.mkdir()
    with House(tmp_path / "state", SETTINGS, workers=1, simulator={}) as house:
        assert command(house, "state", "backup", str(archive)).returncode == 0
        house.stop()
        archive.write_bytes(damage(archive.read_bytes()))
        before = {path.name for path in house.state_dir.iterdir()}
        refused = command(house, "state", "restore", str(archive), "--force")
        assert refused.returncode == 1
        assert "Traceback" not in refused.stderr
        assert {path.name for path in house.state_dir.iterdir()} == before


def test_nothing_of_a_secret_is_said(tmp_path: Path) -> None:
    with House(tmp_path, SETTINGS, workers=1, simulator={}) as house:
        made = command(house, "state", "backup", str(tmp_path / "backup.tar.gz"), "--json")
        said = made.stdout + made.stderr + house.log.read_text()
        assert house.admin_token not in said
        assert secret("ide") not in said
