"""`fastgate config`: write, show or describe a configuration."""

from pathlib import Path

import click

from fastgate.cli.exits import Failed
from fastgate.cli.options import option
from fastgate.cli.tables import as_json


@click.group("config")
def command() -> None:
    """Write, show or describe a configuration."""


@command.command("schema")
def schema() -> None:
    """Print the JSON Schema of the configuration, for editors.

    \b
    fastgate config schema > fastgate.schema.json
    """
    from fastgate.config import schema

    click.echo(as_json(schema()))


@command.command("show")
@click.argument("file", type=click.Path(path_type=Path), default=Path("fastgate.yaml"))
def show(file: Path) -> None:
    """Print FILE (default fastgate.yaml) as fastgate understands it, as JSON: defaults filled in, secrets as ***.

    \b
    fastgate config show fastgate.yaml
    """
    from fastgate.cli.hosting import load
    from fastgate.config import plain

    click.echo(as_json(plain(load(file))))


EXAMPLE = """\
# fastgate configuration; `fastgate check` says what is wrong with it, docs/configuration.md describes it.
# yaml-language-server: $schema=./fastgate.schema.json      (fastgate config schema > fastgate.schema.json)

providers:
  openai:
    type: openai
    keys: [{name: main, value: "${OPENAI_API_KEY}"}]

models:
  smart:
    targets: [{provider: openai, model: gpt-5-mini}]

customers:
  - {id: acme, name: Acme, budgets: [{limit_usd: "1000", window: month}]}

teams:
  - {id: platform, customer: acme, budgets: [{limit_usd: "200", window: week}]}

keys:
  - id: first
    team: platform
    secret: "${FASTGATE_FIRST_KEY}"
    models: ["smart"]
    budgets: [{limit_usd: "20", window: day}]
"""


@command.command("init")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False), default=Path("fastgate.yaml"))
@option("--force", is_flag=True, help="Replace a file that exists.")
def init(file: Path, force: bool) -> None:
    """Write a configuration to start from into FILE (default fastgate.yaml).

    \b
    fastgate config init fastgate.yaml
    """
    if file.exists() and not force:
        raise Failed(f"{file} exists; --force replaces it")
    try:
        file.write_text(EXAMPLE, encoding="utf-8")
    except OSError as error:
        raise Failed(f"{file} cannot be written: {error.strerror}") from error
    click.echo(f"{file} written", err=True)
