"""The admin API's operations on the hosts that share budgets."""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Final, TypeVar

from litestar import Router, get, post
from litestar.datastructures import State

from fastgate.budgets.leases.roll import HostLives, Roll
from fastgate.budgets.leases.store import StoreAway
from fastgate.control import answers
from fastgate.control.access import bearer, known_parameters
from fastgate.control.objects_api import ACTOR
from fastgate.control.plane import ControlPlane
from fastgate.control.problems import Conflict, LeasesUnavailable, NotFound
from fastgate.state import audit
from fastgate.wire.failure import shown

T = TypeVar("T")


@get("/hosts", summary="The hosts that share budgets")
async def list_hosts(state: State) -> answers.HostList:
    """As their Redis knows them: those that live, that lived within a day, or for which it waits."""
    found = await _ask(state.plane, Roll.hosts)
    return answers.HostList([answers.host(each) for each in found])


@post("/hosts/{host:str}/forget", summary="Go on without a host that is gone for good", status_code=200)
async def forget_host(state: State, host: str) -> answers.HostList:
    """A Redis that lost its data waits for it no more. What it had leased stays taken. 409 while it lives.

    If it comes back it is a host again, and tells what it has.
    """
    plane: ControlPlane = state.plane
    try:
        await _ask(plane, lambda roll: roll.forget(host))
    except LookupError:
        raise NotFound(f"there is no host {host}: GET hosts lists them") from None
    except HostLives:
        raise Conflict(f"host {host} lives: stop it before it is forgotten") from None
    entry = audit.Entry(0, time.time_ns() // 1000, ACTOR, "forget", "hosts", host, json.dumps({"host": host}), "")
    await asyncio.wrap_future(plane.store.write(lambda db: audit.add(db, entry)))
    found = await _ask(plane, Roll.hosts)
    return answers.HostList([answers.host(each) for each in found])


async def _ask(plane: ControlPlane, what: Callable[[Roll], T]) -> T:
    """In a thread, as Redis may take its time. Raises Conflict, LeasesUnavailable."""

    def ask() -> T:
        roll = plane.leasing.roll()
        if roll is None:
            raise Conflict("this host shares no budgets with others (redis.leases)")
        with roll:
            return what(roll)

    try:
        return await asyncio.to_thread(ask)
    except StoreAway as error:
        raise LeasesUnavailable(f"the Redis that hosts share budgets by cannot be asked: {shown(str(error))}") from None


router: Final = Router(
    "/api/v1",
    route_handlers=[list_hosts, forget_host],
    guards=[bearer, known_parameters],
    security=[{"bearer": []}],
)
