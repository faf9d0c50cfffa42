"""A model that nothing prices: refused, at a ceiling or free, as its key says; seen in metrics, API and check."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
import yaml
from click.testing import CliRunner

from fastgate.cli.main import cli
from fastgate.simulator.process import Simulator
from tests.support.house import House, compact, key, secret, wait_for
from tests.support.wire import exchange, head

CEILING = {"ceiling": {"input_usd_per_million": "50", "output_usd_per_million": "200"}}
BUDGETS = [{"limit_usd": "100", "window": "day"}]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("house")
    prices = folder / "prices.yaml"
    some = {"input_usd_per_million": "1", "output_usd_per_million": "1"}
    prices.write_text(yaml.safe_dump(dict.fromkeys(("new-1", "gpt-5.4", "gpt-4.1"), some)))
    known, unknown = ({"provider": "sim", "model": model} for model in ("sim-small", "new-1"))
    settings = {
        "models": {
            "known": {"targets": [known]},
            "mixed": {"targets": [known, unknown]},
            "new": {"targets": [unknown]},
        },
        "keys": [
            key("open", unpriced="allow", budgets=BUDGETS),
            key("capped", unpriced=CEILING, budgets=BUDGETS),
            key("default", models=["known"], budgets=BUDGETS),
        ],
    }
    with Simulator(prices=prices) as simulator:
        upstream = [{"name": "k", "value": "upstream-key"}]
        sim = {"type": "sim", "base_url": simulator.url, "keys": upstream}
        openai = {"type": "openai", "base_url": simulator.openai_url, "keys": upstream}
        settings["providers"] = {"sim": sim, "openai": openai}
        with House(folder, settings, simulator=simulator, workers=1) as house:
            yield house


def ask(house: House, name: str, model: str, **more: str) -> tuple[int, str | None]:
    """Status and stated cost of a request with 1,000 tokens each way."""
    script = {"usage": {"prompt_tokens": 1000, "completion_tokens": 1000}, **more}
    body = compact({"model": model, "messages": [{"role": "user", "content": f"sim: {json.dumps(script)}"}]})
    headers = {"authorization": f"Bearer {secret(name)}", "content-type": "application/json"}
    answer = exchange(house.port, head("/v1/chat/completions", headers, length=len(body)) + body)
    return answer.status, answer.headers.get("x-fastgate-cost-usd")


def counted(house: House, name: str = "fastgate_unpriced_total") -> int:
    with urlopen(f"{house.admin_url}/metrics", timeout=30) as answer:
        found = re.search(rf"^{name} (\d+)", answer.read().decode(), re.MULTILINE)
    return int(found[1]) if found else 0


def test_what_a_request_costs_is_what_its_key_says_and_is_counted(house: House) -> None:
    before = counted(house)
    assert ask(house, "open", "new") == (200, "0.000000000")
    assert ask(house, "capped", "new") == (200, "0.250000000")
    assert ask(house, "default", "sim/new-1")[0] == 403  # the key names its models
    assert ask(house, "open", "known") == (200, "0.000750000")
    wait_for(lambda: counted(house) == before + 2, 30, "both are counted, and no other")


def test_a_tier_without_a_price_is_charged_as_standard_and_counted(house: House) -> None:
    assert ask(house, "open", "openai/gpt-5.4", tier="flex") == (200, "0.008750000")
    assert ask(house, "open", "openai/gpt-4.1", tier="default") == (200, "0.010000000")
    assert ask(house, "open", "openai/gpt-4.1", tier="flex") == (200, "0.010000000")
    name = "fastgate_unlisted_tiers_total"
    wait_for(lambda: counted(house, name) == 1, 30, "only the last one is counted")


def test_the_api_shows_which_targets_nothing_prices(house: House) -> None:
    shown: dict[str, Any] = {item["id"]: item["unpriced"] for item in house.admin("models")["items"]}
    assert shown == {"known": [], "mixed": ["sim/new-1"], "new": ["sim/new-1"]}
    assert house.admin("models/mixed")["unpriced"] == ["sim/new-1"]


def test_check_warns_where_no_key_refuses_them(house: House, tmp_path: Path) -> None:
    said = CliRunner().invoke(cli, ["check", str(house.config)])
    assert said.exit_code == 0
    assert said.stdout == f"{house.config}: ok\n"
    assert said.stderr.splitlines() == [
        f"{house.config}: warning: models.{where}.model: nothing prices sim/new-1: what its requests cost is what each"
        " key's unpriced says"
        for where in ("mixed.targets[1]", "new.targets[0]")
    ]
    document = yaml.safe_load(house.config.read_text())
    refusing = tmp_path / "refusing.yaml"
    refusing.write_text(yaml.safe_dump({**document, "keys": [key("default", budgets=BUDGETS)]}))
    said = CliRunner().invoke(cli, ["check", str(refusing)])
    assert said.exit_code == 3
    assert "nothing prices sim/new-1, and key default rejects models without a price" in said.stdout
