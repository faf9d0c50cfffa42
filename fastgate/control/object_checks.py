"""Mistakes of an object of the API that show only beside what is there: names, doubles, things that hide each other."""

from collections.abc import Iterator
from pathlib import Path
from sqlite3 import Connection
from typing import Final

import msgspec

from fastgate.config.additions import NamedModel, NamedProvider, StatedPrice
from fastgate.config.objects import Thing, problems_of
from fastgate.config.owners import Customer, Key, Team
from fastgate.config.owners_check import Known, customer_findings, key_findings, team_findings
from fastgate.config.problems import Finding, did_you_mean
from fastgate.config.references import model_findings, provider_findings
from fastgate.control.collections import IN_HEAD, Collection
from fastgate.control.problems import Conflict
from fastgate.state import objects

_NO_STEPS: Final = frozenset({"", ".", ".."})
MOST_IN_HEAD: Final = 1000
"""Of each collection that workers hold in memory."""


def check_room(db: Connection, collection: Collection) -> None:
    """Raises Conflict where there are as many as there may be."""
    if collection in IN_HEAD and objects.count(db, collection) >= MOST_IN_HEAD:
        raise Conflict(f"there are {MOST_IN_HEAD} {collection} already, which is all that there may be")


def check_alone(thing: Thing, folder: Path) -> None:
    """Raises ConfigErrors for what no state of the gateway could allow; relative paths start at ``folder``."""
    found = list(provider_findings((), thing, folder)) if isinstance(thing, NamedProvider) else []
    if isinstance(thing, NamedModel | StatedPrice) and _NO_STEPS.intersection(thing.id.split("/")):
        found.append(Finding(("id",), "a part between slashes is empty or dots: no address would lead to it"))
    if found:
        raise problems_of(found)


def findings(db: Connection, thing: Thing, known: Known, folder: Path) -> Iterator[Finding]:
    """All of one object, those that it has by itself included: a part of it may be there already."""
    match thing:
        case Customer():
            yield from customer_findings((), thing, known)
        case Team():
            yield from team_findings((), thing, known)
        case Key():
            yield from key_findings((), thing, known)
            if thing.secret is not None and thing.secret_sha256 is not None:
                yield Finding(("secret_sha256",), "a key has either secret or secret_sha256")
        case NamedProvider():
            yield from provider_findings((), thing, folder)
            yield from _hidden(thing, known)
            for model in thing.prices:
                if objects.find(db, "prices", f"{thing.id}/{model}"):
                    yield Finding(("prices", model), f"there is a price {thing.id}/{model}", "change that one")
        case NamedModel():
            yield from model_findings((), thing.id, thing, known)
        case StatedPrice():
            yield from _of_price(db, thing, known)


def _of_price(db: Connection, price: StatedPrice, known: Known) -> Iterator[Finding]:
    if price.provider not in known.providers:
        hint = did_you_mean(price.provider, known.providers)
        yield Finding(("provider",), f"no provider {price.provider}", hint)
    provider = objects.find(db, "providers", price.provider)
    if provider is not None and price.model in msgspec.json.decode(provider.document)["prices"]:
        yield Finding(("model",), f"the provider {price.provider} itself states a price of it", "change that one")


def _hidden(provider: NamedProvider, known: Known) -> Iterator[Finding]:
    """``provider/model`` always means that provider's model; a public model of such a name would hide it."""
    for name in known.models:
        if name.startswith(f"{provider.id}/"):
            yield Finding(("id",), f"the model {name} would hide one of this provider's", "choose another id")
