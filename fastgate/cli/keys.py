"""`fastgate keys`: virtual keys of a running fastgate, through its admin API."""

from typing import Any

import click

from fastgate.cli.admin import AdminClient, admin_options
from fastgate.cli.duration import parse_span
from fastgate.cli.options import option
from fastgate.cli.tables import as_json, as_table

COLUMNS = ("id", "team", "origin", "expires", "secrets")

json_option = option("--json", "as_document", is_flag=True, help="Print JSON.")


@click.group("keys")
def command() -> None:
    """Create, list, show, revoke and rotate virtual keys."""


def _budget(_: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> list[dict[str, str]]:
    budgets = []
    for value in values:
        limit, slash, window = value.partition("/")
        if not slash or not limit or not window:
            raise click.BadParameter(f"{value!r} is not of the form USD/WINDOW, such as 20/day", param=parameter)
        budgets.append({"limit_usd": limit, "window": window})
    return budgets


def _tags(_: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    pairs = [value.partition("=") for value in values]
    if any(not equals for _, equals, _ in pairs):
        raise click.BadParameter("a tag is of the form NAME=VALUE", param=parameter)
    if len({name for name, _, _ in pairs}) < len(pairs):
        raise click.BadParameter("a name is given twice: a key has one value of each tag", param=parameter)
    return {name: value for name, _, value in pairs}


def _id(_: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """An id that addresses one key: an empty one, ``.`` and ``..`` would address something else."""
    if value in {"", ".", ".."}:
        raise click.BadParameter(f"{value!r} is no id of a key", param=parameter)
    return value


def _seconds(_: click.Context, parameter: click.Parameter, value: str | None) -> int:
    if value is None:
        return 0
    try:
        return round(parse_span(value).total_seconds())
    except ValueError as error:
        raise click.BadParameter(str(error), param=parameter) from None


@command.command("create")
@click.argument("id_", metavar="[ID]", required=False, callback=_id)
@option("--team", default=None, help="Its team.")
@option("--model", "models", multiple=True, help="A model or pattern it may use; may be repeated.")
@option(
    "--budget", "budgets", multiple=True, callback=_budget, metavar="USD/WINDOW",
    help="A budget of its own, such as 20/day; may be repeated.",
)  # fmt: skip
@option("--tag", "tags", multiple=True, callback=_tags, metavar="NAME=VALUE", help="May be repeated.")
@option("--expires", default=None, metavar="TIMESTAMP", help="When it ends, such as 2027-01-01T00:00:00Z.")
@json_option
@admin_options
def create(  # noqa: PLR0917
    id_: str | None, team: str | None, models: tuple[str, ...], budgets: list[dict[str, str]], tags: dict[str, str],
    expires: str | None, as_document: bool, client: AdminClient,
) -> None:  # fmt: skip
    """Create the key ID (one is made up where none is given) and print its secret, which is shown this once.

    \b
    fastgate keys create laptop --team platform --model 'anthropic/*' --budget 20/day
    """
    given = {"id": id_, "team": team, "models": list(models), "budgets": budgets, "tags": tags, "expires": expires}
    made = client.send("POST", "keys", {name: value for name, value in given.items() if value})
    _print_secret(made, as_document)


@command.command("list")
@option("--team", default=None, help="Only those of this team.")
@json_option
@admin_options
def list_(team: str | None, as_document: bool, client: AdminClient) -> None:
    """Print all keys: those of the configuration file and those of the API.

    \b
    fastgate keys list --team platform --json
    """
    keys = client.all("keys", {"team": team} if team else {})
    if as_document:
        click.echo(as_json(keys))
        return
    rows = [{**each, "secrets": len(each["secrets"]) if "secrets" in each else 1} for each in keys]
    click.echo(as_table(COLUMNS, rows))


@command.command("show")
@click.argument("id_", metavar="ID", callback=_id)
@admin_options
def show(id_: str, client: AdminClient) -> None:
    """Print one key as JSON, without its secret.

    \b
    fastgate keys show laptop
    """
    click.echo(as_json(client.get(_path(id_), {})))


@command.command("revoke")
@click.argument("id_", metavar="ID", callback=_id)
@json_option
@admin_options
def revoke(id_: str, as_document: bool, client: AdminClient) -> None:
    """Stop the secrets of the key ID. The key stays, and `rotate` brings it back with a new secret.

    \b
    fastgate keys revoke laptop
    """
    answer = client.send("POST", f"{_path(id_)}/revoke")
    if as_document:
        click.echo(as_json(answer))
    else:
        click.echo(f"{id_} is revoked", err=True)


@command.command("rotate")
@click.argument("id_", metavar="ID", callback=_id)
@option(
    "--overlap", "overlap", default=None, callback=_seconds, metavar="SPAN", show_default="none",
    help="How long the old secret works on, such as 24h.",
)  # fmt: skip
@json_option
@admin_options
def rotate(id_: str, overlap: int, as_document: bool, client: AdminClient) -> None:
    """Give the key ID a new secret and print it, this once.

    \b
    fastgate keys rotate laptop --overlap 24h
    """
    answer = client.send("POST", f"{_path(id_)}/rotate", parameters={"overlap_seconds": str(overlap)})
    _print_secret(answer, as_document)


def _path(id_: str) -> str:
    from urllib.parse import quote

    return f"keys/{quote(id_, safe='')}"


def _print_secret(key: dict[str, Any], as_document: bool) -> None:
    if as_document:
        click.echo(as_json(key))
        return
    if "secret" in key:
        click.echo(f"key {key['id']}; its secret is shown this once:", err=True)
        click.echo(key["secret"])
