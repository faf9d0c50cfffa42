"""``python -m loadtest.rehearsal locust``: users' scenarios at a gateway of their own; ``make locust``, ``make k6``.

The gateway stands in front of the simulator, with a key for everything and one with a budget that runs dry. When the
users have gone the ledger must be the simulator's bill, and the dry key's budget be spent: nothing above its limit, and
less left than one more request may cost.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Final

from fastgate.simulator.process import Simulator
from loadtest.cores import Cores, pin
from loadtest.errors import RigError
from loadtest.house import Gateway, arena_folder
from loadtest.options import between
from loadtest.programs import Programs, leashed
from loadtest.runs import attempted
from loadtest.scenarios import FILE, Scenarios

KEY: Final = "sk-fg-users"
DRY_KEY: Final = "sk-fg-dry"
SPEED: Final = {"latency_ms": 50, "ttft_ms": 50, "chunk_ms": 10, "tokens": "16-128"}
"""Of the simulator's answers."""
DEAREST: Final = Decimal("2.50"), Decimal("10.00")
"""USD per million tokens of input and output, of the dearest model of the simulator that ``scenarios.json`` names."""
END_SECONDS: Final = 60
"""For users to end what they are at, and their tool to begin and to print."""
LOCUST: Final = Path(sys.prefix) / "locust" / "bin" / "locust"

_SETTINGS: Final = """\
providers:
  sim: {{type: sim, base_url: "{url}", keys: [{{name: main, value: upstream-secret}}]}}
customers: [{{id: customer, budgets: [{{limit_usd: "1000000", window: month}}]}}]
teams: [{{id: team, customer: customer, budgets: [{{limit_usd: "1000000", window: month}}]}}]
keys:
  - {{id: users, team: team, secret: {key}, budgets: [{{limit_usd: "1000000", window: month}}]}}
  - {{id: dry, team: team, secret: {dry_key}, budgets: [{{limit_usd: "{dry_usd}", window: lifetime}}]}}
"""


@dataclass(frozen=True)
class Plan:
    """The run ends with its last request or second, whichever comes first."""

    users: int = 20
    seconds: int = 30
    requests: int = 5000
    dry_usd: Decimal = Decimal("0.03")
    scenarios: Path = FILE


class Rehearsal:
    """A gateway and its provider, which end with ``stack``; ``speed``: options of the simulator."""

    def __init__(self, stack: ExitStack, folder: Path, plan: Plan, speed: Mapping[str, object] = SPEED) -> None:
        self._cores = cores = Cores.choose()
        self._plan = plan
        self.simulator = stack.enter_context(Simulator(**speed))
        pin(self.simulator.pid, cores.load)
        arena_dir = Path(stack.enter_context(arena_folder()))
        programs = stack.enter_context(Programs(folder))
        settings = _SETTINGS.format(url=self.simulator.url, key=KEY, dry_key=DRY_KEY, dry_usd=plan.dry_usd)
        self.gateway = Gateway(programs, cores, arena_dir, settings)
        self._folder = folder

    def run(self, command: Sequence[str]) -> int:
        """Runs a load tool beside the gateway's core; its status. Raises RigError where it does not end."""
        environment = {
            **os.environ,
            "FASTGATE_LOADTEST_URL": f"http://127.0.0.1:{self.gateway.port}",
            "FASTGATE_LOADTEST_KEY": KEY,
            "FASTGATE_LOADTEST_DRY_KEY": DRY_KEY,
            "FASTGATE_LOADTEST_SCENARIOS": str(self._plan.scenarios.resolve()),
            "FASTGATE_LOADTEST_USERS": str(self._plan.users),
            "FASTGATE_LOADTEST_SECONDS": str(self._plan.seconds),
            "FASTGATE_LOADTEST_REQUESTS": str(self._plan.requests),
        }
        argv = leashed(["taskset", "-c", str(self._cores.load), *command])
        seconds = self._plan.seconds + END_SECONDS
        try:
            done = subprocess.run(argv, env=environment, timeout=seconds, check=False)
        except subprocess.TimeoutExpired:
            raise RigError(f"{command[0]} did not end within {seconds} s") from None
        return done.returncode

    def audit(self) -> None:
        """Prints what was spent. Raises RigError where money is wrong."""
        self.gateway.settled("sim", self.simulator.bill()["total"]["requests"])
        bill = self._folder / "bill.json"
        bill.write_text(json.dumps(self.simulator.bill()))
        command = [sys.executable, "-m", "fastgate", "reconcile", "--bill", str(bill), "--by", "model"]
        done = subprocess.run(
            [*command, "--state-dir", str(self.gateway.state_dir)], capture_output=True, text=True, check=False
        )
        print(done.stdout)
        if done.returncode or "against provider sim: equal" not in done.stderr:
            raise RigError(f"the ledger is not the bill: {done.stderr}")
        [budget] = self.gateway.budgets(owner="key:dry")
        check_dry(budget, Scenarios(self._plan.scenarios))


