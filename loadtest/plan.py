"""What to measure, and for how long: a plan, and the command line that changes it."""

import argparse
from dataclasses import dataclass
from pathlib import Path

from loadtest.options import between, sizes


@dataclass(frozen=True)
class Plan:
    """Rounds of runs in which all subjects take turns; sizes of prompts in KB."""

    seconds: int = 8
    runs: int = 5
    sizes: tuple[int, ...] = (1, 16, 200)
    connections: int = 64
    streams: int = 200
    chunks: int = 100
    chunk_ms: float = 20.0
    warm: int = 0
    """Rounds of requests before those that count, for engines that compile what they run often."""

    def repeat(self) -> int:
        """Streams that each connection reads one after another: as many as fill the time, at least two."""
        return max(2, round(self.seconds * 1000 / (self.chunks * self.chunk_ms)))


def parser(prog: str, description: str | None, plan: Plan) -> argparse.ArgumentParser:
    """The command line; what it does not say is as in ``plan``."""
    chosen = argparse.ArgumentParser(prog=prog, description=description)
    add = chosen.add_argument
    add("--seconds", type=between(1, 300), default=plan.seconds, help="length of each run (default: %(default)s)")
    add("--runs", type=between(1, 100), default=plan.runs, help="rounds (default: %(default)s)")
    add("--sizes", type=sizes, default=plan.sizes, metavar="KB,KB", help="prompts (default: 1,16,200)")
    add("--connections", type=between(1, 4096), default=plan.connections, help="of the load (default: %(default)s)")
    add("--streams", type=between(1, 4096), default=plan.streams, help="open at a time (default: %(default)s)")
    add("--chunks", type=between(1, 10_000), default=plan.chunks, help="of a stream (default: %(default)s)")
    add("--chunk-ms", type=_milliseconds, default=plan.chunk_ms, help="between two of them (default: %(default)s)")
    add("--warm", type=between(0, 100), default=plan.warm, help="rounds of requests before (default: %(default)s)")
    add("--json", type=Path, metavar="FILE", help="for every figure (default: a new one in loadtest/results)")
    add("--strict", action="store_true", help="end with status 1 where a promise is not kept")
    return chosen


def _milliseconds(text: str) -> float:
    number = float(text)
    if not 1 <= number <= 10_000:
        raise argparse.ArgumentTypeError("must be from 1 to 10000")
    return number
