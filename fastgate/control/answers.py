"""What the admin API answers. Amounts are decimal strings of USD with 9 places, moments RFC 3339 in UTC."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from fastgate.budgets.hierarchy import level_of, window_name
from fastgate.budgets.leases.roll import Listed
from fastgate.control.counters import Standing
from fastgate.control.limit_book import LimitStanding
from fastgate.ledger.alerts import Alert
from fastgate.ledger.spend import AMOUNTS, COUNTS, TOKENS, moment
from fastgate.wire.money import usd
from fastgate.wire.snapshot import Counted, Window

GIVEN: Final = frozenset({"exact", "semantic"})
"""Marks of requests that a cache answered."""
SIMILAR: Final = frozenset({"explore", "audit", "shadow", "serve"})
"""What the semantic cache decides of a question that is like another one."""


class SpendAnswer(msgspec.Struct):
    """``groups``: each of ``by`` (and ``time``) with its sums. ``truncated``: there are more than were asked for.

    ``hosts``: of ``all`` that share a ledger, or this one's ``own`` alone; ``away``: why it is not of all, although
    they share one. ``behind``: how many requests of this host are not in it yet; null: not known.
    """

    groups: list[dict[str, Any]]
    total: dict[str, Any]
    truncated: bool
    hosts: str
    behind: int | None
    away: str | None


class RequestList(msgspec.Struct):
    """A page; ``next`` is the ``cursor`` of the following one. ``hosts``, ``behind``, ``away``: as of sums."""

    items: list[dict[str, Any]]
    next: str | None
    hosts: str
    behind: int | None
    away: str | None


class BudgetAnswer(msgspec.Struct):
    """A budget in its present window. ``burn_usd_per_hour``: what its owner spent in the last hour; null: not known.

    ``limit_in_force_usd``: ``limit_usd`` with increases, and what the window before left. ``timezone``: of the calendar
    to which its windows are aligned; null: they are counted from its first use. Where hosts share it, of what is left
    ``leased_elsewhere_usd`` is what other hosts may use, and ``stranded_usd`` what nobody can, as hosts that are gone
    had leased it; null: the store that they share has not said.
    """

    id: str
    level: str
    owner: str
    window: str
    timezone: str | None
    mode: str
    limit_usd: str
    limit_in_force_usd: str
    spent_usd: str
    held_usd: str
    left_usd: str
    leased_elsewhere_usd: str | None
    stranded_usd: str | None
    overrun_usd: str
    burn_usd_per_hour: str | None
    resets_at: str | None


class BudgetList(msgspec.Struct):
    """A page; ``next`` is the ``cursor`` of the following one."""

    items: list[BudgetAnswer]
    next: str | None


class BudgetEvent(msgspec.Struct):
    """That so many percent of a budget's limit were spent in a window, as they were when that was noticed."""

    number: int
    event: str
    budget: str
    level: str
    owner: str
    percent: int
    spent_usd: str
    limit_usd: str
    at: str
    resets_at: str | None


class BudgetEventList(msgspec.Struct):
    """A page; ``next`` is the ``cursor`` of the following one."""

    items: list[BudgetEvent]
    next: str | None


class HostAnswer(msgspec.Struct):
    """A host that shares budgets. ``heard_at``: when it spoke last, by their Redis' clock; null: not within a day.

    ``awaited``: that Redis lost its data, and grants nothing of older windows until this host has told what it has.
    """

    host: str
    heard_at: str | None
    lives: bool
    awaited: bool


class HostList(msgspec.Struct):
    """All of them, by name."""

    items: list[HostAnswer]


class LimitAnswer(msgspec.Struct):
    """A limit in its present window. ``counted``: requests, tokens, input_tokens, output_tokens or concurrent.

    ``used``: with what open requests may still take; ``window``: null for what is open at once; ``models``: empty for
    all of them.
    """

    id: str
    level: str
    owner: str
    counted: str
    window: str | None
    models: tuple[str, ...]
    limit: int
    used: int
    left: int
    resets_at: str | None


class LimitList(msgspec.Struct):
    """A page; ``next`` is the ``cursor`` of the following one."""

    items: list[LimitAnswer]
    next: str | None


