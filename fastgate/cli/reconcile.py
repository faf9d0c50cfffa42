"""`fastgate reconcile`: the ledger against a provider's bill, through the admin API."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import click

from fastgate.cli.admin import AdminClient, admin_options
from fastgate.cli.duration import parse_time
from fastgate.cli.exits import Failed
from fastgate.cli.of_hosts import tell
from fastgate.cli.options import option
from fastgate.cli.tables import as_csv, as_json, as_table

if TYPE_CHECKING:
    from fastgate.bills.bill import Bill
    from fastgate.bills.comparison import Booked, Comparison, Row

AXES = ("day", "model")
AMOUNTS = ("bill", "ledger", "estimated", "unsettled", "difference", "unexplained")
ASKED = ("cache=", "cache=miss", "cache=bypass")
"""Conditions on requests that a provider was asked for: what a cache answered is on no bill."""


def _day(_: click.Context, parameter: click.Parameter, value: str | None) -> date | None:
    try:
        return None if value is None else parse_time(value, datetime.now(UTC)).date()
    except ValueError as error:
        raise click.BadParameter(str(error), param=parameter) from None


def _axes(_: click.Context, parameter: click.Parameter, value: str) -> list[str]:
    named = value.split(",")
    if not set(named) <= set(AXES):
        raise click.BadParameter(f"{value!r} is not of {', '.join(AXES)}", param=parameter)
    return [axis for axis in AXES if axis in named]


def _usd(_: click.Context, parameter: click.Parameter, value: str) -> int:
    from fastgate.config.scalars import parse_usd

    try:
        return parse_usd(value)
    except ValueError as error:
        raise click.BadParameter(str(error), param=parameter) from None


def _percent(context: click.Context, parameter: click.Parameter, value: str) -> Decimal:
    _usd(context, parameter, value)  # a decimal of the same form
    return Decimal(value)


def _names(_: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    pairs = [value.partition("=") for value in values]
    if any(not theirs or not ours for theirs, _, ours in pairs):
        raise click.BadParameter("it has to be of the form THEIRS=OURS", param=parameter)
    return {theirs: ours for theirs, _, ours in pairs}


@click.command("reconcile")
@option("--bill", "file", required=True, metavar="FILE", help="The bill; - is standard input.")
@option(
    "--provider", "providers", multiple=True, show_default="the only one of the bill's type",
    help="Ours that the bill is of; may be repeated.",
)  # fmt: skip
@option("--since", callback=_day, default=None, help="First day (UTC): a span such as 7d, or a date.")
@option("--until", callback=_day, default=None, help="Day after the last.")
@option("--by", callback=_axes, default="day,model", help="What rows are told apart by: day, model, or both.")
@option("--tolerance-usd", callback=_usd, default="0", help="Unexplained difference of a row that is let through.")
@option("--tolerance-percent", callback=_percent, default="0", help="The same, as a share of what is billed.")
@option(
    "--rename", "names", multiple=True, callback=_names, metavar="THEIRS=OURS",
    help="A model of the bill, as our requests call it; may be repeated.",
)  # fmt: skip
@option("--format", "form", type=click.Choice(["table", "csv", "json"]), default="table", help="Form of output.")
@option("--json", "as_document", is_flag=True, help="The same as --format json.")
@admin_options
def command(
    *,
    file: str,
    providers: tuple[str, ...],
    since: date | None,
    until: date | None,
    by: list[str],
    tolerance_usd: int,
    tolerance_percent: Decimal,
    names: dict[str, str],
    form: str,
    as_document: bool,
    client: AdminClient,
) -> None:
    """Compare the ledger with a provider's bill, by day and model.

    The bill is the simulator's, OpenAI's costs, Anthropic's cost report or its usage report, as JSON. Exit code 1: a
    row or the total differs by more than what is estimated, unsettled or tolerated.

    \b
    fastgate reconcile --bill costs.json --provider openai --tolerance-usd 0.01
    """
    from fastgate.bills.bill import KINDS, BadBill, Unit
    from fastgate.bills.comparison import Tolerance, Verdict, compare
    from fastgate.bills.formats import read

    try:
        bill = read(_contents(file)).between(since, until)
        if tolerance_usd and bill.unit is not Unit.USD:
            raise click.UsageError(f"{bill.source} has {bill.unit}, no amounts: --tolerance-usd is none for it")
        ours = providers or _provider_of(bill, client)
        ledger = booked(client, ours, KINDS if bill.unit is Unit.TOKENS else (), *(bill.span or (since, until)))
        found = compare(bill, ledger, by, Tolerance(tolerance_usd, tolerance_percent), names)
    except BadBill as error:
        raise click.BadParameter(f"{file}: {error}", param_hint="--bill") from None
    click.echo(f"{bill.source} against provider {', '.join(ours)}: {found.verdict}", err=True)
    click.echo(render(found, by, "json" if as_document else form))
    if found.verdict is Verdict.DIFFERENT:
        raise click.exceptions.Exit(1)


def _contents(file: str) -> bytes:
    try:
        with click.open_file(file, "rb") as opened:
            contents: bytes = opened.read()
    except OSError as error:
        raise click.BadParameter(f"{file} cannot be read: {error.strerror}", param_hint="--bill") from None
    return contents


def _provider_of(bill: "Bill", client: AdminClient) -> list[str]:
    fitting = [each["id"] for each in client.all("providers", {}) if each["type"] == bill.provider_type]
    if len(fitting) != 1:
        found = f"{len(fitting)} providers are ({', '.join(fitting)})" if fitting else "no provider is"
        raise click.UsageError(f"{bill.source} is of type {bill.provider_type}, and {found}: name it with --provider")
    return fitting


def booked(
    client: AdminClient, providers: Sequence[str], kinds: Sequence[str], since: date | None, until: date | None
) -> "list[Booked]":
    """What the ledger has for these providers, from the day ``since`` on and before ``until``; None: without bound.

    ``kinds``: of tokens; none: their cost. Without what a cache answered.
    """
    parameters: dict[str, str | Sequence[str]] = {"by": "upstream_model,settlement", "interval": "day"}
    parameters["where"] = [*(f"provider={name}" for name in providers), *ASKED]
    parameters.update({name: str(day) for name, day in (("since", since), ("until", until)) if day})
    answer = client.get("spend", parameters)
    tell(client, answer)
    if answer["truncated"]:
        raise Failed(f"more than {len(answer['groups'])} models and days: narrow it with --since and --until")
    if not answer["groups"]:
        _check_that_there_are(providers, client)
    return [each for group in answer["groups"] for each in _of_group(group, kinds)]


def _of_group(group: Mapping[str, Any], kinds: Sequence[str]) -> "Iterator[Booked]":
    from fastgate.bills.comparison import Booked
    from fastgate.wire.money import nano

    day = datetime.fromisoformat(group["time"]).date()
    common = (day, group["upstream_model"], group["settlement"], group["requests"])
    if not kinds:
        yield Booked(*common, nano(group["cost_usd"]))
    for kind in kinds:
        yield Booked(*common, group[kind], kind)


def _check_that_there_are(providers: Sequence[str], client: AdminClient) -> None:
    """A provider that is gone may have requests still; a name without any is a mistake."""
    known = [each["id"] for each in client.all("providers", {})]
    for name in providers:
        if name not in known:
            raise click.UsageError(f"there is no provider {name!r}, nor a request to it: known are {', '.join(known)}")


def render(found: "Comparison", by: Sequence[str], form: str) -> str:
    """The comparison in one of the forms; amounts are USD with 9 places, tokens integers."""
    rows, total = [_cells(row, by) for row in found.rows], _cells(found.total, [])
    if form == "json":
        return as_json({"rows": rows, "total": total, "verdict": found.verdict})
    columns = [*by, *total]
    if form == "csv":
        return as_csv(columns, [*rows, {by[0]: "total", **total}])
    return as_table(columns, rows, total)


def _cells(row: "Row", by: Sequence[str]) -> Mapping[str, Any]:
    from fastgate.bills.bill import Unit
    from fastgate.wire.money import usd

    values = {f"{name}_{row.unit}": getattr(row, name) for name in AMOUNTS}
    if row.unit is Unit.USD:
        values = {name: None if value is None else usd(value) for name, value in values.items()}
    return {**{axis: str(getattr(row, axis)) for axis in by}, **values, "verdict": row.verdict}
