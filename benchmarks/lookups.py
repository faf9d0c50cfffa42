"""What the semantic process computes for a question, measured with the memory that the supervisor gives it.

``python -m benchmarks.lookups`` writes JSON: short texts embedded per second by size of batch, and the median
milliseconds of a question among 100,000 entries, its embedding included, and of the embedding alone. Times are of the
processor, in one thread that waits for nothing: what it takes on a core of its own.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from itertools import count, product
from statistics import median
from typing import Any, Final

import numpy as np

from benchmarks.gates import TRIES
from fastgate.semantic.brute import Vector
from fastgate.semantic.graph import Graph
from fastgate.semantic.index import Index
from fastgate.semantic.onnx_model import OnnxModel
from fastgate.semantic.repository import NEIGHBOURS
from fastgate.semantic.service import BATCH
from fastgate.supervisor.commands import MEMORY
from tests.support.semantic import model

BATCHES: Final = (BATCH, 32)
MANY: Final = 100_000
LOOKUPS: Final = 200
SHORT: Final = [
    f"{verb} {thing}{end}"
    for verb, thing, end in product(
        (
            "How do I return",
            "Where can I buy",
            "What is the price of",
            "Why did nobody tell me about",
            "Can you explain",
        ),
        ("a broken laptop", "seven blue chairs", "the old bridge in Prague", "an index in SQLite", "my second invoice"),
        (" to the shop?", " this week?", " in two sentences?", ", please?"),
    )
]
"""About a dozen tokens each."""


def measured() -> dict[str, Any]:
    """What a process of its own measures."""
    environment = {**os.environ, "GLIBC_TUNABLES": MEMORY}
    command = [sys.executable, "-m", "benchmarks.lookups"]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def fastest(act: Callable[[], float]) -> float:
    """The least of a few: other work on the machine only ever adds."""
    return min(act() for _ in range(TRIES))


def seconds_a_text(embedder: OnnxModel, batch: int) -> float:
    """In batches of so many."""
    began = time.process_time()
    for start in range(0, len(SHORT), batch):
        embedder.embed(SHORT[start : start + batch])
    return (time.process_time() - began) / len(SHORT)


def entries(embedder: OnnxModel) -> Index:
    """100,000 vectors that lie around those of texts, in a graph."""
    rng = np.random.default_rng(1)
    centres = embedder.embed(SHORT).vectors
    graph = Graph(centres.shape[1], MANY)
    for start in range(0, MANY, 5_000):
        rows = centres[rng.integers(0, len(centres), 5_000)] + 0.04 * rng.normal(size=(5_000, centres.shape[1]))
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        graph.add(range(start + 1, start + 5_001), rows.astype(np.float32), threads=2)
    index = Index(centres.shape[1])
    index.take_up(graph)
    return index


def median_seconds(act: Callable[[], object]) -> float:
    """Of many times."""
    times = []
    for _ in range(LOOKUPS):
        began = time.process_time()
        act()
        times.append(time.process_time() - began)
    return median(times)


def main() -> None:
    """Measures and writes."""
    embedder, numbers = model(), count()

    def embedded() -> Vector:
        number = next(numbers)
        vector: Vector = embedder.embed([f"{SHORT[number % len(SHORT)]} Number {number}"]).vectors[0]
        return vector

    def look_up() -> None:
        assert len(index.search(embedded(), NEIGHBOURS)) == NEIGHBOURS

    embedder.embed(SHORT)
    texts = {str(batch): round(1 / fastest(partial(seconds_a_text, embedder, batch))) for batch in BATCHES}
    index = entries(embedder)
    whole, alone = (fastest(partial(median_seconds, act)) for act in (look_up, embedded))
    found = {"texts_a_second": texts, "lookup_ms": 1000 * whole, "embedding_ms": 1000 * alone}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
