"""What was spent survives the loss of the arena: a damaged one is set aside, its counters come from the ledger."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from signal import SIGBUS
from typing import Any

import httpx
import pytest

from tests.support.house import House, key, secret

SIM = {"provider": "sim", "budgets": [{"limit_usd": "300", "window": "lifetime"}]}
THREE_DAYS = {"every": 3, "unit": "day"}
SETTINGS = {
    "customers": [{"id": "acme", "budgets": [{"limit_usd": "1000", "window": "month"}]}],
    "teams": [{"id": "platform", "customer": "acme", "budgets": [{"limit_usd": "0.01", "window": "week"}]}],
    "keys": [
        key("ide", team="platform", budgets=[{"limit_usd": "9", "window": THREE_DAYS}], providers=[SIM]),
        key("batch", team="platform", budgets=[{"limit_usd": "100", "window": "lifetime"}]),
        key("paced", limits=[{"requests": 1, "window": "day"}, {"tokens": 9000, "window": "month"}, {"concurrent": 1}]),
        key("spent", team="platform", budgets=[{"limit_usd": "0.00025", "window": "lifetime"}]),
    ],
}  # fmt: skip
UNTOUCHED = ("spent_usd", "held_usd", "limit_usd", "resets_at")
ID = b"team:platform/"


def remove(path: Path) -> None:
    path.unlink()


def truncate(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def replace_by_another(path: Path) -> None:
    path.write_bytes(b"\x7fELF" + bytes(path.stat().st_size))


def alter_layout(path: Path) -> None:
    """As an earlier version left it."""
    overwrite(path, 8, b"\x00")


def alter_boot(path: Path) -> None:
    """As it is found after the machine was started again."""
    raw = path.read_bytes()[:4096]
    start = raw.index(Path("/proc/sys/kernel/random/boot_id").read_bytes().strip())
    overwrite(path, start, b"00000000")


def alter_a_cell(path: Path) -> None:
    overwrite(path, path.read_bytes().index(ID) + 2, b"X")


def overwrite(path: Path, at: int, value: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(value)


def ask(house: House, name: str, text: str = 'sim: {"tokens": 100}') -> httpx.Response:
    return httpx.post(
        f"{house.openai_url}/chat/completions",
        headers={"authorization": f"Bearer {secret(name)}"},
        json={"model": "sim/sim-small", "max_tokens": 200, "messages": [{"role": "user", "content": text}]},
        trust_env=False,
        timeout=30,
    )


def standing(house: House) -> dict[str, dict[str, Any]]:
    return {each["id"]: {name: each[name] for name in UNTOUCHED} for each in house.admin("budgets")["items"]}


@pytest.mark.parametrize(
    "damage", [remove, truncate, empty, replace_by_another, alter_layout, alter_boot, alter_a_cell]
)
def test_what_was_spent_survives(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    with House(tmp_path, SETTINGS, workers=1, simulator={}) as house:
        answers = [ask(house, name) for name in ("paced", "paced", "ide", "batch", "ide", "spent", "spent", "spent")]
        assert [answer.status_code for answer in answers][:6] == [200, 429, 200, 200, 200, 200]
        assert answers[-1].headers["x-fastgate-error"] == "budget_exceeded"
        house.settled()
        before = standing(house)
        assert len(before) == 6
        assert all(float(each["spent_usd"]) > 0 and float(each["held_usd"]) == 0 for each in before.values())
        house.kill_everything()
        path = house.arena_dir / "arena.bin"
        damage(path)
        damaged = path.read_bytes() if path.exists() else None
        house.start()
        assert standing(house) == before
        kept = list(house.arena_dir.glob("arena-*.damaged"))
        assert [each.read_bytes() for each in kept] == ([] if damaged is None else [damaged])
        assert ask(house, "spent").headers["x-fastgate-error"] == "budget_exceeded"
        assert [ask(house, "paced").status_code for _ in range(2)] == [200, 429], "limits begin anew"
        cost = Decimal(ask(house, "ide").headers["x-fastgate-cost-usd"])
        house.settled()
        team = "team:platform/week/default"
        assert Decimal(standing(house)[team]["spent_usd"]) == Decimal(before[team]["spent_usd"]) + cost
        rows = house.requests()
        assert len({row["id"] for row in rows}) == len(rows) == len(answers) + 4


def test_an_arena_that_is_cut_off_while_it_serves_ends_everything_with_a_word(tmp_path: Path) -> None:
    """What is mapped and not there is fatal; the next start has it all again, and keeps one of what it sets aside."""
    with House(tmp_path, SETTINGS, workers=2, simulator={}) as house:
        ask(house, "ide")
        house.settled()
        before = standing(house)
        empty(house.arena_dir / "arena.bin")
        assert house.ends() == -SIGBUS
        assert house.log.read_text().count("Fatal Python error: Bus error") >= 2, "of a worker and of the supervisor"
        house.start()
        assert standing(house) == before
        assert ask(house, "ide").status_code == 200
        house.settled()
        house.kill_everything()
        alter_layout(house.arena_dir / "arena.bin")
        house.start()
        [kept] = house.arena_dir.glob("arena-*.damaged")
        assert kept.stat().st_size > 0, "the last one"


def test_what_was_in_the_journals_only_is_not_lost_with_the_arena(tmp_path: Path) -> None:
    """Settled, but not in the ledger yet: the control process did not live to take it."""
    with House(tmp_path, SETTINGS, workers=1, simulator={}) as house:
        ask(house, "ide")
        house.settled()
        house.pause("control")
        costs = [ask(house, "batch").headers["x-fastgate-cost-usd"] for _ in range(5)]
        house.kill_everything()
        alter_layout(house.arena_dir / "arena.bin")
        house.start()
        house.settled()
        rows = house.requests(key="batch")
        assert sorted(row["cost_usd"] for row in rows) == sorted(costs)
        assert Decimal(standing(house)["key:batch/lifetime/default"]["spent_usd"]) == sum(map(Decimal, costs))
