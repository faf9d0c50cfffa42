"""`fastgate hosts`: the hosts that share budgets with a running fastgate, and going on without one that is gone."""

from typing import Any

import click

from fastgate.cli.admin import AdminClient, admin_options
from fastgate.cli.keys import json_option
from fastgate.cli.tables import as_json, as_table

COLUMNS = ("host", "heard_at", "lives", "awaited")


@click.group("hosts")
def command() -> None:
    """List the hosts that share budgets, and go on without one."""


@command.command("list")
@json_option
@admin_options
def list_(as_document: bool, client: AdminClient) -> None:
    """Print the hosts that live, lived within a day, or are awaited by a Redis that lost its data.

    \b
    fastgate hosts list
    """
    _tell(client.get("hosts", {})["items"], as_document=as_document)


@command.command("forget")
@click.argument("host")
@json_option
@admin_options
def forget(host: str, as_document: bool, client: AdminClient) -> None:
    """Go on without HOST, which is gone for good: a Redis that lost its data waits for it no more.

    What it had leased stays taken until the window ends. What only HOST had spent of a budget, and Redis has
    forgotten, could be spent again.

    \b
    fastgate hosts forget a-1
    """
    from urllib.parse import quote

    _tell(client.send("POST", f"hosts/{quote(host, safe='')}/forget")["items"], as_document=as_document)


def _tell(hosts: list[dict[str, Any]], *, as_document: bool) -> None:
    said = ({**host, **{what: "yes" if host[what] else "no" for what in ("lives", "awaited")}} for host in hosts)
    click.echo(as_json(hosts) if as_document else as_table(COLUMNS, list(said)))
