"""``python -m loadtest``: measures, prints the tables on stdout and keeps every figure as JSON."""

import argparse
import json
import signal
import sys
import tempfile
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from loadtest.cores import Cores
from loadtest.errors import RigError
from loadtest.figures import bounds
from loadtest.machine import describe
from loadtest.options import RESULTS, between, sizes
from loadtest.programs import find
from loadtest.report import markdown
from loadtest.rig import Plan, Rig

NEEDED = ("nginx", "wrk", "taskset", "setpriv")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    plan = Plan()
    chosen = argparse.ArgumentParser(prog="python -m loadtest", description=sys.modules["loadtest"].__doc__)
    add = chosen.add_argument
    add("--seconds", type=between(1, 300), default=plan.seconds, help="length of each run (default: %(default)s)")
    add("--runs", type=between(1, 100), default=plan.runs, help="rounds (default: %(default)s)")
    add("--sizes", type=sizes, default=plan.sizes, metavar="KB,KB", help="prompts (default: 1,16,200)")
    add("--connections", type=between(1, 4096), default=plan.connections, help="of wrk (default: %(default)s)")
    add("--streams", type=between(1, 4096), default=plan.streams, help="open at a time (default: %(default)s)")
    add("--chunks", type=between(1, 10_000), default=plan.chunks, help="of a stream (default: %(default)s)")
    add("--chunk-ms", type=_milliseconds, default=plan.chunk_ms, help="between two of them (default: %(default)s)")
    add("--json", type=Path, metavar="FILE", help="for every figure (default: a new one in loadtest/results)")
    add("--strict", action="store_true", help="end with status 1 where a promise is not kept")
    return chosen


def _milliseconds(text: str) -> float:
    number = float(text)
    if not 1 <= number <= 10_000:
        raise argparse.ArgumentTypeError("must be from 1 to 10000")
    return number


def main() -> int:
    """Entry point; returns the exit code."""
    options = vars(parser().parse_args())
    target, strict = options.pop("json"), options.pop("strict")
    plan, cores, machine = Plan(**options), Cores.choose(), describe()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the way out ends what was started
    try:
        for name in NEEDED:
            find(name)
        with tempfile.TemporaryDirectory(prefix="fastgate-loadtest-") as folder, Rig(plan, cores, Path(folder)) as rig:
            figures = rig.measure()
    except RigError as error:
        print(f"the measurement is void: {error}", file=sys.stderr)
        return 1
    print(markdown(figures, plan, cores, machine))
    kept = {"machine": machine, "plan": asdict(plan), "cores": asdict(cores), **figures.document()}
    kept["bounds"] = [{**asdict(bound), "met": bound.met} for bound in bounds(figures)]
    target = target or RESULTS / f"{datetime.now(UTC):%Y%m%d-%H%M%S}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(kept, indent=1) + "\n")
    print(f"every figure: {target}", file=sys.stderr)
    return 1 if strict and not all(bound.met for bound in bounds(figures)) else 0


if __name__ == "__main__":
    sys.exit(main())
