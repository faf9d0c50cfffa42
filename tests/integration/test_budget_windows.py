"""Windows, increases, soft budgets and thresholds, through a gateway of four workers."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest

from tests.support import by_api
from tests.support.exact import HOLD, budget, request, usd
from tests.support.house import House, key, secret, wait_for
from tests.support.wire import Answer, Line, head, parallel

INCREASED_SECONDS = 20
PERCENTS = [10, 50, 80, 100]
TWO_SECONDS = 2


def settings() -> dict[str, Any]:
    soft = {"limit_usd": usd(2 * HOLD), "window": "day", "mode": "soft"}
    two_seconds = {"every": TWO_SECONDS, "unit": "second"}
    return {
        "teams": [{"id": "watched", "budgets": [budget(40, alerts_percent=PERCENTS, window="lifetime")]}],
        "keys": [
            key("aligned", budgets=[budget(3, window=two_seconds, calendar=True, timezone="Asia/Kolkata")]),
            key("rolling", budgets=[budget(3, window=two_seconds, calendar=True, rollover=True)]),
            key("slow", budgets=[budget(1, window=two_seconds)]),
            key("soft", budgets=[soft]),
            key("both", budgets=[soft, budget(4, name="hard")]),
            key("watched", team="watched"),
            key("edited", budgets=[budget(5, window="month")]),
        ],
    }


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with House(tmp_path_factory.mktemp("house"), settings(), workers=4) as house:
        yield house


def ask(house: House, name: str, times: int) -> tuple[list[Answer], list[Answer]]:
    """Requests at once; those that passed, and those that were refused."""
    answers = asyncio.run(parallel(house.port, [request(name, n, latency_ms=0) for n in range(times)]))
    passed = [answer for answer in answers if answer.status == 200]
    refused = [answer for answer in answers if answer.status == 402]
    assert len(passed) + len(refused) == times, {answer.status for answer in answers}
    return passed, refused


def known(house: House, name: str) -> None:
    """Returns when every worker knows the key."""
    headers, models = {"authorization": f"Bearer {secret(name)}"}, f"{house.openai_url}/models"

    def all_do() -> bool:
        return all(httpx.get(models, headers=headers).status_code == 200 for _ in range(8 * house.workers))

    wait_for(all_do, 20, "all workers know the key")


def spent(house: House, id_: str) -> Decimal:
    return Decimal(house.budget(id_)["spent_usd"])


def test_an_increase_is_there_until_it_ends(house: House) -> None:
    id_ = "key:increased/lifetime/default"
    until = datetime.now(UTC) + timedelta(seconds=INCREASED_SECONDS)
    increase = {"add_usd": usd(2 * HOLD), "until": until.isoformat(timespec="milliseconds")}
    wish = key("increased", budgets=[budget(1, window="lifetime")], increases=[increase])
    with by_api.client(house) as client:
        assert client.post("/keys", json=wish).status_code == 201
    known(house, "increased")
    passed, refused = ask(house, "increased", 6)
    now = house.budget(id_)
    assert (now["limit_usd"], now["limit_in_force_usd"]) == tuple(f"{Decimal(usd(n * HOLD)):.9f}" for n in (1, 3))
    assert (len(passed), len(refused)) == (3, 3)
    assert f"limit ${usd(3 * HOLD).rstrip('0')}, spent" in refused[0].body.decode()

    def ended() -> bool:
        now = house.budget(id_)
        return bool(now["limit_in_force_usd"] == now["limit_usd"])

    wait_for(ended, INCREASED_SECONDS + 5, "the increase ends")
    _, refused = ask(house, "increased", 1)
    assert f"limit ${usd(HOLD).rstrip('0')}, spent ${usd(3 * HOLD).rstrip('0')}" in refused[0].body.decode()
    assert house.budget(id_)["left_usd"] == "0.000000000"


def test_windows_of_a_calendar_turn_when_its_clock_says_so(house: House) -> None:
    id_ = "key:aligned/2-second/default"
    unused = house.budget(id_)
    assert (unused["timezone"], unused["mode"]) == ("Asia/Kolkata", "hard")
    for _ in range(2):
        before = house.budget(id_)["resets_at"]
        passed, refused = ask(house, "aligned", 8)
        resets = house.budget(id_)["resets_at"]
        assert datetime.fromisoformat(resets).timestamp() % 2 == 0
        if resets == before:  # a busy machine may have needed two windows
            assert (len(passed), len(refused)) == (3, 5)
            assert f"It resets at {resets[:19]}Z." in refused[0].body.decode()
        wait_for(lambda: spent(house, id_) == 0, 4, "the window turns")


def test_what_a_window_left_is_there_in_the_next_one_only(house: House) -> None:
    id_ = "key:rolling/2-second/default"

    def window() -> tuple[Any, int]:
        now = house.budget(id_)
        return now["resets_at"], round(Decimal(now["limit_in_force_usd"]) / Decimal(usd(HOLD)))

    assert window()[1] == 3, "its first window has the limit alone"
    while True:  # until one request and the look behind it fall into one window
        first = window()
        ask(house, "rolling", 1)
        if window()[0] == first[0]:
            break
        time.sleep(2)
    limits = [wait_for(lambda: (now := window())[0] > first[0] and now, 5, "the window turns")]
    assert limits[0][1] == 5 if limits[0][0] == after(first[0]) else 6
    wait_for(lambda: window()[1] == 6, 5, "nothing was used in the one before")


def after(resets_at: str) -> str:
    return (datetime.fromisoformat(resets_at) + timedelta(seconds=2)).isoformat().replace("+00:00", "Z")


def test_a_soft_budget_counts_and_is_never_in_the_way(house: House) -> None:
    passed, refused = ask(house, "soft", 9)
    assert (len(passed), len(refused)) == (9, 0)
    house.settled()
    assert spent(house, "key:soft/day/default") == Decimal(usd(9 * HOLD))
    assert house.budget("key:soft/day/default")["left_usd"] == "0.000000000"
    [late], _ = ask(house, "soft", 1)
    assert late.headers["x-fastgate-budget-warning"] == "key:soft/day/default"
    assert "x-fastgate-budget-left-usd" not in late.headers
    passed, refused = ask(house, "both", 9)
    assert (len(passed), len(refused)) == (4, 5)
    assert {"'key:both/day/hard'" in answer.body.decode() for answer in refused} == {True}


def test_each_threshold_is_told_once_by_all_workers(house: House) -> None:
    """On one answer and as one event, whoever is killed afterwards."""
    id_ = "team:watched/lifetime/default"
    answers = [answer for _ in range(6) for answer in ask(house, "watched", 10)[0]]
    assert len(answers) == 40
    said = [part for answer in answers if (part := answer.headers.get("x-fastgate-budget-alert"))]
    told = Counter(each for part in said for each in part.split(", "))
    assert told == {f"{id_}={percent}": 1 for percent in PERCENTS}
    house.settled()

    def events() -> list[dict[str, Any]]:
        return list(house.admin("budgets/events", budget=id_)["items"])

    assert [event["percent"] for event in events()] == PERCENTS[::-1]
    for event in events():
        assert (event["event"], event["level"], event["owner"]) == ("budget_threshold", "team", "team:watched")
        assert Decimal(event["spent_usd"]) == Decimal(usd(event["percent"] * HOLD * 40)) / 100
        assert event["resets_at"] is None
    page = house.admin("budgets/events", limit=3)
    rest = house.admin("budgets/events", limit=3, cursor=page["next"])
    assert [each["percent"] for each in page["items"] + rest["items"]] == PERCENTS[::-1]
    text = httpx.get(f"{house.admin_url}/metrics").text
    assert 'fastgate_budget_alerts_total{level="team",percent="80"} 1.0' in text
    house.kill_everything()
    house.start()
    _, refused = ask(house, "watched", 3)
    assert len(refused) == 3
    house.settled()
    assert [event["percent"] for event in events()] == PERCENTS[::-1]


def test_an_edit_of_how_time_is_cut_keeps_what_was_spent(house: House) -> None:
    """The window that is open runs to its end, and the arena is asked nowhere else; then the calendar counts."""
    id_ = "key:edited/month/default"
    assert len(ask(house, "edited", 3)[0]) == 3
    house.settled()
    before = house.budget(id_)
    for more in ({"calendar": True, "timezone": "Pacific/Auckland"}, {"calendar": True}, {}):
        document = settings()
        document["keys"][-1]["budgets"] = [budget(5, window="month", **more)]
        house.write_config(document)
        house.admin("config/reload", "POST")
        now = house.budget(id_)
        assert now["timezone"] == (more.get("timezone", "UTC") if more else None)
        assert (now["spent_usd"], now["left_usd"]) == (before["spent_usd"], before["left_usd"])
        assert now["resets_at"][:19] == before["resets_at"][:19]
    for keys in (settings()["keys"][:-1], settings()["keys"]):  # gone, and there again
        house.write_config({**settings(), "keys": keys})
        house.admin("config/reload", "POST")
    known(house, "edited")
    passed, refused = ask(house, "edited", 5)
    assert (len(passed), len(refused)) == (2, 3)


def test_the_api_takes_what_the_file_takes(house: House) -> None:
    with by_api.client(house) as client:
        assert client.post("/keys", json={"id": "made"}).status_code == 201
        wish = {"owner": "key:made", "limit_usd": "5", "window": "day", "calendar": True, "timezone": "Europe/Paris"}
        made = client.post("/budgets", json={**wish, "rollover": True, "alerts_percent": [50], "mode": "soft"})
        assert made.status_code == 201, made.text
        assert (made.json()["timezone"], made.json()["mode"]) == ("Europe/Paris", "soft")
        resets = datetime.fromisoformat(made.json()["resets_at"])
        assert resets > datetime.now(UTC)
        changed = client.patch("/budgets/key:made/day/default", json={"timezone": None, "mode": "hard"})
        assert (changed.status_code, changed.json()["timezone"], changed.json()["mode"]) == (200, "UTC", "hard")
        wrong = client.patch("/budgets/key:made/day/default", json={"timezone": "Europe/Pariss"})
        assert wrong.status_code in (409, 422)
        assert "did you mean Europe/Paris?" in wrong.text
        increased = {"increases": [{"add_usd": "7", "until": "2100-01-01T00:00:00Z"}]}
        assert client.patch("/keys/made", json=increased).status_code == 200
        assert house.budget("key:made/day/default")["limit_in_force_usd"] == "12.000000000"


async def held_back(port: int, name: str, count: int) -> tuple[float, list[int]]:
    """Heads of requests with a window between them, then all bodies at once: when those were sent, and the statuses."""
    path, headers, body = request(name, latency_ms=0)
    async with AsyncExitStack() as stack:
        lines = [await stack.enter_async_context(Line(port)) for _ in range(count)]
        for line in lines:
            line.writer.write(head(path, headers, length=len(body)))
            await asyncio.sleep(1.05 * TWO_SECONDS)
        sent = time.time()
        for line in lines:
            line.writer.write(body)
        return sent, [int((await line.reader.readuntil(b"\r\n")).split()[1]) for line in lines]


def test_bodies_that_are_held_back_count_when_they_come(house: House) -> None:
    sent, statuses = asyncio.run(held_back(house.port, "slow", 3))
    assert sorted(statuses) == [200, 402, 402]
    house.settled()
    [row] = [row for row in house.requests(key="slow") if row["status"] == 200]
    assert datetime.fromisoformat(row["started_at"]).timestamp() >= sent
