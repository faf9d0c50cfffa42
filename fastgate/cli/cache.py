"""`fastgate cache`: what the caches of a running fastgate hold and saved, and how right they are, by its admin API."""

from collections.abc import Callable
from functools import wraps
from typing import Any, Final, TypeVar

import click

from fastgate.cli.admin import AdminClient, admin_options
from fastgate.cli.cache_report import SCOPE, lines, scope_rows
from fastgate.cli.duration import parse_span
from fastgate.cli.exits import Failed
from fastgate.cli.keys import json_option
from fastgate.cli.options import option
from fastgate.cli.report import condition, instant
from fastgate.cli.tables import as_json, as_table

Function = TypeVar("Function", bound=Callable[..., Any])
Parameters = dict[str, str | list[str]]

ENTRIES: Final = "cache/entries"
COLUMNS: Final = (
    "id", "tier", "key", "team", "model", "kind", "bytes", "created_at", "expires_at", "hits", "saved_usd",
)  # fmt: skip
STORE: Final = ("tier", "entries", "bytes", "capacity_bytes", "stored", "evicted", "refused")
SUMS: Final = ("key", "requests", "exact_hits", "semantic_hits", "misses", "bypasses", "hit_rate", "saved_usd")
MEANT: Final = (
    "key", "requests", "hits", "misses", "explored", "audited", "shadow_hits", "unanswered", "hit_rate", "saved_usd",
)  # fmt: skip
MOST_AT_ONCE: Final = 1000


@click.group("cache")
def command() -> None:
    """Show what the caches hold and saved, and how right they are, and delete answers from them."""


