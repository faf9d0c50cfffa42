"""`fastgate reconcile` against the simulator's own bill: the same, and whatever was changed is found."""

import asyncio
import csv
import io
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from fastgate.simulator.process import Simulator
from tests.support.house import House, compact, free_port, key, secret
from tests.support.mixture import Asked, mixture
from tests.support.wire import Line

REQUESTS = 400
CONNECTIONS = 16
NANO = Decimal("0.000000001")


async def drive(port: int, asked: Iterator[Asked]) -> None:
    async def one() -> None:
        async with Line(port) as line:
            for request in asked:
                assert (await line.ask(request.path, request.headers, request.body)).status == 200

    await asyncio.gather(*(one() for _ in range(CONNECTIONS)))


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One provider that answers everything, and one whose requests the other's bill has nothing of."""
    with Simulator(seed=5, tokens="4-40") as simulator, Simulator(seed=6) as other:
        providers = {
            name: {"type": kind, "base_url": url, "keys": [{"name": "k", "value": "upstream-key"}]}
            for name, kind, url in (
                ("sim", "sim", simulator.url),
                ("other", "openai-compatible", other.openai_url),
            )
        }
        prices = {
            "sim-small": {"input_usd_per_million": "0.15", "output_usd_per_million": "0.60", "source": "contract"}
        }
        providers["other"]["prices"] = prices
        settings = {"providers": providers, "keys": [key("one")]}
        folder = tmp_path_factory.mktemp("house")
        with House(folder, settings, workers=2, simulator=simulator) as house:
            asyncio.run(drive(house.port, mixture(4, [("one", "sim")], REQUESTS)))
            asyncio.run(drive(house.port, iter([chat("other/sim-small", "hello")])))
            house.drained(REQUESTS + 1)
            house.settled()
            yield house


def chat(model: str, content: str, **more: Any) -> Asked:
    body = compact({"model": model, "max_tokens": 400, "messages": [{"role": "user", "content": content}], **more})
    headers = {"authorization": f"Bearer {secret('one')}", "content-type": "application/json"}
    return Asked("/v1/chat/completions", headers, body, stream=False)


def reconcile(house: House, bill: Any, *options: str) -> subprocess.CompletedProcess[str]:
    """The command, with the bill on its standard input."""
    command = [sys.executable, "-m", "fastgate.cli.main", "reconcile", "--state-dir", str(house.state_dir)]
    text = bill if isinstance(bill, str) else json.dumps(bill)
    return subprocess.run(
        [*command, "--bill", "-", *options], input=text, capture_output=True, text=True, check=False, timeout=60
    )


def compared(house: House, bill: Any, *options: str, code: int) -> dict[str, Any]:
    ran = reconcile(house, bill, "--json", *options)
    assert ran.returncode == code, ran.stderr + ran.stdout
    document: dict[str, Any] = json.loads(ran.stdout)
    assert f": {document['verdict']}\n" in ran.stderr
    return document


def test_the_ledger_equals_the_bill(house: House) -> None:
    bill = house.bill()
    found = compared(house, bill, code=0)
    assert found["verdict"] == "equal"
    assert len(found["rows"]) >= 4
    assert {row["model"] for row in found["rows"]} == {line["model"] for line in bill["lines"]}
    assert {row["day"] for row in found["rows"]} == {line["day"] for line in bill["lines"]}
    total = found["total"]
    assert abs(Decimal(total["bill_usd"]) - Decimal(bill["total"]["usd"])) <= NANO * len(found["rows"])
    for name in ("bill_usd", "ledger_usd", "difference_usd"):
        assert Decimal(total[name]) == sum(Decimal(row[name]) for row in found["rows"])


def test_one_by_one_the_bill_says_the_same(house: House) -> None:
    charges = list(house.simulator.charges())
    middle = len(charges) // 2
    pages = [
        {"items": charges[:middle], "next": middle, "dropped": 0},
        {"items": charges[middle:], "next": None, "dropped": 0},
    ]
    text = "\n".join(json.dumps(page) for page in pages)
    assert compared(house, text, code=0) == compared(house, house.bill(), code=0)
    ran = reconcile(house, pages[0])
    assert ran.returncode == 2
    assert f"Error: Invalid value for --bill: -: $.next: pages are missing: append what after={middle}" in ran.stderr


