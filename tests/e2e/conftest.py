"""One gateway for the SDK tests: keys that may, keys that may not, providers that are slow or not there."""

from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import pytest

from fastgate.simulator.process import Simulator
from tests.support.house import House, free_port, key

CLIENTS = ("openai", "anthropic")


def pytest_report_header() -> str:
    return "clients: " + ", ".join(f"{name} {version(name)}" for name in CLIENTS)


def settings(simulator_url: str) -> dict[str, Any]:
    """Everything that an SDK can run into."""
    upstream = [{"name": "k", "value": "upstream-key"}]
    sim = {"type": "sim", "base_url": simulator_url, "keys": upstream}
    return {
        "server": {"max_body_mb": 1},
        "providers": {
            "sim": sim,
            "impatient": {**sim, "timeout_seconds": {"first_byte": 0.2}},
            "absent": {**sim, "base_url": f"http://127.0.0.1:{free_port()}"},
        },
        "models": {"smart": {"targets": [{"provider": "sim", "model": "sim-large"}]}},
        "teams": [{"id": "team"}],
        "keys": [
            key("plain", team="team"),
            key("budgeted", team="team", budgets=[{"limit_usd": "100", "window": "day"}]),
            key("spent", team="team", budgets=[{"limit_usd": "0.000001", "window": "day"}]),
            key("paced", team="team", limits=[{"requests": 1, "window": "second"}]),
            key("paced-too", team="team", limits=[{"requests": 1, "window": "second"}]),
            key("narrow", team="team", models=["sim/sim-small"]),
            key("expired", team="team", expires="2020-01-01T00:00:00Z"),
        ],
    }


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("house")
    with Simulator(seed=7) as simulator, House(folder, settings(simulator.url), simulator=simulator) as house:
        yield house
