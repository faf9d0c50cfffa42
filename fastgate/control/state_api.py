"""The admin API's operations on the state as a whole."""

import asyncio
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import IO, Any, Final

from litestar import Request, Router, post
from litestar.datastructures import State
from litestar.response import Stream

from fastgate.control.access import bearer, known_parameters
from fastgate.control.arrivals import at_end
from fastgate.control.objects_api import ACTOR
from fastgate.control.plane import ControlPlane
from fastgate.control.problems import Conflict

MEDIA_TYPE: Final = "application/gzip"
_BLOCK: Final = 1 << 20


@post("/state/backup", summary="A backup of the state, as an archive", status_code=200, media_type=MEDIA_TYPE)
async def back_up(request: Request[Any, Any, Any], state: State) -> Stream:
    """For `fastgate state restore`. It holds the ledger, what the API created, and keys to it: keep it as safe."""
    plane: ControlPlane = state.plane
    archive = await asyncio.to_thread(plane.backup.make)
    at_end(request.scope, archive.close)
    name = f"fastgate-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.tar.gz"
    headers = {
        "content-length": str(os.fstat(archive.fileno()).st_size),
        "content-disposition": f'attachment; filename="{name}"',
        "cache-control": "no-store",
    }
    return Stream(_blocks(archive), media_type=MEDIA_TYPE, headers=headers)


@post("/state/accept-loss", summary="Let counters whose amounts are lost begin at zero", status_code=200)
async def accept_loss(state: State) -> dict[str, bool]:
    """For when the arena was lost and the ledger cannot be read: budgets then serve again, as if nothing was spent."""
    plane: ControlPlane = state.plane
    if plane.arena.counted:
        raise Conflict("what was spent is known: there is no loss to accept")
    await asyncio.wrap_future(plane.store.write(lambda db: plane.accept_loss(db, ACTOR)))
    return {"counted": plane.arena.counted}


def _blocks(archive: IO[bytes]) -> Iterator[bytes]:
    while block := archive.read(_BLOCK):
        yield block


router: Final = Router(
    "/api/v1", route_handlers=[back_up, accept_loss], guards=[bearer, known_parameters], security=[{"bearer": []}]
)
