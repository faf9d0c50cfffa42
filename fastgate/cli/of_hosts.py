"""Whose requests an answer of the admin API is about, for who may take a part for the whole."""

from collections.abc import Mapping
from typing import Any

import click

from fastgate.cli.admin import AdminClient


def tell(client: AdminClient, answer: Mapping[str, Any]) -> None:
    """Says on standard error what the answer of ``client`` lacks, where there are several hosts."""
    if answer.get("away"):
        click.echo(f"of this host alone, the ledger of all hosts is away: {answer['away']}", err=True)
    elif answer.get("hosts") == "all" and answer.get("behind") != 0:
        count = answer["behind"]
        click.echo(f"{'some' if count is None else f'{count:,}'} requests of this host are not in it yet", err=True)
    elif answer.get("hosts") == "own" and (count := _hosts(client)) > 1:
        click.echo(f"of this host alone: {count} hosts share budgets, and no ledger (postgres.url)", err=True)


def _hosts(client: AdminClient) -> int:
    """How many share budgets, and no ledger."""
    status = client.get("status", {})
    leases = status.get("leases")
    return int(leases["hosts"]) if leases and not status.get("shared_ledger") else 0
