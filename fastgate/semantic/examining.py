"""``python -m fastgate.semantic.examining``: why the embedder of ``FASTGATE_SEMANTIC`` could not be loaded.

Code 1 and a sentence, or 0. Loads no model: the process that runs goes on meanwhile.
"""

import os
import sys

import msgspec

from fastgate.cache.embedder_files import unfit
from fastgate.semantic.settings import VARIABLE, settings_of


def main() -> int:
    """Entry point; returns the exit code."""
    said = unfit(msgspec.structs.asdict(settings_of(os.environ[VARIABLE]).embedder))
    if said:
        print(said)
    return int(bool(said))


if __name__ == "__main__":
    sys.exit(main())
