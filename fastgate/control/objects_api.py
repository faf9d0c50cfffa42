"""How the admin API changes objects, and its record of changes.

A representation's ``ETag`` is its version; a change with ``If-Match`` happens only where nothing else has changed it
meanwhile.
"""

import asyncio
from typing import Annotated, Any, Final, Literal
from urllib.parse import quote

import msgspec
from litestar import HttpMethod, Request, Response, Router, delete, get, patch, post, route
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import Parameter

from fastgate.config.objects import parse_object
from fastgate.control.access import bearer, known_parameters
from fastgate.control.answer_schemas import answer_of
from fastgate.control.answers import AuditList, AuditRow
from fastgate.control.collections import COLLECTIONS, Collection
from fastgate.control.object_lists import LISTS, MOST_OBJECTS, Document, Limit, one, shown
from fastgate.control.object_schemas import operation_of
from fastgate.control.objects import MOST_OVERLAP_SECONDS, Done, Wish, check_version
from fastgate.control.operations import described
from fastgate.control.parameters import bounded
from fastgate.control.plane import ControlPlane
from fastgate.control.versions import ETAG, IF_MATCH, LOCATION
from fastgate.ledger.spend import moment
from fastgate.state import audit

ACTOR: Final = "admin"
_MOST_ROWS: Final = (1 << 63) - 1
_SLASHED: Final = frozenset({"models", "prices"})
"""Collections whose ids may hold slashes."""

AnyRequest = Request[Any, Any, Any]


def _plane(state: State) -> ControlPlane:
    plane: ControlPlane = state.plane
    return plane


def _answer(done: Done, status: int = 200) -> Response[Document]:
    document = shown(done.stored, done.secrets)
    if done.secret is not None:
        document["secret"] = done.secret
    headers = {"etag": f'"{done.stored.version}"', "cache-control": "no-store"}
    if status == 201:
        headers["location"] = f"/api/v1/{done.stored.collection}/{quote(done.stored.id, safe='/:@+')}"
    return Response(document, status_code=status, headers=headers)


def _operations(collection: Collection) -> list[HTTPRouteHandler]:
    """What every collection has beside its list."""
    thing, answer = collection.removesuffix("s"), answer_of(collection)
    path = f"/{collection}/{{object_id:{'path' if collection in _SLASHED else 'str'}}}"

    @post(
        f"/{collection}",
        summary=f"Create a {thing}",
        operation_class=operation_of(collection),
        dependencies=IF_MATCH,
        response_headers=[ETAG, LOCATION],
    )
    async def create(request: AnyRequest, state: State, version: NamedDependency[int | None]) -> Response[Document]:
        """What is not there yet has no version: with one in `If-Match` nothing is created."""
        values = parse_object(await request.body())
        check_version(version, None)
        done = _plane(state).objects.create(collection, values, ACTOR)
        return _answer(await asyncio.wrap_future(done), 201)

    @get(path, summary=f"One {thing}", operation_class=described(answer), response_headers=[ETAG])
    async def read(state: State, object_id: str) -> Response[Document]:
        return await asyncio.to_thread(one, _plane(state), collection, object_id.removeprefix("/"))

    @patch(
        path,
        summary=f"Change a {thing}",
        operation_class=operation_of(collection, "patch"),
        dependencies=IF_MATCH,
        response_headers=[ETAG],
    )
    async def change(
        request: AnyRequest, state: State, object_id: str, version: NamedDependency[int | None]
    ) -> Response[Document]:
        """A JSON merge patch (RFC 7396): what is not named stays, null takes away."""
        values = parse_object(await request.body())
        wish = Wish(collection, object_id.removeprefix("/"), "update", ACTOR, version)
        done = _plane(state).objects.update(wish, values)
        return _answer(await asyncio.wrap_future(done))

    @delete(path, summary=f"Delete a {thing}", dependencies=IF_MATCH)
    async def remove(state: State, object_id: str, version: NamedDependency[int | None]) -> None:
        """One that nothing else names."""
        wish = Wish(collection, object_id.removeprefix("/"), "delete", ACTOR, version)
        await asyncio.wrap_future(_plane(state).objects.delete(wish))

    return [
        options_at([f"/{collection}"], "GET, OPTIONS, POST"),
        create,
        options_at([path], "DELETE, GET, OPTIONS, PATCH"),
        read,
        change,
        remove,
    ]


