"""The admin API's collections ``customers``, ``teams`` and ``keys``, and its record of changes.

Each object bears ``source``: ``file`` (read-only here) or ``api``. A representation's ``ETag`` is its version; a change
with ``If-Match`` happens only where nothing else has changed it meanwhile.
"""

import asyncio
import re
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final, Literal

import msgspec
from litestar import HttpMethod, Request, Response, Router, delete, get, patch, post, route
from litestar.datastructures import State
from litestar.handlers import HTTPRouteHandler
from litestar.params import Parameter

from fastgate.config.objects import object_document, parse_object
from fastgate.control.access import bearer, known_parameters
from fastgate.control.object_schemas import operation_of
from fastgate.control.objects import Collection, Done, Thing, Wish
from fastgate.control.parameters import bounded
from fastgate.control.plane import ControlPlane
from fastgate.control.problems import BadParameter, NotFound
from fastgate.ledger.spend import moment
from fastgate.state import audit, objects
from fastgate.state.objects import SecretRow, Stored

MOST_OBJECTS: Final = 1000
ACTOR: Final = "admin"
_ETAG: Final = re.compile(r'"?([0-9]{1,18})"?')

AnyRequest = Request[Any, Any, Any]
Document = dict[str, Any]
Cursor = Annotated[str | None, Parameter(description="`next` of the page before", max_length=512)]
Limit = Annotated[int | None, Parameter(description="how many at most", ge=1, le=MOST_OBJECTS)]


Narrowed = tuple[str | None, Callable[[Thing], bool]]
"""What the objects of a listing have to name, for those of the store and for those of the file."""


class ObjectList(msgspec.Struct):
    """A page; ``next`` is the ``cursor`` of the following one."""

    items: list[Document]
    next: str | None


def _plane(state: State) -> ControlPlane:
    plane: ControlPlane = state.plane
    return plane