def _seconds(_: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    if value is None:
        return None
    try:
        return str(round(parse_span(value).total_seconds()))
    except ValueError as error:
        raise click.BadParameter(str(error), param=parameter) from None


def filters(function: Function) -> Function:
    """Options that say which entries; the command gets them as ``wanted``, parameters of the admin API."""

    @wraps(function)
    def run(*, tags: tuple[str, ...], older_than: str | None, younger_than: str | None, **arguments: Any) -> Any:
        names = ("key", "team", "model", "upstream_model", "provider", "dialect")
        said = {name: arguments.pop(name) for name in names}
        said |= {"older_than_seconds": older_than, "younger_than_seconds": younger_than}
        tagged: dict[str, list[str]] = {}
        for name, _, value in (tag.partition("=") for tag in tags):
            tagged.setdefault(f"tag:{name}", []).append(value)
        wanted: Parameters = {name: value for name, value in said.items() if value is not None}
        return function(wanted=wanted | tagged, **arguments)

    decorators = (
        option("--key", default=None, help="Only what this key paid for."),
        option("--team", default=None, help="Only what keys of this team paid for."),
        option("--model", default=None, help="Only answers of this model, as it was asked for."),
        option("--upstream-model", default=None, help="Only answers of this model, by its provider's name."),
        option("--provider", default=None, help="Only answers of this provider."),
        option("--dialect", default=None, help="Only answers to this API, such as openai-chat."),
        option(
            "--tag", "tags", multiple=True, callback=condition, metavar="NAME=VALUE",
            help="Only with this tag; may be repeated.",
        ),
        option(
            "--older-than", default=None, callback=_seconds, metavar="SPAN",
            help="Kept so long ago, such as 12h, or longer.",
        ),
        option("--younger-than", default=None, callback=_seconds, metavar="SPAN", help="Kept less than so long ago."),
    )  # fmt: skip
    for decorator in reversed(decorators):
        run = decorator(run)
    return run  # type: ignore[return-value]


def tier_option(function: Function) -> Function:
    """The command gets it as ``tier``."""
    tiers = click.Choice(("exact", "semantic"))
    return option("--tier", type=tiers, default=None, show_default="both", help="Only of this cache.")(function)


@command.command("list")
@filters
@tier_option
@option("--limit", type=click.IntRange(0), default=100, help="At most so many; 0: all, of which there may be millions.")
@json_option
@admin_options
def list_(wanted: Parameters, tier: str | None, limit: int, as_document: bool, client: AdminClient) -> None:
    """Print entries: what they are of, and what they saved. Neither questions nor answers.

    \b
    fastgate cache list --team platform --tag feature=search --older-than 12h
    """
    items: list[dict[str, Any]] = []
    asked, more = _of_tier(wanted, tier), True
    while more and (not limit or len(items) < limit):
        asked["limit"] = str(min(MOST_AT_ONCE, limit - len(items)) if limit else MOST_AT_ONCE)
        page = client.get(ENTRIES, asked)
        items += page["items"]
        more = page["next"] is not None
        asked["cursor"] = page["next"] or ""
    click.echo(as_json(items) if as_document else as_table(COLUMNS, items))
    if more:
        click.echo(f"there are more than these {len(items)}: --limit says how many to print", err=True)


@command.command("show")
@click.argument("id_", metavar="ID")
@option("--texts", is_flag=True, help="With question and answer, where `cache.semantic.show_texts` is true.")
@admin_options
def show(id_: str, texts: bool, client: AdminClient) -> None:
    """Print one entry as JSON; `x-fastgate-cache-entry` of an answer has its ID.

    \b
    fastgate cache show 0123456789abcdef0123456789abcdef-7
    """
    click.echo(as_json(client.get(_path(id_), {"texts": "true"} if texts else {})))


@command.command("delete")
@click.argument("ids", metavar="[ID]...", nargs=-1)
@filters
@tier_option
@option("--all", "everything", is_flag=True, help="Every entry there is.")
@json_option
@admin_options
def delete(
    *,
    ids: tuple[str, ...],
    wanted: Parameters,
    tier: str | None,
    everything: bool,
    as_document: bool,
    client: AdminClient,
) -> None:
    """Delete the entries ID, or those that the options describe: no request gets them any more.

    \b
    fastgate cache delete --model smart --older-than 1h
    """
    if sum((bool(ids), bool(wanted), everything)) != 1:
        every = (
            f", or --all for every one of --tier {tier}" if tier else ", or --all, which --tier narrows to one cache"
        )
        raise click.UsageError(f"say which entries: by their IDs, or by options that describe them{every}")
    if ids and tier:
        raise click.UsageError("an ID says of which cache it is: leave --tier out")
    if ids:
        done = {"deleted": _delete_each(ids, client)}
    else:
        parameters = _of_tier({"all": "true"} if everything else wanted, tier)
        done = client.send("DELETE", ENTRIES, parameters=parameters)
    if as_document:
        click.echo(as_json(done))
    else:
        shared = f", and {done['shared']:,} in Redis" if "shared" in done else ""
        click.echo(f"{done['deleted']:,} deleted{shared}", err=True)


def _of_tier(parameters: Parameters, tier: str | None) -> Parameters:
    return parameters if tier is None else {**parameters, "tier": tier}


def _delete_each(ids: tuple[str, ...], client: AdminClient) -> int:
    for number, id_ in enumerate(ids):
        try:
            client.send("DELETE", _path(id_))
        except Failed as failure:
            before = f"; {number} of {len(ids)} were deleted before" if number else ""
            raise type(failure)(f"{failure.message}{before}") from failure
    return len(ids)


@command.command("statistics")
@option("--since", callback=instant, default=None, help="First instant: a span such as 7d, or a date.")
@option("--until", callback=instant, default=None, help="Instant after the last.")
@option("--where", multiple=True, callback=condition, metavar="KEY=VALUE", help="Only these requests; may be repeated.")
@option("--limit", type=click.IntRange(1, 1000), default=100, help="Keys, those first that saved most.")
@json_option
@admin_options
def statistics(
    *,
    since: str | None,
    until: str | None,
    where: tuple[str, ...],
    limit: int,
    as_document: bool,
    client: AdminClient,
) -> None:
    """Print what the cache holds, and for each key how often it answered and what that saved.

    \b
    fastgate cache statistics --since 7d --where team=platform
    """
    given = {"since": since, "until": until, "where": list(where), "limit": str(limit)}
    found = client.get("cache/statistics", {name: value for name, value in given.items() if value})
    if as_document:
        click.echo(as_json(found))
        return
    click.echo(as_table(STORE, found["stores"]) + "\n")
    click.echo(as_table(SUMS, found["keys"], found["total"]))
    if found["total"]["semantic"]["requests"]:
        click.echo("\nthe semantic cache was asked:")
        meant = [{"key": each["key"], **each["semantic"]} for each in found["keys"] if each["semantic"]["requests"]]
        click.echo(as_table(MEANT, meant, found["total"]["semantic"]))
    if found["truncated"]:
        click.echo(f"there are more keys than these {limit}: --limit says how many to print", err=True)


@command.command("report")
@option("--limit", type=click.IntRange(1, 1000), default=20, help="Scopes, those first that asked most.")
@json_option
@admin_options
def report(limit: int, as_document: bool, client: AdminClient) -> None:
    """Print what the semantic cache decided, how right that was, and in shadow mode what switching it on would save.

    \b
    fastgate cache report --json
    """
    found = client.get("cache/semantic", {"limit": str(limit)})
    if as_document:
        click.echo(as_json(found))
        return
    click.echo("\n".join(lines(found)))
    if found["scopes"]:
        click.echo("\n" + as_table(SCOPE, scope_rows(found["scopes"])))
    if found["truncated"]:
        click.echo(f"there are more scopes than these {limit}: --limit says how many to print", err=True)


def _path(id_: str) -> str:
    from urllib.parse import quote

    if id_ in {"", ".", ".."}:  # they would address something else
        raise click.BadParameter(f"{id_!r} is no id of an entry", param_hint="ID")
    return f"{ENTRIES}/{quote(id_, safe='')}"