def options_at(paths: list[str], allow: str) -> HTTPRouteHandler:
    """What can be done there: the framework names the methods of a path's first handler only, unless it is this one."""

    @route(paths, http_method=[HttpMethod.OPTIONS], include_in_schema=False, status_code=204)
    async def options() -> Response[None]:
        return Response(None, headers={"allow": allow})

    return options


@post(
    "/keys/{object_id:str}/rotate",
    summary="Issue a new secret for a key",
    status_code=200,
    operation_class=described(answer_of("keys")),
    dependencies=IF_MATCH,
    response_headers=[ETAG],
)
async def rotate(
    state: State,
    object_id: str,
    version: NamedDependency[int | None],
    overlap_seconds: Annotated[
        int | None,
        Parameter(description="how long the old secret works on; 0: not at all", ge=0, le=MOST_OVERLAP_SECONDS),
    ] = None,
) -> Response[Document]:
    """The answer has the new ``secret``, this once."""
    wish = Wish("keys", object_id, "rotate", ACTOR, version)
    return _answer(await asyncio.wrap_future(_plane(state).objects.rotate(wish, overlap_seconds or 0)))


@post(
    "/keys/{object_id:str}/revoke",
    summary="Stop all secrets of a key",
    status_code=200,
    operation_class=described(answer_of("keys")),
    dependencies=IF_MATCH,
    response_headers=[ETAG],
)
async def revoke(state: State, object_id: str, version: NamedDependency[int | None]) -> Response[Document]:
    """The key itself stays, without a secret, until it is deleted; rotating it gives it a new one."""
    wish = Wish("keys", object_id, "revoke", ACTOR, version)
    return _answer(await asyncio.wrap_future(_plane(state).objects.revoke(wish)))


@get("/audit", summary="Who changed what, newest first")
async def list_audit(
    state: State,
    collection: Collection | Literal["budgets", "cache"] | None = None,
    id: Annotated[str | None, Parameter(description="of the object")] = None,
    cursor: Annotated[int | None, Parameter(description="`next` of the page before", ge=1, le=_MOST_ROWS)] = None,
    limit: Limit = None,
) -> AuditList:
    """Each row's ``hash`` covers the row before it, so that one which was changed or taken out shows."""
    most = bounded(limit, 100, MOST_OBJECTS)

    def read() -> list[audit.Entry]:
        with _plane(state).store.read() as db:
            return audit.page(db, cursor, most + 1, collection, id)

    found = await asyncio.to_thread(read)
    items = [_entry(entry) for entry in found[:most]]
    return AuditList(items, str(items[-1].seq) if len(found) > most else None)


def _entry(entry: audit.Entry) -> AuditRow:
    return AuditRow(
        seq=entry.seq,
        at=moment(entry.at_us),
        actor=entry.actor,
        action=entry.action,
        collection=entry.collection,
        id=entry.id,
        before=msgspec.json.decode(entry.before) if entry.before else None,
        after=msgspec.json.decode(entry.after) if entry.after else None,
        hash=entry.hash.hex(),
        host=entry.host or None,
    )


HANDLERS: Final = [
    *(handler for collection in COLLECTIONS for handler in _operations(collection)),
    *LISTS,
    rotate,
    revoke,
    list_audit,
]
router: Final = Router("/api/v1", route_handlers=HANDLERS, guards=[bearer, known_parameters], security=[{"bearer": []}])