class AuditRow(msgspec.Struct):
    """A change. ``before`` and ``after``: the document, null where there is none; ``hash`` covers the row before.

    ``host``: where hosts share what they create, on which of them; else null.
    """

    seq: int
    at: str
    actor: str
    action: str
    collection: str
    id: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    hash: str
    host: str | None


class AuditList(msgspec.Struct):
    """A page; ``next`` is the ``cursor`` of the following one."""

    items: list[AuditRow]
    next: str | None


class ReloadAnswer(msgspec.Struct):
    """``restart_needed``: settings that changed since the start and that only a restart takes up."""

    generation: int
    keys: int
    budgets: int
    restart_needed: list[str]


def sums(values: Mapping[str, int]) -> dict[str, Any]:
    """Sums of the ledger under the names of the API."""
    found: dict[str, Any] = {name: values[name] for name in COUNTS}
    found.update((f"{name}_usd", usd(values[name])) for name in AMOUNTS)
    found.update((name, values[name]) for name in TOKENS)
    return found


def request(row: Mapping[str, Any]) -> dict[str, Any]:
    """A request of the ledger under the names of the API."""
    found: dict[str, Any] = {"id": row["id"], "started_at": moment(row["started_us"])}
    for name, value in row.items():
        if name.endswith("_nano"):
            found[f"{name.removesuffix('_nano')}_usd"] = usd(value)
        elif name == "stream":
            found[name] = bool(value)
        elif name == "tags":
            found[name] = tags(value)
        elif name == "similarity_e4":
            found["similarity"] = value / 10_000 if row["semantic"] in SIMILAR and row["cache"] != "exact" else None
        elif name == "cache_age_s":
            found["cache_age_seconds"] = value if row["cache"] in GIVEN else None
        elif name not in {"id", "started_us"}:
            found[name] = value
    return found


def tags(text: str) -> dict[str, str]:
    """``a=1,b=2`` as a mapping; the first of two equal names counts, as in the ledger's queries."""
    found: dict[str, str] = {}
    for part in filter(None, text.split(",")):
        name, _, value = part.partition("=")
        found.setdefault(name, value)
    return found


def budget(now: Standing, burn: int | None) -> BudgetAnswer:
    """A budget's standing; ``burn`` in nano-USD per hour."""
    record = now.record
    return BudgetAnswer(
        id=record.id,
        level=record.level,
        owner=record.owner,
        window=window_name(record.window, record.every),
        timezone=record.zone or None,
        mode="soft" if record.soft else "hard",
        limit_usd=usd(record.limit),
        limit_in_force_usd=usd(now.limit),
        spent_usd=usd(now.spent),
        held_usd=usd(now.held),
        left_usd=usd(now.left),
        leased_elsewhere_usd=None if now.elsewhere is None else usd(now.elsewhere.leased),
        stranded_usd=None if now.elsewhere is None else usd(now.elsewhere.stranded),
        overrun_usd=usd(now.overrun),
        burn_usd_per_hour=None if burn is None else usd(burn),
        resets_at=_moment(now.resets_at_ns),
    )


def budget_event(number: int, alert: Alert) -> BudgetEvent:
    """A threshold of a budget that was reached."""
    owner = alert.budget.rsplit("/", 2)[0]
    return BudgetEvent(
        number=number,
        event="budget_threshold",
        budget=alert.budget,
        level=level_of(owner),
        owner=owner,
        percent=alert.percent,
        spent_usd=usd(alert.spent),
        limit_usd=usd(alert.limit),
        at=moment(alert.at_us),
        resets_at=moment(alert.ends_us) if alert.ends_us else None,
    )


def host(found: Listed) -> HostAnswer:
    """A host that shares budgets."""
    heard_at = moment(found.heard_ms * 1000) if found.heard_ms else None
    return HostAnswer(found.name, heard_at, found.lives, found.awaited)


def limit(now: LimitStanding) -> LimitAnswer:
    """A limit's standing."""
    record = now.record
    return LimitAnswer(
        id=record.id,
        level=record.level,
        owner=record.owner,
        counted=Counted(record.counted).name.lower(),
        window=None if record.window == Window.LIFETIME else window_name(record.window, record.every),
        models=record.models,
        limit=record.limit,
        used=now.used,
        left=max(0, record.limit - now.used),
        resets_at=_moment(now.resets_at_ns),
    )


def _moment(ns: int) -> str | None:
    return moment(ns // 1000) if ns else None
