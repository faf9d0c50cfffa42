"""The admin API's operations on budgets."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Annotated, Final

from litestar import Response, Router, delete, get, patch, post
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.params import Parameter

from fastgate.config.objects import parse_object
from fastgate.control import answers, budget_objects
from fastgate.control.access import bearer, known_parameters
from fastgate.control.burns import burns
from fastgate.control.object_lists import Cursor, Limit
from fastgate.control.object_schemas import operation_of
from fastgate.control.objects_api import ACTOR, AnyRequest, options_at
from fastgate.control.parameters import Level, bounded
from fastgate.control.plane import ControlPlane
from fastgate.control.problems import Conflict, NotFound
from fastgate.control.versions import ETAG, IF_MATCH, LOCATION
from fastgate.ledger import alerts
from fastgate.ledger.errors import LedgerError
from fastgate.wire.snapshot import BudgetRecord

MOST_BUDGETS: Final = 1000
_MOST_EVENTS: Final = (1 << 63) - 1
_ONE: Final = [
    "/budgets/{owner:str}/{window:str}/{name:str}",
    "/budgets/{owner:str}/{provider:str}/{window:str}/{name:str}",
]
"""A budget's id is its path; the owner of one at a provider has a slash: ``provider:ide/anthropic``."""


def _plane(state: State) -> ControlPlane:
    plane: ControlPlane = state.plane
    return plane


async def _find(state: State, owner: str, provider: str | None, window: str, name: str) -> BudgetRecord:
    id_ = "/".join(part for part in (owner, provider, window, name) if part is not None)
    record = await asyncio.to_thread(_plane(state).budget, id_)
    if record is None:
        raise NotFound(f"there is no budget {id_[:200]}")
    return record


async def _shown(
    state: State, id_: str, status: int = 200, headers: Mapping[str, str] = {}
) -> Response[answers.BudgetAnswer]:
    """A budget, with its owner's ETag where it can be changed."""
    plane = _plane(state)
    record = await asyncio.to_thread(plane.budget, id_)
    if record is None:
        raise NotFound(f"there is no budget {id_} any more")
    spent = await _burns(state, [record])
    version = await asyncio.to_thread(budget_objects.version_of, plane.objects, record.owner)
    tag = {} if version is None else {"etag": f'"{version}"'}
    await asyncio.to_thread(plane.leasing.look, [record])
    answer = answers.budget(plane.standing(record), spent.get(record.owner))
    return Response(answer, status_code=status, headers={**headers, **tag})


@get("/budgets", summary="Budgets and how they stand")
async def list_budgets(
    state: State,
    level: Level | None = None,
    owner: Annotated[str | None, Parameter(description="such as team:platform")] = None,
    cursor: Cursor = None,
    limit: Limit = None,
) -> answers.BudgetList:
    """In the order of their ids; behind them those of keys' templates, as they came."""
    plane = _plane(state)
    most = bounded(limit, 100, MOST_BUDGETS)
    page, following = await asyncio.to_thread(plane.all_budgets.page, cursor or "", most, level, owner)
    spent = await _burns(state, page)
    await asyncio.to_thread(plane.leasing.look, page)
    items = [answers.budget(plane.standing(record), spent.get(record.owner)) for record in page]
    return answers.BudgetList(items, following)


@post(
    "/budgets",
    summary="Create a budget",
    operation_class=operation_of("budgets"),
    dependencies=IF_MATCH,
    response_headers=[ETAG, LOCATION],
)
async def create_budget(
    request: AnyRequest, state: State, version: NamedDependency[int | None]
) -> Response[answers.BudgetAnswer]:
    """It becomes a part of its `owner`'s document: `team:platform`, say. `If-Match` is of its owner."""
    id_, done = budget_objects.create(_plane(state).objects, parse_object(await request.body()), ACTOR, version)
    await asyncio.wrap_future(done)
    return await _shown(state, id_, 201, {"location": f"/api/v1/budgets/{id_}"})


