"""`fastgate version`."""

import json
import platform

import click

from fastgate.cli.options import option
from fastgate.version import __version__


@click.command("version")
@option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(as_json: bool) -> None:
    """Print the version.

    \b
    fastgate version --json
    """
    if as_json:
        click.echo(
            json.dumps({"fastgate": __version__, "python": platform.python_version(), "machine": platform.machine()})
        )
    else:
        click.echo(f"fastgate {__version__}")
