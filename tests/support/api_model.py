"""What the admin API has to say, worked out without it: objects, their versions and secrets, budgets, the audit."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

Document = dict[str, Any]
Place = tuple[str, str]
"""A collection, and an object's id in it."""

DEFAULTS: dict[str, Document] = {
    "customers": {"name": None, "budgets": []},
    "teams": {"customer": None, "environment": None, "budgets": []},
    "keys": {"team": None, "models": [], "providers": None, "tags": {}, "budgets": []},
    "providers": {"keys": [], "prices": {}},
    "models": {},
    "prices": {"cache_read_usd_per_million": None},
}
"""By collection, the settings that null takes back to these."""
NEEDED: dict[str, tuple[str, ...]] = {
    "customers": (),
    "teams": (),
    "keys": (),
    "providers": ("type",),
    "models": ("targets",),
    "prices": ("input_usd_per_million", "output_usd_per_million"),
}
"""Those that it must not take away."""
COLLECTIONS = ("keys", "teams", "customers", "prices", "models", "providers")
"""Children before their parents."""
FILE: frozenset[Place] = frozenset(
    {("customers", "acme"), ("teams", "of-file"), ("keys", "of-file"), ("providers", "sim"), ("models", "small")}
)
MOST_BUDGETS = 4
"""Of one owner."""
_ALWAYS = frozenset({"origin", "version", "created_at", "updated_at"})
BESIDE = {"keys": _ALWAYS | {"secrets", "secret"}, "models": _ALWAYS | {"unpriced"}, "prices": _ALWAYS | {"id"}}
"""By collection, what an answer shows beside the document that the audit has."""


@dataclass
class Thing:
    """An object: what was said of it, its version, and of a key the secrets that work, the newest first."""

    document: Document
    version: int = 1
    secrets: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Row:
    """A row of the audit."""

    action: str
    collection: str
    id: str
    before: Document | None
    after: Document | None


class Model:
    """``things`` by place; ``dead``: secrets that must not work; ``spent`` by budget; ``rows``: of the audit."""

    def __init__(self) -> None:
        self.things: dict[Place, Thing] = {}
        self.dead: list[str] = []
        self.spent: dict[str, Decimal] = {}
        self.rows: list[Row] = []
        self.bodies: dict[Place, Document] = {}
        """What the audit has to have of each object as it is."""

    # ---- what may be

    def refusal(self, collection: str, document: Document) -> int:
        """The status for a document that may not be; 0: it may."""
        if any(document.get(name) is None for name in NEEDED[collection]):
            return 422
        return 0 if refs(collection, document) <= self.things.keys() | FILE else 409

    def referrers(self, place: Place) -> list[Place]:
        """Those that name it."""
        return [(where, id_) for (where, id_), each in self.things.items() if place in refs(where, each.document)]

    # ---- what is

    def budgets(self) -> dict[str, tuple[Place, Document]]:
        """All of the API's objects, by id: the object that has it, and the budget."""
        found = {}
        for place, thing in self.things.items():
            for owner, budgets in owned(place, thing.document):
                found.update({f"{owner}/{each['window']}/{name_of(each)}": (place, each) for each in budgets})
        return found

    def payers(self) -> dict[str, str]:
        """Secrets of keys that may use every model of the provider ``sim``, by key."""
        return {
            id_: thing.secrets[0]
            for (collection, id_), thing in self.things.items()
            if collection == "keys" and thing.secrets and not thing.document["models"]
            if {each["provider"] for each in thing.document["providers"] or [{"provider": "sim"}]} == {"sim"}
        }

    def charge(self, key: str, cost: Decimal) -> None:
        """Books a request that a key made at the provider ``sim``."""
        thing = self.things["keys", key].document
        team = self.things.get(("teams", thing["team"]))
        customer = team.document["customer"] if team else None
        owners = {f"key:{key}", f"provider:{key}/sim", f"team:{thing['team']}", f"customer:{customer}"}
        for id_ in self.budgets():
            if id_.rsplit("/", 2)[0] in owners:
                self.spent[id_] = self.spent.get(id_, Decimal(0)) + cost

    # ---- what happens

    def put(self, action: str, place: Place, shown: Document, thing: Thing) -> None:
        """It was created or changed, and is shown like this."""
        after = {name: value for name, value in shown.items() if name not in BESIDE.get(place[0], _ALWAYS)}
        self.rows.append(Row(action, *place, self.bodies.get(place), after))
        self.things[place], self.bodies[place] = thing, after

    def drop(self, place: Place) -> None:
        """It was deleted."""
        self.rows.append(Row("delete", *place, self.bodies.pop(place), None))
        self.dead += self.things.pop(place).secrets

    def reset(self, budget: str) -> None:
        """It was begun anew."""
        before = {"spent_usd": f"{self.spent.pop(budget, Decimal(0)):.9f}"}
        self.rows.append(Row("reset", "budgets", budget, before, {"spent_usd": "0.000000000"}))


def completed(collection: str, document: Document) -> Document:
    """With the defaults of what was not said."""
    return {**DEFAULTS[collection], **document}


def id_of(collection: str, document: Document) -> str:
    """What the API knows it by."""
    return f"{document['provider']}/{document['model']}" if collection == "prices" else str(document["id"])


def merged(target: Any, patch: Any) -> Any:
    """RFC 7396, section 2."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result


def name_of(budget: Document) -> str:
    """Within its owner and window."""
    return str(budget.get("name", "default"))


def owned(place: Place, document: Document) -> Iterator[tuple[str, list[Document]]]:
    """Owners of budgets, and their budgets, in an object's document."""
    collection, id_ = place
    if "budgets" in document:
        yield f"{collection.removesuffix('s')}:{id_}", document["budgets"]
    for each in document.get("providers") or ():
        yield f"provider:{id_}/{each['provider']}", each["budgets"]


def with_budgets(place: Place, document: Document, owner: str, budgets: list[Document]) -> Document:
    """The document in which one of its owners has these budgets."""
    if not owner.startswith("provider:"):
        return {**document, "budgets": budgets}
    changed = [
        {**each, "budgets": budgets} if owner == f"provider:{place[1]}/{each['provider']}" else each
        for each in document["providers"]
    ]
    return {**document, "providers": changed}


def refs(collection: str, document: Document) -> set[Place]:
    """The objects that a document names."""
    match collection:
        case "teams":
            named = {("customers", document["customer"])}
        case "keys":
            named = {("teams", document["team"]), *(("models", each) for each in document["models"])}
            named |= {("providers", each["provider"]) for each in document["providers"] or ()}
        case "models":
            named = {("providers", each["provider"]) for each in document["targets"]}
        case "prices":
            named = {("providers", document["provider"])}
        case _:
            named = set()
    return {place for place in named if place[1] is not None}


def says(found: Any, said: Any) -> bool:
    """Whether an answer has all that was said; it may have more, such as defaults, but for tags and credentials."""
    if isinstance(said, dict):
        told = {name: each for name, each in said.items() if name not in {"value", "tags"}}
        same = all(name in found and says(found[name], each) for name, each in told.items())
        return same and "value" not in found and found.get("tags") == said.get("tags")
    if isinstance(said, list):
        return len(found) == len(said) and all(says(*pair) for pair in zip(found, said, strict=True))
    return bool(found == said)
