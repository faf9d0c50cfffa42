"""What the simulator is told at its start."""

from pathlib import Path

import msgspec


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """The options, each named as on the command line; times in milliseconds."""

    host: str = "127.0.0.1"
    port: int = 9000
    seed: int = 0
    latency_ms: float = 0.0
    ttft_ms: float = 0.0
    chunk_ms: float = 0.0
    cancel_lag_ms: float = 0.0
    tokens: tuple[int, int] = (16, 16)
    tokenizer: str = "quarter"
    fail: str = ""
    now: float | None = None
    """A clock that stands still, in unix seconds; None: the machine's."""
    prices: Path | None = None
    answers: Path | None = None
    require_key: bool = False
    bill_rows: int = 2_000_000
    exit_with_stdin: bool = False