def test_what_was_changed_in_the_bill_is_found(house: House) -> None:
    bill = house.bill()
    line = next(line for line in bill["lines"] if line["model"] == "sim-large")
    line["usd"] = str(Decimal(line["usd"]) + Decimal("0.01"))
    found = compared(house, bill, code=1)
    [row] = [row for row in found["rows"] if row["verdict"] != "equal"]
    assert (row["day"], row["model"], row["verdict"]) == (line["day"], "sim-large", "different")
    assert abs(Decimal(row["difference_usd"]) - Decimal("0.01")) <= REQUESTS * NANO
    assert found["total"]["verdict"] == "different"
    assert compared(house, bill, "--tolerance-usd", "0.02", code=0)["verdict"] == "tolerated"
    assert compared(house, bill, "--tolerance-usd", "0.005", code=1)["verdict"] == "different"
    assert compared(house, bill, "--tolerance-percent", "50", code=0)["verdict"] == "tolerated"


def test_what_only_one_side_has_is_shown(house: House) -> None:
    bill = house.bill()
    for line in bill["lines"]:
        if line["model"] == "sim-cached":
            line["model"] = "sim-unknown"
    found = compared(house, bill, code=1)
    rows = {row["model"]: row for row in found["rows"] if row["verdict"] == "different"}
    assert set(rows) == {"sim-cached", "sim-unknown"}
    assert rows["sim-cached"]["bill_usd"] is None
    assert rows["sim-unknown"]["ledger_usd"] is None
    assert found["total"]["verdict"] == "equal"
    compared(house, bill, "--rename", "sim-unknown=sim-cached", code=0)
    compared(house, bill, "--by", "day", code=0)


def test_the_forms_of_output_say_the_same(house: House) -> None:
    found = compared(house, house.bill(), code=0)
    text = reconcile(house, house.bill(), "--format", "csv").stdout
    *rows, total = csv.DictReader(io.StringIO(text))
    assert [{**row} for row in rows] == found["rows"]
    assert total == {"day": "total", "model": "", **found["total"]}
    table = reconcile(house, house.bill()).stdout.splitlines()
    assert table[0].split() == ["day", "model", *found["total"]]
    assert table[-1].split() == ["total", *found["total"].values()]
    assert compared(house, house.bill(), "--format", "json", code=0) == found


def test_days_may_be_chosen(house: House) -> None:
    bill = house.bill()
    days = sorted({line["day"] for line in bill["lines"]})
    assert compared(house, bill, "--since", days[0], code=0)["rows"]
    assert not compared(house, bill, "--until", days[0], code=0)["rows"]
    bill["lines"].append({**bill["lines"][0], "day": "2026-01-31", "usd": "5"})
    assert len(compared(house, bill, code=1)["rows"]) == len(compared(house, house.bill(), code=0)["rows"]) + 1
    compared(house, bill, "--since", days[0], code=0)
    compared(house, bill, "--since", "2026-02-01", code=0)


def test_the_provider_is_that_of_the_bills_type_unless_it_is_named(house: House) -> None:
    found = compared(house, house.bill(), "--provider", "other", code=1)
    [both] = [row for row in found["rows"] if row["model"] == "sim-small"]
    assert Decimal(both["ledger_usd"]) < Decimal("0.001") < Decimal(both["bill_usd"])
    together = compared(house, house.bill(), "--provider", "sim", "--provider", "other", code=1)
    assert [row["model"] for row in together["rows"] if row["verdict"] == "different"] == ["sim-small"]

    ran = reconcile(house, house.bill(), "--provider", "smi")
    assert ran.returncode == 2
    assert "there is no provider 'smi', nor a request to it: known are other, sim" in ran.stderr


def test_a_bill_of_a_type_that_no_provider_is_of_needs_a_name(house: House) -> None:
    result = {
        "object": "organization.costs.result",
        "amount": {"value": 0.25, "currency": "usd"},
        "line_item": "gpt-5-mini-2025-08-07, input",
    }
    bucket = {"object": "bucket", "start_time": 1_795_132_800, "end_time": 1_795_219_200, "results": [result]}
    page = {"object": "page", "data": [bucket], "has_more": False, "next_page": None}
    ran = reconcile(house, page)
    assert ran.returncode == 2
    assert "OpenAI's costs is of type openai, and no provider is: name it with --provider" in ran.stderr
    found = compared(house, page, "--provider", "other", code=1)
    assert [(row["day"], row["model"], row["bill_usd"]) for row in found["rows"]] == [
        ("2026-11-20", "gpt-5-mini", "0.250000000")
    ]


