"""``python -m benchmarks.semantic PAIRS``: static thresholds and the product's policy on labelled pairs of
questions."""

import argparse
import multiprocessing
import sys
import time
from pathlib import Path

from benchmarks.semantic.encoder import embedded
from benchmarks.semantic.neighbours import Near, nearest
from benchmarks.semantic.pairs import Questions, half, questions, read
from benchmarks.semantic.report import HEAD, Row, line, percent, row, static_hits
from benchmarks.semantic.stream import Outcome, arrivals, learning, static
from fastgate.semantic.policy import FLOOR

THRESHOLDS = [round(0.80 + 0.01 * step, 2) for step in range(20)]
SETTINGS = [0.005, 0.01, 0.02, 0.05]
GAIN = 1.3
"""What ours must have of the hits of the best static threshold with the same error."""

_DATA: list[tuple[Questions, Near]] = []


def one_order(seed: int) -> tuple[list[Outcome], list[Outcome]]:
    """All caches on one order of the questions."""
    asked, near = _DATA[0]
    order = arrivals(len(asked.texts), seed)
    ours = learning(asked, near, order, SETTINGS, seed)
    return [static(asked, near, order, threshold) for threshold in THRESHOLDS], ours


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.semantic", description=__doc__)
    parser.add_argument("pairs", type=Path, help='lines {"a": ..., "b": ..., "same": 0 or 1}, gzipped or not')
    parser.add_argument("--seeds", type=int, default=5, help="orders of the questions (default: 5)")
    parser.add_argument("--half", choices=("develop", "verify"), help="one of two halves that share no class")
    parser.add_argument("--cache", type=Path, default=Path(".venv/semantic"), help="where embeddings are kept")
    parser.add_argument("--workers", type=int, default=2, help="processes (default: 2)")
    return parser.parse_args()


def main() -> int:
    """Prints the table; 1 where what is demanded of ours does not hold."""
    chosen = options()
    pairs = read(chosen.pairs)
    # Of a half the vectors are taken from those of the whole, which are kept.
    whole = questions(pairs)
    vectors = embedded(whole.texts, chosen.cache)
    asked = questions(half(pairs, chosen.half)) if chosen.half else whole
    if chosen.half:
        place = {text: at for at, text in enumerate(whole.texts)}
        vectors = vectors[[place[text] for text in asked.texts]]
    _DATA.append((asked, nearest(vectors, FLOOR)))
    repeats = len(asked.texts) - len(set(asked.classes))
    share = percent(repeats / len(asked.texts))
    print(f"{len(asked.texts)} questions in {len(set(asked.classes))} classes: {share} % ask what was asked before")
    began = time.monotonic()
    # Forked, so that the data are not copied; nothing here has threads of its own that a child would miss.
    with multiprocessing.get_context("fork").Pool(chosen.workers) as pool:
        found = pool.map(one_order, range(1, chosen.seeds + 1), chunksize=1)
    statics = [row(f"static {value:.2f}", [each[0][at] for each in found]) for at, value in enumerate(THRESHOLDS)]
    ours = [row(f"ours {percent(value)} %", [each[1][at] for each in found]) for at, value in enumerate(SETTINGS)]
    print(HEAD)
    for item in statics:
        print(line(item))
    kept = [told(item, setting, statics) for item, setting in zip(ours, SETTINGS, strict=True)]
    speed = sum(outcome.microseconds for each in found for outcome in each[1]) / (len(found) * len(SETTINGS))
    took = time.monotonic() - began
    print(
        f"\n{chosen.seeds} seeds; {speed:.0f} µs per decision, four caches side by side; {took:.0f} s", file=sys.stderr
    )
    if not all(kept):
        print(f"not held: errors surely under the setting, and {GAIN} times static's hits", file=sys.stderr)
    return 0 if all(kept) else 1


def told(item: Row, setting: float, statics: list[Row]) -> bool:
    """Prints a row of ours; whether it keeps what is demanded."""
    other = static_hits(statics, item.errors.mean)
    ratio = item.hits / other if other else None
    print(line(item, "beyond" if ratio is None else f"{ratio:.2f}"))
    bounded = max(item.errors.high, item.sampled.high) < setting
    return bounded and ratio is not None and ratio >= GAIN


if __name__ == "__main__":
    sys.exit(main())
