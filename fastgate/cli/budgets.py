"""`fastgate budgets`: how the budgets of a running fastgate stand, and beginning one anew."""

import click

from fastgate.cli.admin import AdminClient, admin_options
from fastgate.cli.keys import json_option
from fastgate.cli.options import option
from fastgate.cli.tables import as_json, as_table

LEVELS = ("session", "user", "tag", "model", "environment", "provider", "key", "team", "customer")
COLUMNS = ("id", "limit_in_force_usd", "spent_usd", "held_usd", "left_usd", "resets_at")
SHARED = (*COLUMNS[:-1], "leased_elsewhere_usd", "stranded_usd", COLUMNS[-1])
"""Where hosts share budgets."""


@click.group("budgets")
def command() -> None:
    """Show how budgets stand, and begin one anew."""


@command.command("list")
@option(
    "--level", type=click.Choice(LEVELS), default=None,
    help="Only those of this level.",
)  # fmt: skip
@option("--owner", default=None, metavar="LEVEL:ID", help="Only those of this owner, as team:platform.")
@json_option
@admin_options
def list_(level: str | None, owner: str | None, as_document: bool, client: AdminClient) -> None:
    """Print all budgets with limit, spent, held and left.

    \b
    fastgate budgets list --owner team:platform
    """
    given = {"level": level, "owner": owner}
    budgets = client.all("budgets", {name: value for name, value in given.items() if value})
    shared = any(budget["leased_elsewhere_usd"] for budget in budgets)
    click.echo(as_json(budgets) if as_document else as_table(SHARED if shared else COLUMNS, budgets))


def _id(_context: click.Context, _parameter: click.Parameter, text: str) -> str:
    """Owners of some levels have a slash of their own."""
    if text.count("/") not in (2, 3):
        raise click.BadParameter(
            f"'{text}' is no budget's id, which is owner/window/name, as team:platform/month/default:"
            " fastgate budgets list has them"
        )
    return text


@command.command("reset")
@click.argument("id_", metavar="ID", callback=_id)
@json_option
@admin_options
def reset(id_: str, as_document: bool, client: AdminClient) -> None:
    """Begin the window of the budget ID anew: what was spent no longer counts in it, what is held does.

    \b
    fastgate budgets reset team:platform/month/default
    """
    from urllib.parse import quote

    budget = client.send("POST", f"budgets/{quote(id_)}/reset")
    click.echo(as_json(budget) if as_document else as_table(COLUMNS, [budget]))
