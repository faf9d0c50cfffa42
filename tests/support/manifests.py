"""What stands in ``packaging``: read, built and judged by the validators of ``.venv/manifests``."""

import subprocess
from pathlib import Path
from typing import Any, Final

import click

from fastgate.cli.main import cli
from fastgate.config.settings import Server
from fastgate.supervisor.patience import MARGIN
from fastgate.supervisor.serve import CONTROL_SECONDS, PROGRAM_SECONDS

ROOT: Final = Path(__file__).parents[2]
PACKAGING: Final = ROOT / "packaging"
_PROGRAMS: Final = ROOT / ".venv" / "manifests" / "bin"


def judged(program: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """What a validator says."""
    assert (_PROGRAMS / program).exists(), "missing: make .venv/.manifests"
    return subprocess.run([_PROGRAMS / program, *arguments], capture_output=True, text=True, check=False)


def variables() -> set[str]:
    """Of the environment, that ``serve`` knows."""
    command = cli.get_command(click.Context(cli), "serve")
    assert command is not None
    return {str(option.envvar) for option in command.params if isinstance(option, click.Option)}


def longest_end(settings: dict[str, Any]) -> float:
    """Seconds that a host with this configuration takes to end, at most."""
    server = {"drain_seconds": Server().drain_seconds, "drain_delay_seconds": 0.0, **settings.get("server", {})}
    draining = float(server["drain_delay_seconds"]) + float(server["drain_seconds"])
    return draining + MARGIN + CONTROL_SECONDS + 2 * PROGRAM_SECONDS


def check(config: Path) -> str:
    """What ``fastgate check`` has to say against a configuration."""
    checked = subprocess.run(
        [ROOT / ".venv" / "bin" / "fastgate", "check", config], capture_output=True, text=True, check=False
    )
    return "" if checked.returncode == 0 else checked.stdout + checked.stderr


def with_secrets_in(text: str, place: str, folder: Path) -> tuple[str, set[str]]:
    """A configuration that finds its secrets in ``folder`` instead of ``place``, and their names; they are made."""
    names = {rest.partition("}")[0] for rest in text.split(f"${{file:{place}/")[1:]}
    for name in names:
        (folder / name).write_text(f"secret-of-the-file-{name}\n")
    return text.replace(place, str(folder)), names
