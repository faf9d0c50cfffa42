"""How the admin API shows what the semantic cache decided, and how right it was."""

import time
from typing import Any, Final, Literal

import msgspec

from fastgate.ledger.spend import moment
from fastgate.wire.money import usd
from fastgate.wire.semantic import Reported
from fastgate.wire.semantic_entries import Range, TenantReport

Mode = Literal["off", "shadow", "serve"]
Standing = Literal["within", "above", "unknown"]
_DAY_MS: Final = 86_400_000


class ErrorRange(msgspec.Struct):
    """A share between 0 and 1 and its 95 % interval (Wilson's). ``estimate``: null where nothing was measured."""

    estimate: float | None
    lower: float
    upper: float


class Decisions(msgspec.Struct):
    """What was decided since counting began, and how right it was.

    ``questions``: that reached a decision. ``hits`` were served; ``shadow_hits`` would have been but for shadow mode,
    ``audited`` but for chance: those went to the provider, ``compared`` of its answers were compared with what would
    have been served, and ``wrong`` differed. ``explored``: compared to learn; ``misses``: the rest.
    ``error_per_request``: that share of hits and shadow hits, among all questions. ``expected_error_per_hit``: the mean
    of the bounds that decisions themselves put. ``would_save_usd``: what shadow hits would have saved.
    """

    since: str | None
    questions: int
    hits: int
    shadow_hits: int
    audited: int
    explored: int
    misses: int
    compared: int
    wrong: int
    error_per_hit: ErrorRange
    error_per_request: ErrorRange
    expected_error_per_hit: float
    saved_usd: str
    would_save_usd: str


class ScopeDecisions(Decisions):
    """Of those who share answers. ``scope``: as ``key:ci``, ``team:blue``, ``global``; empty: nothing was kept yet.

    ``tenant``: tells apart who had the same name one after the other; entries have it, too.
    """

    scope: str
    tenant: str


class SwitchingOn(msgspec.Struct):
    """What serving would have done in shadow mode: ``hit_rate`` of all questions, and what that would have saved.

    ``standing`` of its ``error_per_request``: ``within`` ``max_error``, as its upper bound is; ``above``, as its lower
    bound is; else ``unknown``, as too few were compared. ``saved_usd_per_day``: null within the first minute.
    """

    hit_rate: float | None
    saved_usd: str
    saved_usd_per_day: str | None
    error_per_hit: ErrorRange
    error_per_request: ErrorRange
    max_error: float
    standing: Standing


class SemanticReport(msgspec.Struct):
    """``mode``: ``off`` where no embedder is configured: then all else is null, or none. ``scopes``: those first that
    asked most; ``truncated``: not all. ``misses_by_reason``: a veto's name, or why there was nothing to decide.
    ``switching_on``: in shadow mode.
    """

    mode: Mode
    max_error: float | None
    entries: int
    partitions: int
    total: Decisions | None
    misses_by_reason: dict[str, int]
    switching_on: SwitchingOn | None
    scopes: list[ScopeDecisions]
    truncated: bool


def semantic_report(said: Reported | None) -> SemanticReport:
    """What its process reports; None: there is no such cache."""
    if said is None:
        return SemanticReport("off", None, 0, 0, None, {}, None, [], truncated=False)
    reasons = {name.removeprefix("miss "): n for name, n in sorted(said.counts.items()) if name.startswith("miss ")}
    return SemanticReport(
        mode="shadow" if said.shadow else "serve",
        max_error=said.max_error,
        entries=said.entries,
        partitions=said.partitions,
        total=Decisions(**_decisions(said)),
        misses_by_reason=reasons,
        switching_on=_switching_on(said) if said.shadow else None,
        scopes=[_scope(each) for each in said.tenants],
        truncated=said.more_tenants,
    )


def _scope(said: TenantReport) -> ScopeDecisions:
    return ScopeDecisions(**_decisions(said), scope=said.sharers, tenant=said.tenant.hex())


def _decisions(said: Reported | TenantReport) -> dict[str, Any]:
    counts = said.counts
    names = {"find": "questions", "serve": "hits", "shadow": "shadow_hits", "audit": "audited", "explore": "explored"}
    return {
        "since": moment(said.since_ms * 1000) if said.since_ms else None,
        **{shown: counts.get(name, 0) for name, shown in names.items()},
        "misses": counts.get("miss", 0),
        "compared": said.compared,
        "wrong": said.wrong,
        "error_per_hit": _range(said.error_per_hit, said.compared),
        "error_per_request": _range(said.error_per_request, said.compared),
        "expected_error_per_hit": round(said.expected_error, 6),
        "saved_usd": usd(said.saved_nano),
        "would_save_usd": usd(said.would_save_nano),
    }


def _switching_on(said: Reported) -> SwitchingOn:
    asked, hits = said.counts.get("find", 0), said.counts.get("shadow", 0)
    past_ms = time.time_ns() // 1_000_000 - said.since_ms if said.since_ms else 0
    per_day = usd(said.would_save_nano * _DAY_MS // past_ms) if past_ms >= 60_000 else None
    _, lower, upper = said.error_per_request
    known: Standing = "within" if upper <= said.max_error else "above" if lower > said.max_error else "unknown"
    return SwitchingOn(
        hit_rate=round(hits / asked, 6) if asked else None,
        saved_usd=usd(said.would_save_nano),
        saved_usd_per_day=per_day,
        error_per_hit=_range(said.error_per_hit, said.compared),
        error_per_request=_range(said.error_per_request, said.compared),
        max_error=said.max_error,
        standing=known if said.compared else "unknown",
    )


def _range(said: Range, compared: int) -> ErrorRange:
    estimate, lower, upper = (round(each, 6) for each in said)
    return ErrorRange(estimate if compared else None, lower, upper)
