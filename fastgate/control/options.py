"""What the control process is told: on its command line, or under the same names in its environment."""

import argparse
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

NOTHING_SERVES: Final = 1 << 62


@dataclass(frozen=True)
class Options:
    """Folders, files and addresses; ``admin_port`` 0 takes a free one.

    ``stale`` is the generation of the last snapshot of an earlier start: workers serve what is behind it.
    ``started_with`` has the settings that the host took from the configuration; None: those of the first load.
    """

    config: Path
    state_dir: Path
    arena_dir: Path
    admin_host: str
    admin_port: int
    stale: int = NOTHING_SERVES
    started_with: Mapping[str, Any] | None = None


def parse(arguments: Sequence[str] | None = None, environment: Mapping[str, str] = os.environ) -> Options:
    """Reads the options; prints a usage message and exits with 2 where one is missing or wrong."""
    parser = argparse.ArgumentParser(prog="fastgate.control.process")
    _add(parser, environment, "--config", Path, None)
    _add(parser, environment, "--state-dir", Path, None)
    _add(parser, environment, "--arena-dir", Path, None)
    _add(parser, environment, "--admin-host", str, "127.0.0.1")
    _add(parser, environment, "--admin-port", int, "8081")
    _add(parser, environment, "--stale", int, str(NOTHING_SERVES))
    _add(parser, environment, "--started-with", json.loads, "null")
    return Options(**vars(parser.parse_args(arguments)))


def _add(
    parser: argparse.ArgumentParser,
    environment: Mapping[str, str],
    name: str,
    kind: Callable[[str], Any],
    default: str | None,
) -> None:
    found = environment.get(f"FASTGATE_{name[2:].replace('-', '_').upper()}", default)
    parser.add_argument(name, type=kind, default=found, required=found is None)