def usage_report(charges: list[dict[str, Any]]) -> dict[str, Any]:
    """The simulator's charges as Anthropic reports usage."""
    days: dict[str, dict[str, Counter[str]]] = {}
    for charge in charges:
        days.setdefault(charge["day"], {}).setdefault(charge["model"], Counter()).update(
            {name: count for name, count in charge.items() if name.endswith("_tokens")}
        )
    data = [
        {
            "starting_at": f"{day}T00:00:00Z",
            "ending_at": f"{date.fromisoformat(day) + timedelta(1)}T00:00:00Z",
            "results": [
                {
                    "model": model,
                    "uncached_input_tokens": counts["input_tokens"],
                    "cache_read_input_tokens": counts["cache_read_tokens"],
                    "cache_creation": {
                        "ephemeral_5m_input_tokens": counts["cache_write_tokens"],
                        "ephemeral_1h_input_tokens": counts["cache_write_1h_tokens"],
                    },
                    "output_tokens": counts["output_tokens"]
                    + counts["reasoning_tokens"]
                    + counts["audio_output_tokens"],
                }
                for model, counts in models.items()
            ],
        }
        for day, models in sorted(days.items())
    ]
    return {"data": data, "has_more": False, "next_page": None}


def test_tokens_are_compared_one_by_one(house: House) -> None:
    report = usage_report(list(house.simulator.charges()))
    found = compared(house, report, "--provider", "sim", code=0)
    assert found["verdict"] == "equal"
    assert len(found["rows"]) > 15
    assert found["total"]["bill_tokens"] == found["total"]["ledger_tokens"] > 10_000

    report["data"][0]["results"][0]["output_tokens"] += 1
    found = compared(house, report, "--provider", "sim", code=1)
    [row] = [row for row in found["rows"] if row["verdict"] == "different"]
    assert row["model"] == f"{report['data'][0]['results'][0]['model']}, output_tokens"
    assert row["unexplained_tokens"] == 1
    ran = reconcile(house, report, "--provider", "sim", "--tolerance-usd", "1")
    assert ran.returncode == 2
    assert "Anthropic's usage report has tokens, no amounts" in ran.stderr


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--by", "team"], "'team' is not of day, model"),
        (["--tolerance-usd", "a cent"], "'a cent' is not a decimal amount"),
        (["--tolerance-percent", "-1"], "'-1' is not a decimal amount"),
        (["--since", "yesterday"], "is neither a span such as 7d or 36h nor a date"),
        (["--bill", "/nowhere/bill.json"], "/nowhere/bill.json cannot be read: No such file or directory"),
        (["--bill", "/"], "/ cannot be read: Is a directory"),
        (["--rename", "one"], "it has to be of the form THEIRS=OURS"),
    ],
)
def test_options_that_cannot_be_are_usage_errors(house: House, options: list[str], why: str) -> None:
    ran = reconcile(house, house.bill(), *options)
    assert ran.returncode == 2
    assert why in ran.stderr


def test_without_a_gateway_it_says_so(house: House) -> None:
    ran = reconcile(house, house.bill(), "--admin-url", f"http://127.0.0.1:{free_port()}")
    assert ran.returncode == 4
    assert not ran.stdout


# ---- it comes last: from here on the ledger is above the bill


def test_what_is_estimated_or_unsettled_explains_a_ledger_above_the_bill(house: House) -> None:
    """A stream that breaks off is charged by an upper bound; one answer of which nothing came, by its hold."""
    cut = chat("sim/sim-small", 'sim: {"tokens": 300, "fail": "cut", "after": 3, "chunks": 30}', stream=True)
    lost = chat("sim/sim-reasoning", 'sim: {"tokens": 30, "fail": "cut"}')

    async def broken() -> None:
        async with Line(house.port) as line:
            await line.ask(cut.path, cut.headers, cut.body)
        async with Line(house.port) as line:
            await line.ask(lost.path, lost.headers, lost.body)

    asyncio.run(broken())
    house.drained(REQUESTS + 3)
    house.settled()
    bill = house.bill()
    found = compared(house, bill, code=0)
    rows = {row["model"]: row for row in found["rows"]}
    assert found["verdict"] == "explained"
    assert {model: row["verdict"] for model, row in rows.items() if row["verdict"] != "equal"} == {
        "sim-small": "explained",
        "sim-reasoning": "explained",
    }
    assert Decimal(rows["sim-small"]["estimated_usd"]) > 0
    assert Decimal(rows["sim-reasoning"]["unsettled_usd"]) > 0

    line = next(line for line in bill["lines"] if line["model"] == "sim-small")
    doubt = Decimal(rows["sim-small"]["estimated_usd"])
    line["usd"] = str(Decimal(line["usd"]) - doubt)
    [row] = [row for row in compared(house, bill, code=1)["rows"] if row["verdict"] == "different"]
    assert row["model"] == "sim-small"
    beyond = Decimal(rows["sim-small"]["difference_usd"])
    assert abs(Decimal(row["unexplained_usd"]) - beyond) <= NANO
