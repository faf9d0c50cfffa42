"""The admin API's operation on limits. They are written in their owners' documents, and changed there."""

import asyncio
from typing import Annotated, Final

from litestar import Router, get
from litestar.datastructures import State
from litestar.params import Parameter

from fastgate.control import answers
from fastgate.control.access import bearer, known_parameters
from fastgate.control.limit_book import limit_standing
from fastgate.control.object_lists import Cursor, Limit
from fastgate.control.objects_api import options_at
from fastgate.control.parameters import Level, bounded
from fastgate.control.plane import ControlPlane

MOST_LIMITS: Final = 1000


@get("/limits", summary="Limits and how they stand")
async def list_limits(
    state: State,
    level: Level | None = None,
    owner: Annotated[str | None, Parameter(description="such as team:platform")] = None,
    cursor: Cursor = None,
    limit: Limit = None,
) -> answers.LimitList:
    """In the order of their ids; behind them those of keys' templates, as they came."""
    plane: ControlPlane = state.plane
    most = bounded(limit, 100, MOST_LIMITS)
    page, following = await asyncio.to_thread(plane.all_limits.page, cursor or "", most, level, owner)
    await asyncio.to_thread(plane.leasing.look, page)
    return answers.LimitList(
        [answers.limit(limit_standing(plane.arena, record, shared=plane.shares)) for record in page], following
    )


router: Final = Router(
    "/api/v1",
    route_handlers=[options_at(["/limits"], "GET, OPTIONS"), list_limits],
    guards=[bearer, known_parameters],
    security=[{"bearer": []}],
)
