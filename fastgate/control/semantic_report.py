"""What the semantic process says of itself, asked at each scrape."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from prometheus_client.core import Metric

from fastgate.cache.semantic_ask import ask
from fastgate.telemetry.semantic import MOST_SCOPES, semantic_metrics
from fastgate.wire.semantic import Report, Reported
from fastgate.wire.snapshot import SnapshotHead

SECONDS: Final = 0.2
"""How long a scrape waits for it."""


def metrics_of(arena_dir: Path, head: SnapshotHead) -> Iterable[Metric]:
    """Its metrics; none where the configuration in force names no embedder."""
    if head.semantic is None:
        return ()
    said = ask(arena_dir, Report(1, MOST_SCOPES), SECONDS)
    return semantic_metrics(said if isinstance(said, Reported) else None)
