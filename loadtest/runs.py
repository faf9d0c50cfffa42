"""What surrounds a measurement of one gateway: its place, its end, its figures in a file."""

import json
import signal
import sys
import tempfile
from argparse import ArgumentParser
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol, TypeVar

from loadtest import nginx
from loadtest.cores import Cores
from loadtest.errors import RigError
from loadtest.figures import Bound
from loadtest.house import House, arena_folder
from loadtest.machine import describe
from loadtest.options import RESULTS
from loadtest.programs import Programs, find

T = TypeVar("T")
P = TypeVar("P")


class Judged(Protocol):
    """What a rig finds."""

    def bounds(self) -> Iterable[Bound]:
        """What is promised, and whether it was kept."""


F = TypeVar("F", bound=Judged)


def attempted(measure: Callable[[Path], T], needed: Iterable[str]) -> T | None:
    """What ``measure`` finds, in a folder of its own; None, and the reason on standard error: it is void."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the way out ends what was started
    try:
        for name in needed:
            find(name)
        with tempfile.TemporaryDirectory(prefix="fastgate-loadtest-") as folder:
            return measure(Path(folder))
    except RigError as error:
        print(f"the measurement is void: {error}", file=sys.stderr)
        return None


def played(
    name: str,
    parser: ArgumentParser,
    *,
    plan: Callable[..., P],
    measure: Callable[[P, Path], F],
    markdown: Callable[[F, P], str],
    needed: Iterable[str],
) -> int:
    """All of the rig ``name``, from its command line to its exit code.

    The options but ``json`` and ``strict`` are those of its plan.
    """
    options = vars(parser.parse_args())
    target, strict = options.pop("json"), options.pop("strict")
    chosen = plan(**options)
    found = attempted(lambda folder: measure(chosen, folder), needed)
    if found is None:
        return 1
    print(markdown(found, chosen))
    return keep(name, target, chosen, found, list(found.bounds()), strict=strict)


def measured(measure: Callable[[House], T], needed: Iterable[str], key_settings: str = "") -> T | None:
    """Likewise, at a gateway in front of nginx."""
    cores = Cores.choose()

    def at_house(folder: Path) -> T:
        with ExitStack() as stack:
            arena_dir = Path(stack.enter_context(arena_folder()))
            programs = stack.enter_context(Programs(folder))
            port = nginx.upstream(programs, cores.load).port
            house = House(programs, cores, arena_dir, upstream_port=port, source_port=port, key_settings=key_settings)
            return measure(house)

    return attempted(at_house, needed)


def keep(name: str, target: Path | None, plan: Any, found: Any, bounds: list[Bound], *, strict: bool) -> int:
    """Writes every figure of the run ``name`` to ``target``, or to a new file of the results; returns the exit code."""
    target = target or RESULTS / f"{name}-{datetime.now(UTC):%Y%m%d-%H%M%S}.json"
    checked = [{**asdict(bound), "met": bound.met} for bound in bounds]
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(
        json.dumps({"machine": describe(), "plan": asdict(plan), **asdict(found), "bounds": checked}) + "\n"
    )
    print(f"every figure: {target}", file=sys.stderr)
    return 1 if strict and not all(bound.met for bound in bounds) else 0