def check_dry(budget: dict[str, Any], scenarios: Scenarios) -> None:
    """Raises RigError unless the budget is spent: within its limit, and no request fits that is like the others."""
    left, held = Decimal(budget["left_usd"]), Decimal(budget["held_usd"])
    # A token is at least a byte, and what is around a prompt less than a kilobyte.
    tokens = round((scenarios.spending.prompt_kb.most + 1) * 1024), scenarios.spending.max_tokens
    most = sum((count * usd / 1_000_000 for count, usd in zip(tokens, DEAREST, strict=True)), Decimal(0))
    if held or not 0 <= left < most:
        raise RigError(
            f"USD {left} are left of {budget['limit_usd']} and {held} held, where a request costs up to {most}"
        )
    print(f"{budget['id']}: USD {left} left of {budget['limit_usd']}, too little for the next request, as told")


def command(tool: str, plan: Plan) -> list[str]:
    """The command of a load tool. Raises RigError where it is not installed."""
    here = Path(__file__).parent
    if tool == "k6":
        k6 = shutil.which("k6")
        if k6 is None:
            raise RigError("k6 is not installed; how to: https://grafana.com/docs/k6/latest/set-up/install-k6/")
        return [k6, "run", str(here / "k6.js")]
    how = f"--headless --only-summary --stop-timeout 30 --spawn-rate {plan.users}".split()
    bounds = f"--users {plan.users} --run-time {plan.seconds}".split()
    return [str(LOCUST), "-f", str(here / "locustfile.py"), *how, *bounds]


def parser() -> argparse.ArgumentParser:
    """The command line."""
    plan = Plan()
    chosen = argparse.ArgumentParser(prog="python -m loadtest.rehearsal", description="Users' scenarios at a gateway.")
    add = chosen.add_argument
    add("tool", choices=("locust", "k6"))
    add("--users", type=between(1, 1000), default=plan.users, help="at a time (default: %(default)s)")
    add("--seconds", type=between(1, 3600), default=plan.seconds, help="at most (default: %(default)s)")
    add("--requests", type=between(1, 1_000_000), default=plan.requests, help="at most (default: %(default)s)")
    add("--dry-usd", type=_usd, default=plan.dry_usd, help="budget of the key that runs dry (default: %(default)s)")
    add("--scenarios", type=Path, default=plan.scenarios, metavar="FILE", help="(default: loadtest/scenarios.json)")
    return chosen


def _usd(text: str) -> Decimal:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal(-1)
    if not 0 < amount <= 1000:
        raise argparse.ArgumentTypeError("must be an amount of USD, up to 1000")
    return amount


def main() -> int:
    """Entry point; returns the exit code: that of the tool, or 1 where money is wrong."""
    options = vars(parser().parse_args())
    tool = options.pop("tool")
    plan = Plan(**options)

    def perform(folder: Path) -> int:
        argv = command(tool, plan)
        with ExitStack() as stack:
            rehearsal = Rehearsal(stack, folder, plan)
            status = rehearsal.run(argv)
            rehearsal.audit()
            return status

    status = attempted(perform, ("taskset", "setpriv"))
    return 1 if status is None else status


if __name__ == "__main__":
    sys.exit(main())
