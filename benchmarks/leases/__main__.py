"""``python -m benchmarks.leases``: hosts that share budgets, simulated; ``make bench-leases``. Prints the tables."""

import argparse
import sys
import time
from collections.abc import Iterator

from benchmarks.leases.clock import Clock
from benchmarks.leases.costs import measured
from benchmarks.leases.played import PER_HOST, Played, play
from benchmarks.leases.redis import Costs, Server
from benchmarks.leases.report import costs_said, line, scenarios
from benchmarks.leases.scenarios import SCENARIOS
from loadtest.machine import describe


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.leases", description=__doc__)
    parser.add_argument("--hosts", type=int, nargs="+", default=[10, 100, 1000], help="how many (default: 10 100 1000)")
    parser.add_argument("--only", nargs="+", choices=[each.name for each in SCENARIOS], help="these scenarios alone")
    parser.add_argument("--per-host", type=float, default=PER_HOST, help="requests a second (default: %(default)g)")
    parser.add_argument("--seed", type=int, default=1, help="of all that is random (default: %(default)d)")
    return parser.parse_args()


def played(chosen: argparse.Namespace, costs: Costs) -> Iterator[Played]:
    """All that was asked for."""

    def redis(clock: Clock) -> Server:
        return Server(clock, costs)

    for hosts in chosen.hosts:
        for scenario in SCENARIOS:
            if scenario.name not in chosen.only if chosen.only else hosts > scenario.most_hosts:
                continue
            began = time.monotonic()
            found = play(scenario, hosts, redis, seed=chosen.seed, per_host=chosen.per_host)
            print(f"{line(found)}, in {time.monotonic() - began:.1f} s", file=sys.stderr)
            yield found


def main() -> None:
    """Measures a Redis, and simulates with what it takes."""
    chosen = options()
    costs, version = measured()
    print(*(f"* {name}: {text}" for name, text in describe().items()), sep="\n")
    print(f"* {costs_said(costs, version)}\n", flush=True)
    print(scenarios(played(chosen, costs)))


if __name__ == "__main__":
    main()
