"""What `k6.js` does, in Node, with what it needs of k6: money is right at the end, and what is wrong is found."""

import json
import sys
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path
from urllib.request import ProxyHandler, Request, build_opener

import pytest

from fastgate.simulator.process import Simulator
from loadtest import house
from loadtest.errors import RigError
from loadtest.rehearsal import Plan, Rehearsal, command
from tests.support.house import compact
from tests.support.scenarios import ROOT, ran, scenarios

SCRIPT = ROOT / "loadtest" / "k6.js"
TSC = Path(sys.prefix) / "k6" / "node_modules" / ".bin" / "tsc"
IN_NODE = ["node", str(ROOT / "tests" / "support" / "k6" / "run.mjs"), str(SCRIPT)]


def test_the_k6_script_has_k6s_types() -> None:
    done = ran([str(TSC), "--project", str(SCRIPT.parent)])
    assert done.returncode == 0, done.stdout


def test_the_k6_scripts_users_are_served_and_billed_exactly_and_one_key_runs_dry(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with ExitStack() as stack:
        plan = Plan(dry_usd=Decimal("0.007"), scenarios=scenarios(tmp_path))
        rehearsal = Rehearsal(stack, tmp_path, plan, speed={"tokens": "16-128"})
        assert rehearsal.run([*IN_NODE, "12"]) == 0
        rehearsal.audit()
        printed, errors = capfd.readouterr()
        ask_around_the_gateway(rehearsal.simulator)
        monkeypatch.setattr(house, "LEDGER_SECONDS", 1.0)
        with pytest.raises(RigError, match="the ledger is not the bill"):
            rehearsal.audit()
    found = json.loads(printed.splitlines()[0])
    assert not errors
    assert {name.split()[0] for name in found["checks"]} == {"chat", "stream", "agent", "spend"}
    assert not sum(check["fails"] for check in found["checks"].values())
    metrics = found["metrics"]
    streams = sum(check["passes"] for name, check in found["checks"].items() if name.startswith(("stream", "agent")))
    assert len(metrics["first_byte"]) == len(metrics["per_piece"]) == streams > 24
    assert 1 <= len(metrics["refused"]) < 12
    assert found["options"]["thresholds"].keys() == {
        "checks", "http_req_duration{scenario:chat}", "first_byte", "per_piece", "refused",
    }  # fmt: skip


def ask_around_the_gateway(simulator: Simulator) -> None:
    body = compact({"model": "sim-small", "messages": [{"role": "user", "content": "Hello"}]})
    request = Request(f"{simulator.openai_url}/chat/completions", body)
    with build_opener(ProxyHandler({})).open(request, timeout=10) as answer:
        assert answer.status == 200


def test_the_k6_script_checks_answers(tmp_path: Path) -> None:
    with Simulator(fail="cut=1") as simulator:
        done = ran([*IN_NODE, "2"], URL=simulator.url, KEY="users", SCENARIOS=str(scenarios(tmp_path, "sim-small")))
    found = json.loads(done.stdout)
    assert sum(check["fails"] for check in found["checks"].values()) == 6
    assert not sum(check["passes"] for check in found["checks"].values())


def test_k6_is_run_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "k6"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert command("k6", Plan()) == [str(program), "run", str(SCRIPT)]
