"""`fastgate report`: spend, through the admin API."""

from datetime import UTC, datetime
from typing import Any

import click

from fastgate.cli.admin import AdminClient, admin_options
from fastgate.cli.duration import parse_time
from fastgate.cli.exits import Failed
from fastgate.cli.of_hosts import tell
from fastgate.cli.options import option
from fastgate.cli.tables import as_csv, as_json, as_table

MEASURES = (
    "requests",
    "cost_usd",
    "saved_usd",
    "input_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "output_tokens",
    "unsettled_usd",
)


def instant(_: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """An option's callback: a moment as the admin API takes it."""
    if value is None:
        return None
    try:
        return parse_time(value, datetime.now(UTC)).isoformat().replace("+00:00", "Z")
    except ValueError as error:
        raise click.BadParameter(str(error), param=parameter) from None


def condition(_: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    """An option's callback: each value is a condition, as far as that can be told here."""
    for value in values:
        if not value.partition("=")[1]:
            raise click.BadParameter(f"{value!r} is not of the form key=value", param=parameter)
    return values


@click.command("report")
@option("--by", default="team,model", help="Attributes to group by: customer, team, key, model, tag:<name>, ...")
@option("--since", callback=instant, default=None, help="First instant: a span such as 7d, or a date.")
@option("--until", callback=instant, default=None, help="Instant after the last.")
@option("--where", multiple=True, callback=condition, metavar="KEY=VALUE", help="Only these requests; may be repeated.")
@option(
    "--hosts", type=click.Choice(["all", "own"]), default=None, show_default="all where they share a ledger",
    help="Requests of all hosts, or its own of the one that is asked.",
)  # fmt: skip
@option(
    "--format", "form", type=click.Choice(["table", "csv", "json", "focus"]), default="table", help="Form of output."
)
@admin_options
def command(
    *,
    by: str,
    since: str | None,
    until: str | None,
    where: tuple[str, ...],
    hosts: str | None,
    form: str,
    client: AdminClient,
) -> None:
    """Print what was spent, by any attributes.

    \b
    fastgate report --by team,tag:feature --since 7d --where model=gpt-5-mini --format csv
    """
    if form == "focus":
        raise Failed("--format focus is not supported yet; table, csv and json are")
    parameters: dict[str, str | list[str]] = {"by": by}
    if since is not None:
        parameters["since"] = since
    if until is not None:
        parameters["until"] = until
    if where:
        parameters["where"] = list(where)
    if hosts is not None:
        parameters["hosts"] = hosts
    answer = client.get("spend", parameters)
    tell(client, answer)
    click.echo(render(answer, by.split(","), form))


def render(answer: dict[str, Any], by: list[str], form: str) -> str:
    """The answer of ``GET spend`` in one of the forms."""
    if form == "json":
        return as_json(answer)
    groups, total = answer["groups"], answer["total"]
    columns = [*by, *(measure for measure in MEASURES if measure in total)]
    return as_csv(columns, groups) if form == "csv" else as_table(columns, groups, total)
