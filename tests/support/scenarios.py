"""Users' scenarios for tests, and how a load tool is run with them."""

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from loadtest.scenarios import FILE

ROOT = Path(__file__).parents[2]
SECONDS = 60


def scenarios(folder: Path, model: str = "sim/sim-large", most_ms: float = 60_000) -> Path:
    """Hasty users with prompts of 1 KB, of one model: at sim-large each costs from USD 0.0008 to 0.0013."""
    document: dict[str, Any] = json.loads(FILE.read_text())
    hasty = {
        "max_tokens": 64,
        "prompt_kb": {"median": 1, "sigma": 0, "most": 2},
        "think_seconds": {"median": 0.05, "sigma": 0.5, "most": 0.2},
    }
    document |= {
        "models": {"openai": {model: 1}, "anthropic": {model: 1}},
        "asking": hasty,
        "spending": hasty,
        "turns": {"median": 3, "sigma": 0.5, "most": 4},
        "thresholds_ms": dict.fromkeys(document["thresholds_ms"], most_ms),
    }
    path = folder / "scenarios.json"
    path.write_text(json.dumps(document))
    return path


def ran(argv: Sequence[str], **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs a program to its end; ``environment``: ``FASTGATE_LOADTEST_*`` without that."""
    variables = {f"FASTGATE_LOADTEST_{name}": value for name, value in environment.items()}
    return subprocess.run(
        argv, env={**os.environ, **variables}, capture_output=True, text=True, timeout=SECONDS, cwd=ROOT, check=False
    )
