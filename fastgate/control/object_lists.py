"""How the admin API shows objects: one by one, and in pages of both sources.

Each bears ``origin``: ``file`` (read-only here) or ``api``. A public model bears ``unpriced``, too: its targets that
nothing prices, as ``provider/model``.
"""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any, Final

import msgspec
from litestar import Response, get
from litestar.datastructures import State
from litestar.params import Parameter

from fastgate.config.objects import Thing, object_document
from fastgate.control.answer_schemas import list_of
from fastgate.control.collections import Collection, of_file, refs_of
from fastgate.control.operations import described
from fastgate.control.parameters import bounded
from fastgate.control.plane import ControlPlane
from fastgate.control.problems import NotFound
from fastgate.ledger.spend import moment
from fastgate.state import objects
from fastgate.state.objects import SecretRow, Stored
from fastgate.wire.snapshot import NO_PRICE

MOST_OBJECTS: Final = 1000

Document = dict[str, Any]
Cursor = Annotated[str | None, Parameter(description="`next` of the page before", max_length=512)]
Limit = Annotated[int | None, Parameter(description="how many at most", ge=1, le=MOST_OBJECTS)]


class ObjectList(msgspec.Struct):
    """A page; ``next`` is the ``cursor`` of the following one."""

    items: list[Document]
    next: str | None


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
        id=stored.id,
        origin="api",
        version=stored.version,
        created_at=moment(stored.created_us),
        updated_at=moment(stored.updated_us),
    )
    return document


def shown_of_file(thing: Thing) -> Document:
    """An object of the configuration file."""
    return {**object_document(thing), "id": thing.id, "origin": "file"}


def _with_unpriced(plane: ControlPlane, collection: Collection, document: Document) -> Document:
    if collection == "models":
        current = plane.configuration.current
        targets = [(target["provider"], target["model"]) for target in document["targets"]]
        missing = [f"{name}/{model}" for name, model in targets if current.price_of(name, model) == NO_PRICE]
        document["unpriced"] = missing
    return document


def one(plane: ControlPlane, collection: Collection, id_: str) -> Response[Document]:
    """An object, with its ETag where it can be changed. Raises NotFound."""
    thing = of_file(plane.configuration.current.config, collection).get(id_)
    if thing is not None:
        return Response(_with_unpriced(plane, collection, shown_of_file(thing)))
    with plane.store.read() as db:
        stored = objects.find(db, collection, id_)
        rows = objects.secrets(db, id_) if collection == "keys" else []
    if stored is None:
        raise NotFound(f"there is no {collection.removesuffix('s')} {id_[:80]}")
    document = _with_unpriced(plane, collection, shown(stored, rows))
    return Response(document, headers={"etag": f'"{stored.version}"'})


async def _list(
    state: State, collection: Collection, cursor: str | None, limit: int | None, named: str | None = None
) -> ObjectList:
    """``named``: only objects that name this one, such as ``team:platform``."""
    most = bounded(limit, 100, MOST_OBJECTS)
    return await asyncio.to_thread(_page, state.plane, collection, cursor or "", most, named)


def _page(plane: ControlPlane, collection: Collection, after: str, limit: int, named: str | None) -> ObjectList:
    with plane.store.read() as db:
        stored = objects.page(db, collection, after, limit + 1, named)
        rows = {each.id: objects.secrets(db, each.id) if collection == "keys" else [] for each in stored}
    found = [(each.id, shown(each, rows[each.id])) for each in stored]
    found += [
        (id_, shown_of_file(thing))
        for id_, thing in of_file(plane.configuration.current.config, collection).items()
        if id_ > after and (named is None or named in refs_of(thing))
    ]
    found.sort(key=lambda pair: pair[0])
    more = len(found) > limit
    items = [_with_unpriced(plane, collection, document) for _, document in found[:limit]]
    return ObjectList(items, found[limit - 1][0] if more else None)


def _named(kind: str, id_: str | None) -> str | None:
    return None if id_ is None else f"{kind}:{id_}"


@get("/customers", summary="All customers, by id", operation_class=described(list_of("customers")))
async def list_customers(state: State, cursor: Cursor = None, limit: Limit = None) -> ObjectList:
    """In the order of their ids."""
    return await _list(state, "customers", cursor, limit)


@get("/teams", summary="All teams, by id", operation_class=described(list_of("teams")))
async def list_teams(
    state: State, customer: str | None = None, cursor: Cursor = None, limit: Limit = None
) -> ObjectList:
    """Of one customer, or all of them."""
    return await _list(state, "teams", cursor, limit, _named("customer", customer))


@get("/keys", summary="All keys, by id", operation_class=described(list_of("keys")))
async def list_keys(state: State, team: str | None = None, cursor: Cursor = None, limit: Limit = None) -> ObjectList:
    """Of one team, or all of them; without their secrets."""
    return await _list(state, "keys", cursor, limit, _named("team", team))


@get("/providers", summary="All providers, by id", operation_class=described(list_of("providers")))
async def list_providers(state: State, cursor: Cursor = None, limit: Limit = None) -> ObjectList:
    """Without their secrets."""
    return await _list(state, "providers", cursor, limit)


@get("/models", summary="All public models, by name", operation_class=described(list_of("models")))
async def list_models(
    state: State, provider: str | None = None, cursor: Cursor = None, limit: Limit = None
) -> ObjectList:
    """Those with a target at one provider, or all of them."""
    return await _list(state, "models", cursor, limit, _named("provider", provider))


@get(
    "/prices",
    summary="All prices that operators state, by provider and model",
    operation_class=described(list_of("prices")),
)
async def list_prices(
    state: State, provider: str | None = None, cursor: Cursor = None, limit: Limit = None
) -> ObjectList:
    """They hold before those of the catalogue."""
    return await _list(state, "prices", cursor, limit, _named("provider", provider))


LISTS: Final = (list_customers, list_teams, list_keys, list_providers, list_models, list_prices)
