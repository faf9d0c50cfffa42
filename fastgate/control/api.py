"""The admin API's operations under ``/api/v1``."""

import asyncio
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

from litestar import Request, Router, get, post
from litestar.datastructures import State
from litestar.di import NamedDependency, Provide
from litestar.params import Parameter
from litestar.response import Stream

from fastgate.config.rendering import plain
from fastgate.control import answers
from fastgate.control.access import bearer, known_parameters
from fastgate.control.answering import Answering, Hosts
from fastgate.control.arrivals import at_end
from fastgate.control.cost_lines import cost_lines
from fastgate.control.hosts_report import leases_answer, sharing_answer, shipping_answer
from fastgate.control.live import Live
from fastgate.control.operations import described
from fastgate.control.parameters import Where, asked, bounded, which
from fastgate.control.plane import ControlPlane
from fastgate.control.problems import BadParameter, NotFound
from fastgate.ledger import requests, spend
from fastgate.ledger.attributes import attributes
from fastgate.version import __version__
from fastgate.wire.money import usd

Interval = Literal["minute", "hour", "day", "week", "month", "year"]
Level = Literal["provider", "key", "team", "customer"]
MOST_BUDGETS: Final = 1000
_KINDS: Final = {1: "worker", 2: "supervisor", 3: "control"}
_HOUR_US: Final = 3_600_000_000

Since = Annotated[str | None, Parameter(description="first moment: RFC 3339, or a date in UTC")]
Until = Annotated[str | None, Parameter(description="moment after the last: RFC 3339, or a date in UTC")]
Limit = Annotated[int | None, Parameter(description="how many at most", ge=1, le=1000)]
Cursor = Annotated[str | None, Parameter(description="`next` of the page before", max_length=512)]
OfHosts = Annotated[
    Hosts | None,
    Parameter(description="of `all` that share a ledger, or this one's `own` requests; all where they can be asked"),
]
LastEventId = Annotated[
    str | None, Parameter(header="last-event-id", description="id of the last event that was seen: go on behind it")
]


def _plane(state: State) -> ControlPlane:
    plane: ControlPlane = state.plane
    return plane


def _answering(state: State) -> Answering:
    answering: Answering = state.answering
    return answering


@get("/spend", summary="Spend by any combination of attributes")
async def get_spend(
    state: State,
    *,
    by: Annotated[str | None, Parameter(description="attributes to group by, such as team,model,tag:feature")] = None,
    interval: Annotated[Interval | None, Parameter(description="group by time, too (UTC)")] = None,
    since: Since = None,
    until: Until = None,
    where: Where = None,
    limit: Limit = None,
    hosts: OfHosts = None,
) -> answers.SpendAnswer:
    """Sums of requests, amounts and tokens. Token counts are disjoint, but for reasoning and audio: parts of output."""
    if by is not None and not by.strip():
        raise BadParameter("by", "it names no attribute: leave it out to have the total alone")
    grouping, chosen = attributes(by or ""), which(since, until, where or ())
    most = bounded(limit, spend.MOST_GROUPS, spend.MOST_GROUPS)
    told = await _answering(state).ask(lambda store: store.spend(grouping, interval, chosen, most), hosts)
    found = told.found
    groups = [{**group.labels, **answers.sums(group.sums)} for group in found.groups]
    return answers.SpendAnswer(groups, answers.sums(found.total), found.truncated, *told.said)


@get(
    "/requests",
    summary="Requests, newest first",
    opt={"tags": True},
    operation_class=described("RequestList", tagged=True),
    dependencies={"conditions": Provide(asked)},
)
async def list_requests(
    state: State,
    conditions: NamedDependency[list[str]],
    *,
    since: Since = None,
    until: Until = None,
    cursor: Cursor = None,
    limit: Limit = None,
    hosts: OfHosts = None,
) -> answers.RequestList:
    """Filtered by any attribute, as `team=platform`, `tag:feature=search`, or in `where`."""
    chosen = which(since, until, conditions)
    most = bounded(limit, 100, requests.MOST_ROWS)
    told = await _answering(state).ask(lambda store: store.page(chosen, cursor or None, most), hosts)
    page = told.found
    return answers.RequestList([answers.request(row) for row in page.rows], page.next, *told.said)


