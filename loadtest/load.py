"""``python -m loadtest.load PROFILE``: latencies at a rate that does not depend on the answers; ``make load``.

Each subject takes its turn, alone on its core; the load, the upstream and fastgate's control plane share the other one.
Every answer is compared with the one that it has to be, and the ledger with what the upstream has served.
"""

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from loadtest import charts, house, nginx, offers
from loadtest.cores import Cores, come_first, give_way
from loadtest.errors import RigError
from loadtest.load_report import markdown
from loadtest.machine import describe
from loadtest.offered import REQUESTS, STREAMS, Found, Offered, kept_up
from loadtest.openloop import OpenLoop, Phase, allow_files
from loadtest.options import RESULTS, between
from loadtest.profiles import PROFILES, Profile, Streams
from loadtest.runs import attempted, keep
from loadtest.stage import Subject
from loadtest.subjects import Subjects
from loadtest.turns import Turn

NEEDED: Final = ("nginx", "taskset", "setpriv")
FILES: Final = 8192
"""That each process may open: a relay has two connections for each stream."""
CONNECTIONS: Final = 1024
PATIENCE: Final = 30.0
"""Seconds for an answer: a rate that is too high for a subject is no fault of its answers."""


@dataclass(frozen=True)
class Plan:
    """What was done, and where."""

    name: str
    profile: Profile
    cores: Cores


class Load:
    """One profile at all its subjects."""

    def __init__(self, profile: Profile, cores: Cores, subjects: Subjects) -> None:
        self._profile = profile
        self._cores = cores
        self._subjects = subjects
        self.found = Found()

    def measure(self) -> Found:
        """All rounds. Raises RigError where an answer or the ledger is wrong."""
        for number in range(self._profile.runs):
            for subject in self._wanted(self._subjects.constant if self._profile.phases else ()):
                self._requests(subject, number)
            for subject in self._wanted(self._subjects.streamed if self._profile.streams else ()):
                self._streams(subject, number)
        return self.found

    def _wanted(self, subjects: Sequence[Subject]) -> Iterator[Subject]:
        return (subject for subject in subjects if subject.name in self._profile.subjects)

    def _requests(self, subject: Subject, number: int) -> None:
        profile, offer = self._profile, offers.constant(self._profile.prompt_kb * 1024)
        behind = 0
        with OpenLoop(subject.port, offer, connections=CONNECTIONS, seconds=PATIENCE) as loop:
            for phases in [[phase] for phase in profile.phases] if profile.climbs else [profile.phases]:
                run = self._note(self._asked(subject, number, loop, phases))
                behind = 0 if kept_up(run) else behind + 1
                if profile.climbs and behind == 2:
                    break

    def _asked(self, subject: Subject, number: int, loop: OpenLoop, phases: Sequence[Phase]) -> Offered:
        asked = self._subjects.upstream.requests()
        turn = Turn(subject, self._subjects.house, house.CONSTANT)
        warm = loop.run([self._profile.warm])
        warm.check()
        turn.measure(loop, phases, self._profile.row_seconds, self._cores.subject)
        requests = warm.requests + turn.seen.requests
        reached = self._subjects.upstream.requests() - asked
        if reached != requests:
            raise RigError(f"{subject.name}: {requests} requests were sent, {reached} reached the upstream")
        turn.settle(requests, nginx.COMPLETION_TOKENS)
        return turn.offered(REQUESTS, number, shows_time=self._profile.shows_time)

    def _streams(self, subject: Subject, number: int) -> None:
        wanted = self._profile.streams
        assert wanted is not None
        offer = offers.streams(wanted.chunks, subject.path)
        with OpenLoop(subject.port, offer, connections=2 * wanted.open, seconds=wanted.length + PATIENCE) as loop:
            turn = Turn(subject, self._subjects.house, house.SOURCE)
            turn.measure(loop, wanted.phases(), wanted.length, self._cores.subject)
            turn.settle(turn.seen.requests, wanted.chunks)
            self._note(turn.offered(STREAMS, number, each=wanted.chunks, since=wanted.length))

    def _note(self, run: Offered) -> Offered:
        self._subjects.check()
        self.found.runs.append(run)
        name = "first" if run.kind == STREAMS else "latency"
        p50, p99 = run.times[name].p50, run.times[name].p99
        print(
            f"round {run.round + 1}: {run.subject}, {run.rate:,.0f} {run.kind}/s: {name} p50 {p50:,.0f} µs,"
            f" p99 {p99:,.0f} µs",
            file=sys.stderr,
        )
        return run


def measured(subjects: Subjects) -> list[int]:
    """The processes whose delays are measured: the loop, which is in this one, the upstreams, and each subject."""
    everybody = [*subjects.constant, *subjects.streamed]
    named = {pid for one in everybody for name, pid in one.pids.items() if name in {"subject", "upstream"}}
    return [os.getpid(), *sorted(named)]


def parser() -> argparse.ArgumentParser:
    """The command line."""
    chosen = argparse.ArgumentParser(prog="python -m loadtest.load", description="Latencies under an open loop.")
    add = chosen.add_argument
    add("profile", choices=PROFILES, help="; ".join(f"{name}: {one.question}" for name, one in PROFILES.items()))
    add("--runs", type=between(1, 100), help="rounds (default: the profile's)")
    add("--share", type=_share, default=1.0, help="of each length, as in 0.1 (default: %(default)s)")
    add("--json", type=Path, metavar="FILE", help="for every figure (default: a new one in loadtest/results)")
    add("--strict", action="store_true", help="end with status 1 where a promise is not kept")
    return chosen


def _share(text: str) -> float:
    if not 0.01 <= float(text) <= 10:
        raise argparse.ArgumentTypeError("must be from 0.01 to 10")
    return float(text)


def main() -> int:
    """Entry point; returns the exit code."""
    options = parser().parse_args()
    profile = PROFILES[options.profile].shortened(options.share)
    profile = replace(profile, runs=options.runs or profile.runs)
    plan = Plan(options.profile, profile, Cores.choose())

    def measure(folder: Path) -> Found:
        allow_files(FILES)
        streams = profile.streams or Streams()
        with Subjects(plan.cores, folder, chunks=streams.chunks, chunk_ms=streams.chunk_ms) as subjects:
            give_way(subjects.house.control)  # batches of the ledger would make the loop and the upstream late
            load = Load(profile, plan.cores, subjects)
            load.found.undisturbed = not profile.climbs and all(map(come_first, measured(subjects)))
            return load.measure()

    found = attempted(measure, NEEDED)
    if found is None:
        return 1
    print(markdown(found, plan.name, profile, plan.cores, describe()))
    bounds = list(found.bounds(profile))
    status = keep(f"load-{plan.name}", options.json, plan, found, bounds, strict=options.strict)
    charts.draw(found, profile, RESULTS, plan.name)
    return status


if __name__ == "__main__":
    sys.exit(main())