@get(_ONE, summary="One budget and how it stands", response_headers=[ETAG])
async def get_budget(
    state: State, owner: str, window: str, name: str, provider: str | None = None
) -> Response[answers.BudgetAnswer]:
    """By its id; the ``ETag`` is its owner's."""
    return await _shown(state, (await _find(state, owner, provider, window, name)).id)


@patch(
    _ONE,
    summary="Change a budget",
    operation_class=operation_of("budgets", "patch"),
    dependencies=IF_MATCH,
    response_headers=[ETAG],
)
async def change_budget(
    request: AnyRequest,
    state: State,
    version: NamedDependency[int | None],
    *,
    owner: str,
    window: str,
    name: str,
    provider: str | None = None,
) -> Response[answers.BudgetAnswer]:
    """A JSON merge patch (RFC 7396); what was spent stays. `If-Match` is of its owner."""
    record = await _find(state, owner, provider, window, name)
    wish = budget_objects.wish_for(record.owner, ACTOR, version)
    values = parse_object(await request.body())
    await asyncio.wrap_future(budget_objects.update(_plane(state).objects, record, values, wish))
    return await _shown(state, record.id)


@delete(_ONE, summary="Delete a budget", dependencies=IF_MATCH)
async def delete_budget(
    state: State,
    version: NamedDependency[int | None],
    *,
    owner: str,
    window: str,
    name: str,
    provider: str | None = None,
) -> None:
    """Its owner stays. `If-Match` is of its owner."""
    record = await _find(state, owner, provider, window, name)
    wish = budget_objects.wish_for(record.owner, ACTOR, version)
    await asyncio.wrap_future(budget_objects.delete(_plane(state).objects, record, wish))


@post(
    [f"{path}/reset" for path in _ONE],
    summary="Begin a budget anew",
    status_code=200,
    dependencies=IF_MATCH,
    response_headers=[ETAG],
)
async def reset_budget(
    state: State,
    version: NamedDependency[int | None],
    *,
    owner: str,
    window: str,
    name: str,
    provider: str | None = None,
) -> Response[answers.BudgetAnswer]:
    """What was spent in its window no longer counts in it; what is held does. The requests stay in the ledger.

    `If-Match` is of its owner.
    """
    record = await _find(state, owner, provider, window, name)
    plane = _plane(state)
    if plane.shares:
        raise Conflict("a budget that hosts share cannot be reset yet: raise its limit, or add an increase")
    await asyncio.wrap_future(budget_objects.reset(plane.store, plane.resets, record, ACTOR, version))
    return await _shown(state, record.id)


@get("/budgets/events", summary="Thresholds of budgets that were reached, newest first")
async def list_budget_events(
    state: State,
    budget: Annotated[str | None, Parameter(description="its id, such as team:platform/month/default")] = None,
    owner: Annotated[str | None, Parameter(description="such as team:platform")] = None,
    cursor: Annotated[int | None, Parameter(description="`next` of the page before", ge=1, le=_MOST_EVENTS)] = None,
    limit: Limit = None,
) -> answers.BudgetEventList:
    """Each of a budget's `alerts_percent` is reached once per window."""
    most = bounded(limit, 100, MOST_BUDGETS)
    found = await state.queries.run(lambda db: alerts.page(db, cursor, most + 1, budget, owner))
    items = [answers.budget_event(number, alert) for number, alert in found[:most]]
    return answers.BudgetEventList(items, str(items[-1].number) if len(found) > most else None)


async def _burns(state: State, records: Sequence[BudgetRecord]) -> dict[str, int]:
    """As :func:`burns`; nothing where the ledger cannot tell."""
    if not records:
        return {}
    try:
        found: dict[str, int] = await state.queries.run(
            lambda cursor: burns(cursor, [record.owner for record in records])
        )
    except LedgerError:
        return {}
    return found


router: Final = Router(
    "/api/v1",
    route_handlers=[
        options_at(["/budgets"], "GET, OPTIONS, POST"),
        list_budgets,
        create_budget,
        list_budget_events,
        options_at(_ONE, "DELETE, GET, OPTIONS, PATCH"),
        get_budget,
        change_budget,
        delete_budget,
        reset_budget,
    ],
    guards=[bearer, known_parameters],
    security=[{"bearer": []}],
)
