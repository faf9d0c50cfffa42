"""Whose requests an answer of the admin API is about, for who may take a part for the whole."""

from collections.abc import Mapping
from typing import Any

import click


def tell(answer: Mapping[str, Any]) -> None:
    """Says on standard error what the answer lacks, where hosts share a ledger."""
    if answer.get("away"):
        click.echo(f"of this host alone, the ledger of all hosts is away: {answer['away']}", err=True)
    elif answer.get("hosts") == "all" and answer.get("behind") != 0:
        count = answer["behind"]
        click.echo(f"{'some' if count is None else f'{count:,}'} requests of this host are not in it yet", err=True)