def shown(stored: Stored, secrets: Sequence[SecretRow] = ()) -> Document:
    """An object of the store."""
    document: Document = msgspec.json.decode(stored.document)
    if stored.collection == "keys":
        document["secrets"] = [
            {
                "created_at": moment(row.created_us),
                "expires_at": moment(row.expires_ns // 1000) if row.expires_ns else None,
            }
            for row in secrets
        ]
    document.update(
        source="api",
        version=stored.version,
        created_at=moment(stored.created_us),
        updated_at=moment(stored.updated_us),
    )
    return document


def shown_of_file(thing: Thing) -> Document:
    """An object of the configuration file."""
    return {**object_document(thing), "source": "file"}


def _of_file(plane: ControlPlane, collection: str) -> dict[str, Thing]:
    things: Sequence[Thing] = getattr(plane.configuration.current.config, collection)
    return {thing.id: thing for thing in things}


def _page(
    plane: ControlPlane,
    collection: Collection,
    after: str,
    limit: int,
    narrowed: Narrowed,
) -> ObjectList:
    """Both sources in the order of their ids."""
    target, fits = narrowed
    with plane.store.read() as db:
        stored = objects.page(db, collection, after, limit + 1, target)
        rows = {one.id: objects.secrets(db, one.id) if collection == "keys" else [] for one in stored}
    found = [(one.id, shown(one, rows[one.id])) for one in stored]
    found += [
        (id_, shown_of_file(thing)) for id_, thing in _of_file(plane, collection).items() if id_ > after and fits(thing)
    ]
    found.sort(key=lambda pair: pair[0])
    more = len(found) > limit
    return ObjectList([document for _, document in found[:limit]], found[limit - 1][0] if more else None)


def _one(plane: ControlPlane, collection: Collection, id_: str) -> Response[Document]:
    thing = _of_file(plane, collection).get(id_)
    if thing is not None:
        return Response(shown_of_file(thing))
    with plane.store.read() as db:
        stored = objects.find(db, collection, id_)
        rows = objects.secrets(db, id_) if collection == "keys" else []
    if stored is None:
        raise NotFound(f"there is no {collection.removesuffix('s')} {id_[:80]}")
    return Response(shown(stored, rows), headers={"etag": f'"{stored.version}"'})


def _version(request: AnyRequest) -> int | None:
    """What ``If-Match`` asks for. It is every HTTP resource's own header, so no parameter of an operation."""
    if_match = request.headers.get("if-match")
    if if_match is None or if_match.strip() == "*":
        return None
    found = _ETAG.fullmatch(if_match.strip())
    if found is None:
        raise BadParameter("if-match", "If-Match takes one ETag, as an answer gave it")
    return int(found[1])


def _answer(done: Done, status: int = 200) -> Response[Document]:
    document = shown(done.stored, done.secrets)
    if done.secret is not None:
        document["secret"] = done.secret
    headers = {"etag": f'"{done.stored.version}"', "cache-control": "no-store"}
    if status == 201:
        headers["location"] = f"/api/v1/{done.stored.collection}/{done.stored.id}"
    return Response(document, status_code=status, headers=headers)


def _narrowed(name: str, value: str | None) -> Narrowed:
    """A listing to those that name one parent."""
    if value is None:
        return None, lambda _: True
    return f"{name}:{value}", lambda thing: getattr(thing, name) == value


def _collection(collection: Collection, parent: str | None) -> list[HTTPRouteHandler]:
    """The five operations that every collection has."""
    one = collection.removesuffix("s")
    path = f"/{collection}/{{object_id:str}}"

    async def _list(state: State, cursor: str | None, limit: int | None, value: str | None = None) -> ObjectList:
        most = bounded(limit, 100, MOST_OBJECTS)
        narrowed = _narrowed(parent or "", value)
        return await asyncio.to_thread(_page, _plane(state), collection, cursor or "", most, narrowed)

    if parent == "customer":

        @get(f"/{collection}", summary=f"All {collection}, by id")
        async def list_(
            state: State, customer: str | None = None, cursor: Cursor = None, limit: Limit = None
        ) -> ObjectList:
            return await _list(state, cursor, limit, customer)

    elif parent == "team":

        @get(f"/{collection}", summary=f"All {collection}, by id")
        async def list_(
            state: State, team: str | None = None, cursor: Cursor = None, limit: Limit = None
        ) -> ObjectList:
            return await _list(state, cursor, limit, team)

    else:

        @get(f"/{collection}", summary=f"All {collection}, by id")
        async def list_(state: State, cursor: Cursor = None, limit: Limit = None) -> ObjectList:
            return await _list(state, cursor, limit)

    @post(f"/{collection}", summary=f"Create a {one}", operation_class=operation_of(collection))
    async def create(request: AnyRequest, state: State) -> Response[Document]:
        values = parse_object(await request.body())
        done = _plane(state).objects.create(collection, values, ACTOR)
        return _answer(await asyncio.wrap_future(done), 201)

    @get(path, summary=f"One {one}")
    async def read(state: State, object_id: str) -> Response[Document]:
        return await asyncio.to_thread(_one, _plane(state), collection, object_id)

    @patch(path, summary=f"Change a {one}", operation_class=operation_of(collection, "patch"))
    async def change(request: AnyRequest, state: State, object_id: str) -> Response[Document]:
        """A JSON merge patch (RFC 7396): what is not named stays, null takes away. Heeds ``If-Match``."""
        values = parse_object(await request.body())
        wish = Wish(collection, object_id, "update", ACTOR, _version(request))
        done = _plane(state).objects.update(wish, values)
        return _answer(await asyncio.wrap_future(done))

    @delete(path, summary=f"Delete a {one}")
    async def remove(request: AnyRequest, state: State, object_id: str) -> None:
        """One that nothing else names. Heeds ``If-Match``."""
        wish = Wish(collection, object_id, "delete", ACTOR, _version(request))
        await asyncio.wrap_future(_plane(state).objects.delete(wish))

    # The framework's own answers to OPTIONS name the methods of the first handler of a path only, unless it has one.
    return [
        _options(f"/{collection}", "GET, OPTIONS, POST"),
        list_,
        create,
        _options(path, "DELETE, GET, OPTIONS, PATCH"),
        read,
        change,
        remove,
    ]


def _options(path: str, allow: str) -> HTTPRouteHandler:
    """What can be done at a path."""

    @route(path, http_method=[HttpMethod.OPTIONS], include_in_schema=False, status_code=204)
    async def options() -> Response[None]:
        return Response(None, headers={"allow": allow})

    return options


@post("/keys/{object_id:str}/rotate", summary="Issue a new secret for a key", status_code=200)
async def rotate(
    state: State,
    object_id: str,
    overlap_seconds: Annotated[
        int | None, Parameter(description="how long the old secret works on; 0: not at all")
    ] = None,
) -> Response[Document]:
    """The answer has the new ``secret``, this once."""
    return _answer(await asyncio.wrap_future(_plane(state).objects.rotate(object_id, overlap_seconds or 0, ACTOR)))


@post("/keys/{object_id:str}/revoke", summary="Stop all secrets of a key", status_code=200)
async def revoke(state: State, object_id: str) -> Response[Document]:
    """The key itself stays, without a secret, until it is deleted; rotating it gives it a new one."""
    return _answer(await asyncio.wrap_future(_plane(state).objects.revoke(object_id, ACTOR)))


@get("/audit", summary="Who changed what, newest first")
async def list_audit(
    state: State,
    collection: Literal["customers", "teams", "keys"] | None = None,
    id: Annotated[str | None, Parameter(description="of the object")] = None,
    cursor: Annotated[int | None, Parameter(description="`next` of the page before", ge=1)] = None,
    limit: Limit = None,
) -> ObjectList:
    """Each row's ``hash`` covers the row before it, so that one which was changed or taken out shows."""
    most = bounded(limit, 100, MOST_OBJECTS)

    def read() -> list[audit.Entry]:
        with _plane(state).store.read() as db:
            return audit.page(db, cursor, most + 1, collection, id)

    found = await asyncio.to_thread(read)
    items = [_entry(entry) for entry in found[:most]]
    return ObjectList(items, str(found[most - 1].seq) if len(found) > most else None)


def _entry(entry: audit.Entry) -> Document:
    return {
        "seq": entry.seq,
        "at": moment(entry.at_us),
        "actor": entry.actor,
        "action": entry.action,
        "collection": entry.collection,
        "id": entry.id,
        "before": msgspec.json.decode(entry.before) if entry.before else None,
        "after": msgspec.json.decode(entry.after) if entry.after else None,
        "hash": entry.hash.hex(),
    }


HANDLERS: Final = [
    *_collection("customers", None),
    *_collection("teams", "customer"),
    *_collection("keys", "team"),
    rotate,
    revoke,
    list_audit,
]
router: Final = Router("/api/v1", route_handlers=HANDLERS, guards=[bearer, known_parameters], security=[{"bearer": []}])
