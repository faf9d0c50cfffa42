"""``python -m tests.fuzz --seconds N``: every target that a module of this folder registers."""

import faulthandler
import importlib
from pathlib import Path

from tests.fuzz import harness

if __name__ == "__main__":
    faulthandler.enable()
    for path in sorted(Path(__file__).parent.glob("test_fuzz_*.py")):
        importlib.import_module(f"tests.fuzz.{path.stem}")
    harness.main()
