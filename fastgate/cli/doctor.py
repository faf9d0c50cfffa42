"""`fastgate doctor`: what would keep a gateway from serving, and what to do about it."""

import os
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fastgate.cli.exits import Failed
from fastgate.cli.keys import json_option
from fastgate.cli.options import STATE_DIR, config_option, place_options, state_dir_option
from fastgate.cli.tables import as_json

if TYPE_CHECKING:
    from fastgate.config import Config
    from fastgate.doctor.findings import Finding
    from fastgate.doctor.installation import Installation

CONFIG = Path("fastgate.yaml")


@click.command("doctor")
@config_option
@place_options
@state_dir_option()
@json_option
def command(
    *,
    config: Path | None,
    host: str | None,
    port: int | None,
    admin_host: str | None,
    admin_port: int | None,
    workers: int | None,
    state_dir: Path | None,
    as_document: bool,
) -> None:
    """Examine what `serve` with the same options stands on: a line for each finding, and what to do.

    It looks at versions, processor, limits, clock, folders, stores with the chain of changes, ports, providers, the
    Redis and the PostgreSQL that hosts share, the embedder and the endpoints of the semantic cache, and changes
    nothing. Exit code 0 where nothing failed, 1 where something did, 4 where only a service does not answer.

    \b
    fastgate doctor --config fastgate.yaml
    """
    from fastgate.doctor.examination import examine, exit_code

    examined, folder, finding = _configuration(config, state_dir)
    asked = {"host": host, "port": port, "workers": workers, "admin_port": admin_port}
    server = {name: each for name, each in asked.items() if each is not None}
    admin = {"host": admin_host} if admin_host is not None else {}
    installation = _installation(examined, folder, state_dir, server, admin)
    findings = []
    for found in chain([finding], examine(installation)):
        findings.append(found)
        if not as_document:
            click.echo(str(found))
    if as_document:
        fields = ("check", "level", "message", "remedy")
        click.echo(as_json([{name: str(getattr(found, name)) for name in fields} for found in findings]))
    if code := exit_code(findings):
        raise click.exceptions.Exit(code)


def _configuration(path: Path | None, state_dir: Path | None) -> "tuple[Config, Path, Finding]":
    """What is configured, and in which folder; defaults where nothing is, or nothing that can be read."""
    from fastgate.config import Config, ConfigErrors, load
    from fastgate.control.check import check
    from fastgate.doctor.findings import failed, ok

    generated = [(state_dir or Path(STATE_DIR)) / name for name in ("quickstart.yaml", "demo.yaml")]
    found = [each for each in (path or CONFIG, *generated) if each == path or each.exists()]
    if not found:
        return Config(), Path(), ok("config", "there is none; `serve` takes what it finds in the environment")
    file = found[0]
    problems = check(file, os.environ)
    try:
        config = load(file, os.environ)
    except ConfigErrors:
        config = Config()
    if problems:
        return (
            config,
            file.parent,
            failed("config", f"{file} has {len(problems)} mistakes", f"fastgate check {file} says which"),
        )
    return config, file.parent, ok("config", f"{file} can be served")


def _installation(
    config: "Config", config_dir: Path, state_dir: Path | None, server: dict[str, Any], admin: dict[str, Any]
) -> "Installation":
    """``server`` and ``admin``: what the command line says instead of these sections of the configuration."""
    from msgspec.structs import replace

    from fastgate.cli.admin import AdminClient
    from fastgate.doctor.installation import Installation, NoAnswer, running_in

    folder = (state_dir or Path(config.state_dir)).resolve()
    config = replace(config, server=replace(config.server, **server), admin=replace(config.admin, **admin))

    def status() -> dict[str, Any]:
        try:
            found: dict[str, Any] = AdminClient("", "", folder).get("status", {})
        except Failed as error:
            raise NoAnswer(error.message) from error
        return found

    return Installation(config, config_dir, folder, running_in(folder), status)
