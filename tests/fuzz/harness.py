"""A small mutation fuzzer: seeded, bounded, and without tools beyond the standard library.

A module of this folder registers its parsers::

    @target("body", seeds=[b'{"model": "m"}'], tokens=[b'"', b"\\\\u"])
    def check_body(data: bytes) -> None: ...     # raises where an invariant does not hold

``python -m tests.fuzz --seconds 60`` then runs all of them, ``python -m tests.fuzz.test_fuzz_body --seconds 60`` those
of one module, and pytest a short fixed round of each. The input at work is kept in a mapped file, so that it survives a
crash of the process.
"""

import argparse
import copy
import mmap
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

LONGEST = 1 << 16
INTERESTING = (b"\x00", b"\xff", b"\x7f", b"\x80", b"\r", b"\n", b"\r\n", b" ", b"-1", b"0", b"9" * 20, b"\xef\xbb\xbf")


class Target(NamedTuple):
    """A parser under test."""

    name: str
    check: Callable[[bytes], None]
    seeds: Sequence[bytes]
    tokens: Sequence[bytes]


class Broken(AssertionError):
    """An invariant does not hold for an input."""


TARGETS: dict[str, Target] = {}


def target(
    name: str, *, seeds: Sequence[bytes], tokens: Sequence[bytes] = ()
) -> Callable[[Callable[[bytes], None]], Callable[[bytes], None]]:
    """Registers a check. ``tokens`` are pieces of the format that mutations put in."""

    def register(check: Callable[[bytes], None]) -> Callable[[bytes], None]:
        TARGETS[name] = Target(name, check, list(seeds), list(tokens))
        return check

    return register


def mutated(rng: random.Random, data: bytes, pool: Sequence[bytes], tokens: Sequence[bytes]) -> bytes:
    """``data`` after one to four random edits."""
    pieces = (*tokens, *INTERESTING)
    for _ in range(rng.randint(1, 4)):
        a, b = sorted((rng.randint(0, len(data)), rng.randint(0, len(data))))
        near = min(b, a + rng.randint(0, 8))
        kind = rng.randrange(7)
        if kind == 0:
            data = data[:a] + bytes([rng.randrange(256)]) + data[a + 1 :]
        elif kind == 1:
            data = data[:a] + data[near:]
        elif kind == 2:
            data = data[:a] + rng.choice(pieces) + data[a:]
        elif kind == 3:
            data = data[:a] + rng.choice(pieces) + data[near:]
        elif kind == 4:
            data = data[:b] + data[a:b] * rng.randint(1, 3) + data[b:]
        elif kind == 5:
            other = rng.choice(pool)
            data = data[:a] + other[rng.randint(0, len(other)) :]
        else:
            data = data[:b]
    return data[:LONGEST]


def change_tree(rng: random.Random, tree: Any, values: Sequence[Any], names: Sequence[str]) -> None:
    """One value or name somewhere in a JSON document replaced, removed or doubled; the structure stays whole."""
    node = tree
    while True:
        entries = list(node) if isinstance(node, dict) else list(range(len(node)))
        if not entries:
            return
        at = rng.choice(entries)
        if isinstance(node[at], dict | list) and node[at] and rng.random() < 0.8:
            node = node[at]
            continue
        change = rng.randrange(4)
        if change == 0:
            del node[at]
        elif change == 1 and isinstance(node, dict):
            node[rng.choice([*entries, *names])] = node.pop(at)
        elif change == 2 and isinstance(node, list):
            node.append(node[at])
        else:
            node[at] = copy.deepcopy(rng.choice(values))
        return


def inputs(item: Target, seed: int) -> Iterator[bytes]:
    """The seeds, then mutations without end."""
    rng = random.Random(f"{item.name}/{seed}")
    pool = list(item.seeds)
    yield from pool
    while True:
        data = mutated(rng, rng.choice(pool), pool, item.tokens)
        if rng.random() < 0.02:
            pool.append(data)
            pool = pool[: len(item.seeds)] + pool[-200:]
        yield data


def run(item: Target, *, seed: int, seconds: float | None = None, rounds: int | None = None) -> int:
    """Checks inputs until the time or the rounds are over; returns how many. Raises ``Broken`` with the input."""
    deadline = None if seconds is None else time.monotonic() + seconds
    done = 0
    with tempfile.NamedTemporaryFile(prefix=f"fuzz-{item.name}-", delete=False) as file:
        file.truncate(LONGEST)
        path = Path(file.name)
        with mmap.mmap(file.fileno(), LONGEST) as kept:
            for data in inputs(item, seed):
                if done == rounds or (deadline is not None and done % 64 == 0 and time.monotonic() > deadline):
                    break
                kept[: len(data)] = data
                try:
                    item.check(data)
                except Exception as error:
                    raise Broken(f"{item.name}, seed {seed}, round {done}: {data!r}") from error
                done += 1
    path.unlink()
    return done


def main(names: Sequence[str] | None = None) -> None:
    """The command line of one module, or of all."""
    parser = argparse.ArgumentParser(description="Fuzzes the parsers.")
    parser.add_argument("--seconds", type=float, default=60, help="in all, shared by the targets (default: 60)")
    parser.add_argument("--seed", type=int, default=None, help="default: another one each time")
    parser.add_argument("--target", action="append", help="only this one; may be given again")
    options = parser.parse_args()
    seed = random.SystemRandom().randrange(1 << 32) if options.seed is None else options.seed
    chosen = [TARGETS[name] for name in options.target or names or sorted(TARGETS)]
    for item in chosen:
        print(f"{item.name}: seed {seed}", end=" ", flush=True)
        count = run(item, seed=seed, seconds=options.seconds / len(chosen))
        print(f"{count} inputs, no fault", flush=True)
