"""Runs every target in a process of its own for its share of the time.

An input that breaks an invariant, crashes the process or takes longer than ten seconds is kept as
``tests/fuzz/finds/<target>-<hash>.bin``; from then on the ordinary tests run it.
"""

import argparse
import faulthandler
import hashlib
import multiprocessing
import random
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

from tests.fuzz.mutation import mutate
from tests.fuzz.targets import TARGETS

FINDS = Path(__file__).parent / "finds"
HANG_SECONDS = 10.0


def work(name: str, seconds: float, seed: int, folder: Path, report: Connection) -> None:
    """Runs one target; what is tried stands in ``folder/current`` before it is tried."""
    faulthandler.enable()
    place = folder / "work"
    place.mkdir()
    target = TARGETS[name](place)
    chance = random.Random(seed)
    deadline = time.monotonic() + seconds
    rounds = 0
    with open(folder / "current", "r+b", buffering=0) as current:
        for data in target.seeds:
            keep(current, data)
            target.run(data)
        while time.monotonic() < deadline:
            data = mutate(target.seeds, chance)
            keep(current, data)
            target.run(data)
            rounds += 1
            if rounds % 256 == 0:
                report.send(rounds)
    report.send(rounds)


def keep(current: object, data: bytes) -> None:
    """Notes the input in a file in memory; the page survives the process."""
    current.seek(0)  # type: ignore[attr-defined]
    current.write(len(data).to_bytes(4, "little") + data)  # type: ignore[attr-defined]


def fuzz(name: str, seconds: float, seed: int) -> bool:
    """One target in a child process; True when nothing was found."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        current = Path(folder) / "current"
        current.write_bytes(b"")
        listener, speaker = multiprocessing.Pipe(duplex=False)
        context = multiprocessing.get_context("spawn")
        child = context.Process(target=work, args=(name, seconds, seed, Path(folder), speaker))
        child.start()
        speaker.close()
        rounds, hung = follow(child, listener, seconds)
        if child.exitcode == 0 and not hung:
            print(f"{name:<14} {rounds:>9,} inputs, {rounds / seconds:>8,.0f} per second, nothing found", flush=True)
            return True
        raw = current.read_bytes()
        data = raw[4 : 4 + int.from_bytes(raw[:4], "little")]
        find = FINDS / f"{name}-{hashlib.sha256(data).hexdigest()[:12]}.bin"
        find.write_bytes(data)
        what = "hung" if hung else f"ended with {child.exitcode}"
        print(f"{name}: {what} after {rounds:,} inputs; kept {find}", file=sys.stderr)
        return False


def follow(child: multiprocessing.process.BaseProcess, listener: Connection, seconds: float) -> tuple[int, bool]:
    """Reads the child's progress until it ends; kills it when there is none for too long."""
    rounds = 0
    deadline = time.monotonic() + seconds + HANG_SECONDS + 20
    try:
        while listener.poll(max(0.0, deadline - time.monotonic())):
            rounds = listener.recv()
            deadline = min(deadline, time.monotonic() + seconds + HANG_SECONDS)
    except EOFError:
        child.join()
        return rounds, False
    child.kill()
    child.join()
    return rounds, True


def main() -> int:
    """The command; 0 when nothing was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", default=list(TARGETS), help=", ".join(TARGETS))
    parser.add_argument("--seconds", type=float, default=60, help="in all, shared by the targets")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="printed, to repeat a run")
    options = parser.parse_args()
    print(f"seed {options.seed}")
    share = options.seconds / len(options.targets)
    return 0 if all([fuzz(name, share, options.seed) for name in options.targets]) else 1

