"""The admin API's collections: what each holds, and what the state store keeps of one object of it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from sqlite3 import Connection
from typing import Any, Final, Literal, TypeVar, get_args

import msgspec

from fastgate.budgets.hierarchy import owner_name, records_of
from fastgate.budgets.limits import limits_of
from fastgate.config.additions import (
    Additions,
    NamedModel,
    NamedProvider,
    StatedPrice,
    additions_of,
    credentials,
    with_credentials,
    with_proxy,
)
from fastgate.config.objects import Thing, read_object
from fastgate.config.owners import Ceiling, Customer, Key, Limit, Team
from fastgate.config.root import Config
from fastgate.control.cache_records import wants_cache, wants_meaning
from fastgate.control.compile import ceiling_of, key_record, owner_record
from fastgate.state import objects
from fastgate.state.objects import Derived, SecretRow, Stored
from fastgate.wire.sealing import Sealer
from fastgate.wire.snapshot import BudgetRecord, LimitRecord

Collection = Literal["customers", "teams", "keys", "providers", "models", "prices"]
COLLECTIONS: Final[tuple[Collection, ...]] = get_args(Collection)
TYPES: Final[dict[str, type[Thing]]] = {
    "customers": Customer,
    "teams": Team,
    "keys": Key,
    "providers": NamedProvider,
    "models": NamedModel,
    "prices": StatedPrice,
}
Document = dict[str, Any]
Edit = Callable[[Document], Document]
T = TypeVar("T", bound=Thing)
CACHE: Final = "cache:exact"
"""What a key or a team names that wants its answers kept: a snapshot's head has room for them then."""
MEANING: Final = "cache:semantic"
"""What is named by who wants the semantic cache, which only a file with an embedder has."""
IN_HEAD: Final = frozenset({"providers", "models", "prices"})
"""Those that workers read from the head of a snapshot: a change of one needs a new snapshot."""


def of_file(config: Config, collection: Collection) -> Mapping[str, Thing]:
    """What the configuration file has of a collection, by id."""
    things: Sequence[Thing] = getattr(additions_of(config) if collection in IN_HEAD else config, collection)
    return {thing.id: thing for thing in things}


def stored_additions(db: Connection, sealer: Sealer) -> Additions:
    """What the store adds to a file's providers, models and prices. Raises SealError without the key to secrets."""

    def all_of(collection: Collection, type_: type[T]) -> tuple[T, ...]:
        return tuple(read_object(type_, document(db, sealer, each)) for each in objects.every(db, collection))

    return Additions(all_of("providers", NamedProvider), all_of("models", NamedModel), all_of("prices", StatedPrice))


def document(db: Connection, sealer: Sealer, stored: Stored, edit: Edit = lambda document: document) -> Document:
    """An object of the store as its creator said it and ``edit`` changes it, a provider with its secrets.

    Keys of a provider may come out of ``edit`` without the value that they have.
    """
    return _opened(stored, objects.sealed(db, stored.collection, stored.id), sealer, edit)


def taken_over(stored: Stored, rows: Sequence[SecretRow], sealed: bytes, sealer: Sealer) -> tuple[Thing, Derived]:
    """An object that another host created, and what is kept of it here.

    Raises ConfigErrors where a later version wrote it, SealError without the key to its secrets.
    """
    thing = read_object(TYPES[stored.collection], _opened(stored, sealed, sealer, lambda document: document))
    return thing, replace(derived(thing, stored, rows, sealer), sealed=sealed)


def _opened(stored: Stored, sealed: bytes, sealer: Sealer, edit: Edit) -> Document:
    found = msgspec.json.decode(stored.document)
    if not sealed:
        return edit(found)
    known = msgspec.json.decode(sealer.open(sealed, _owner(stored)))
    return with_credentials(edit(with_proxy(found, known)), known)


def _owner(stored: Stored) -> str:
    return f"{stored.collection}/{stored.id}"


def refs_of(thing: Thing) -> frozenset[str]:
    """The objects that it names, such as ``team:platform``."""
    match thing:
        case Key():
            refs = {owner_name("team", thing.team)} if thing.team else set()
            refs |= {f"provider:{each.provider}" for each in thing.providers or ()}
            refs |= _models(thing.models)
            refs |= _limited_models(thing.limits)
            refs |= {ref for template in thing.each.values() for ref in _limited_models(template.limits)}
            refs |= {ref for each in thing.providers or () for ref in _limited_models(each.limits)}
            refs |= {f"ceiling:{ceiling_of(thing)}"} if isinstance(thing.unpriced, Ceiling) else set()
            return frozenset(refs | _cache(thing))
        case Team():
            refs = {owner_name("customer", thing.customer)} if thing.customer else set()
            return frozenset(refs | _limited_models(thing.limits) | _cache(thing))
        case Customer():
            return frozenset(_limited_models(thing.limits))
        case NamedModel():
            meaning = {MEANING} if wants_meaning(thing) else set()
            return frozenset({f"provider:{target.provider}" for target in thing.targets} | meaning)
        case StatedPrice():
            return frozenset({f"provider:{thing.provider}"})
    return frozenset()


def _models(patterns: Iterable[str]) -> set[str]:
    """A pattern with a star names no model in particular."""
    return {f"model:{name}" for name in patterns if "*" not in name}


def _limited_models(limits: Iterable[Limit]) -> set[str]:
    return {ref for limit in limits for ref in _models(limit.models)}


def _cache(thing: Key | Team) -> set[str]:
    return {name for name, wants in ((CACHE, wants_cache), (MEANING, wants_meaning)) if wants(thing)}


def derived(thing: Thing, stored: Stored, rows: Sequence[SecretRow], sealer: Sealer) -> Derived:
    """What is kept of an object beside its document; ``rows``: the secrets of a key."""
    refs = refs_of(thing)
    if isinstance(thing, NamedProvider):
        known = credentials(thing)
        return Derived((), (), refs, sealer.seal(msgspec.json.encode(known).decode(), _owner(stored)) if known else b"")
    if not isinstance(thing, Customer | Team | Key):
        return Derived((), (), refs)
    return Derived(_records(thing, stored, rows), _listed(records_of(thing)), refs, limits=_listed(limits_of(thing)))


def _listed(records: Iterable[BudgetRecord | LimitRecord]) -> tuple[tuple[str, str, str, bytes], ...]:
    return tuple((record.id, record.owner, record.level, msgspec.msgpack.encode(record)) for record in records)


def _records(
    thing: Customer | Team | Key, stored: Stored, rows: Sequence[SecretRow]
) -> tuple[tuple[bytes, int, int, bytes], ...]:
    born = stored.created_us
    if isinstance(thing, Key):
        return tuple((row.digest, row.expires_ns, row.created_us, _record_until(thing, born, row)) for row in rows)
    digest, record = owner_record(thing, born)
    return ((digest, 0, 0, record),)


def _record_until(key: Key, born: int, row: SecretRow) -> bytes:
    """The record of a key under one of its secrets, which a rotation may end before the key itself."""
    ends = [moment for moment in (key.expires, row.expires_ns) if moment]
    return key_record(msgspec.structs.replace(key, expires=min(ends) if ends else None), born)