@get(
    "/requests/live",
    summary="Requests as they are settled, as server-sent events",
    media_type="text/event-stream",
    opt={"tags": True},
    operation_class=described(None, tagged=True),
    dependencies={"conditions": Provide(asked)},
)
async def live_requests(
    request: Request[Any, Any, Any],
    state: State,
    conditions: NamedDependency[list[str]],
    last_event_id: LastEventId = None,
) -> Stream:
    """From now on, or behind the request whose id `Last-Event-ID` names; each event is an item of `GET requests`."""
    live: Live = state.live
    chosen = which(None, None, conditions)
    live.enter()
    at_end(request.scope, live.leave)
    events = live.read(chosen, await live.start(last_event_id))
    return Stream(events, headers={"cache-control": "no-store"})


@get(
    "/requests/{request_id:str}",
    summary="One request, with how its cost came about",
    operation_class=described("RequestDetail"),
)
async def get_request(state: State, request_id: str) -> dict[str, Any]:
    """``cost_lines`` sum to ``cost_usd``; null where the prices in force do not give the amount that was booked."""
    row = await _answering(state).find(request_id)
    if row is None:
        raise NotFound(f"there is no request {request_id}")
    return {**answers.request(row), "cost_lines": cost_lines(row, _plane(state).configuration.current)}


@get("/config", summary="The configuration in force, secrets masked", operation_class=described("ConfigAnswer"))
async def get_config(state: State) -> dict[str, Any]:
    """As the file could say it, with defaults written out."""
    return plain(_plane(state).configuration.current.config)


@post("/config/reload", summary="Read the configuration again", status_code=200)
async def reload_config(state: State) -> answers.ReloadAnswer:
    """Takes effect at once. A configuration with mistakes changes nothing and is answered 422 with all of them."""
    published = await asyncio.to_thread(_plane(state).reload)
    return answers.ReloadAnswer(
        published.generation, len(published.config.keys), len(published.order), list(published.restart_needed)
    )


@get("/status", summary="Processes, journals and stores")
async def get_status(state: State) -> dict[str, Any]:
    """Everything that can be in a bad state. Ages in seconds."""
    return await asyncio.to_thread(status, _plane(state))


def status(plane: ControlPlane) -> dict[str, Any]:
    """The plane's status under the names of the API."""
    found = plane.status()
    journals, ledger, tally = found["journals"], found["ledger"], plane.tally
    now = datetime.now(UTC)
    configuration = plane.configuration
    failure = configuration.error
    published = configuration.current
    owners = [_owner(owner, now.timestamp()) for owner in found["owners"]]
    journals["dropped_usd"] = usd(journals.pop("dropped_nano"))
    ledger["last_commit"] = _moment(ledger["last_commit"])
    problems = [f"{line}" for line in (failure.problems if failure else ())]
    return {
        "version": __version__,
        "started_at": _moment(plane.started_at),
        "config": {
            "path": str(configuration.path),
            "generation": published.generation,
            "loaded_at": _moment(published.at),
            "keys": len(published.config.keys),
            "budgets": plane.budgets.count(),
            "restart_needed": list(published.restart_needed),
            "out_of_force": list(published.misfits),
            "error": None if failure is None else str(failure),
            "failed_at": _moment(configuration.failed_at),
            "problems": problems,
        },
        "workers": [owner for owner in owners if owner["kind"] == "worker"],
        "owners": owners,
        "processes": found["processes"],
        "journals": journals,
        "ledger": ledger,
        "arena": found["arena"],
        "leases": leases_answer(found["leases"]),
        "shared_ledger": shipping_answer(found["shipping"]),
        "shared_configuration": sharing_answer(found["sharing"]),
        "metrics": {"label_sets": len(tally.series), "limit": tally.most_sets, "collapsed_requests": tally.collapsed},
    }


def _owner(owner: dict[str, int], now: float) -> dict[str, Any]:
    beat = owner["heartbeat_ns"]
    return {
        "slot": owner["slot"],
        "kind": _KINDS.get(owner["kind"], "unknown"),
        "pid": owner["pid"],
        "alive": bool(owner["alive"]),
        "heartbeat_age": round(now - beat / 1e9, 3) if beat else None,
        "open_holds": owner["open_holds"],
        "requests": owner["requests"],
        "without_key": owner["strangers"],
        "usage_anomalies": owner["anomalies"],
        "generation": owner["generation"],
    }


def _moment(seconds: float | None) -> str | None:
    return None if seconds is None else spend.moment(round(seconds * 1_000_000))


router: Final = Router(
    "/api/v1",
    route_handlers=[get_spend, list_requests, live_requests, get_request, get_config, reload_config, get_status],
    guards=[bearer, known_parameters],
    security=[{"bearer": []}],
)
