"""`fastgate check`: all errors of a configuration at once."""

import json
import os
from pathlib import Path

import click

from fastgate.cli.exits import Failed
from fastgate.cli.options import option


@click.command("check")
@click.argument("file", type=click.Path(path_type=Path), default=Path("fastgate.yaml"))
@option("--online", is_flag=True, help="Probe the providers too (not supported yet).")
@option("--json", "as_json", is_flag=True, help="Print the problems as JSON.")
def command(file: Path, online: bool, as_json: bool) -> None:
    """Check FILE (default fastgate.yaml) and print all its errors as file:line:column: message (hint).

    Warnings, and notes of what a cache will do for whom, are no errors, and go to standard error.

    \b
    fastgate check fastgate.yaml
    """
    if online:
        raise Failed("--online is not supported yet")
    from fastgate.control.check import check, notes, warnings

    problems = check(file, os.environ)
    for warning in () if problems else warnings(file, os.environ):
        click.echo(f"{file}: warning: {warning}", err=True)
    for note in () if problems else notes(file, os.environ):
        click.echo(f"{file}: note: {note}", err=True)
    if as_json:
        fields = ("file", "line", "column", "message", "hint")
        click.echo(json.dumps([{name: getattr(problem, name) for name in fields} for problem in problems]))
    elif problems:
        click.echo("\n".join(map(str, problems)))
    else:
        click.echo(f"{file}: ok")
    if problems:
        raise click.exceptions.Exit(3)
