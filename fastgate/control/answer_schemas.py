"""What the API's answers look like where their types alone do not say it, as components of its own description.

Objects are shown as the configuration's types have them, without credentials; requests and sums as the ledger's tables.
"""

from typing import Any, Final

from fastgate.config.rendering import object_schema
from fastgate.config.root import Config
from fastgate.control.collections import COLLECTIONS, TYPES, Collection
from fastgate.ledger.schema import EVENT_NUMBERS, EVENT_TEXTS, GIVEN_NUMBERS, ORIGIN_TEXTS
from fastgate.ledger.spend import AMOUNTS, COUNTS, TOKENS

Schema = dict[str, Any]

_TEXT: Final[Schema] = {"type": "string"}
_COUNT: Final[Schema] = {"type": "integer"}
_USD: Final[Schema] = {"type": "string", "pattern": "^-?[0-9]+[.][0-9]{9}$"}
_MOMENT: Final[Schema] = {"type": "string", "format": "date-time"}
_MOMENT_OR_NULL: Final[Schema] = {"type": ["string", "null"], "format": "date-time"}
_TEXTS: Final[Schema] = {"type": "object", "additionalProperties": _TEXT}


def answer_of(collection: str) -> str:
    """The component that shows one object of a collection."""
    return f"{collection.removesuffix('s').title()}Answer"


def list_of(collection: str) -> str:
    """The component that is a page of a collection."""
    return f"{collection.removesuffix('s').title()}List"


def _closed(properties: Schema, optional: frozenset[str] = frozenset(), **more: Any) -> Schema:
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False, **more}


def _page(component: str, **more: Schema) -> Schema:
    """``next`` is the ``cursor`` of the following page."""
    items = {"type": "array", "items": {"$ref": f"#/components/schemas/{component}"}}
    return _closed({"items": items, "next": {"type": ["string", "null"]}, **more})


_OF_HOSTS: Final[dict[str, Schema]] = {
    "hosts": {"enum": ["all", "own"], "description": "of all hosts that share a ledger, or this one's own alone"},
    "behind": {
        "type": ["integer", "null"],
        "minimum": 0,
        "description": "how many requests of this host are not in it yet; null: not known",
    },
    "away": {
        "type": ["string", "null"],
        "description": "why it is not of all hosts, although they share a ledger and nobody asked for one of them",
    },
}


_OWN: Final[Schema] = {
    "id": _TEXT,
    "origin": {"enum": ["file", "api"]},
    "version": {"type": "integer", "minimum": 1, "description": "what `etag` says, of what the API created"},
    "created_at": _MOMENT,
    "updated_at": _MOMENT,
}
_SECRETS: Final = {
    "type": "array",
    "items": _closed({"created_at": _MOMENT, "expires_at": _MOMENT_OR_NULL}),
    "description": "those that work or will end, the newest first; never they themselves",
}
_BESIDE: Final[dict[str, Schema]] = {
    "keys": {"secret": {**_TEXT, "description": "where it was just issued, this once"}, "secrets": _SECRETS},
    "models": {"unpriced": {"type": "array", "items": _TEXT, "description": "targets that nothing prices"}},
}
"""By collection, what its objects bear beside their settings."""


def _object(collection: Collection) -> Schema:
    settings = _readable(object_schema(TYPES[collection]))
    settings["properties"].pop("secret_sha256", None)  # of a secret that somebody may have chosen badly
    own = {**settings["properties"], **_OWN, **_BESIDE.get(collection, {})}
    return {**settings, "properties": own, "required": sorted({"id", "origin", *settings.get("required", ())})}


def _readable(node: Any) -> Any:
    """A schema without what is only ever written."""
    if isinstance(node, list):
        return [_readable(child) for child in node]
    if not isinstance(node, dict):
        return node
    node = {name: _readable(child) for name, child in node.items()}
    if "properties" in node:
        node["properties"] = {name: child for name, child in node["properties"].items() if not _is_secret(child)}
        node["required"] = [name for name in node.get("required", ()) if name in node["properties"]]
    return node


def _masked(node: Any) -> Any:
    """A schema in which what is only ever written is shown, too: as ``***``."""
    if isinstance(node, list):
        return [_masked(child) for child in node]
    if not isinstance(node, dict):
        return node
    return {name: _masked(child) for name, child in node.items() if name != "writeOnly"}


def _is_secret(schema: Schema) -> bool:
    return any(member.get("writeOnly") for member in schema.get("anyOf", [schema]))


def _request() -> Schema:
    """A row of the ledger under the names of the API."""
    numbers = [name for name in EVENT_NUMBERS if name not in {"started_us", *GIVEN_NUMBERS}]
    return {
        "id": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
        "started_at": _MOMENT,
        **{name.replace("_nano", "_usd"): _USD if name.endswith("_nano") else _COUNT for name in numbers},
        **dict.fromkeys((*EVENT_TEXTS, *ORIGIN_TEXTS), _TEXT),
        "tags": _TEXTS,
        "similarity": {"type": ["number", "null"], "description": "of the question to that of `cache_entry`"},
        "cache_age_seconds": {"type": ["integer", "null"], "description": "of an answer out of a cache"},
        "status": _COUNT,
        "stream": {"type": "boolean"},
    }


_SUMS: Final[Schema] = {
    **dict.fromkeys((*COUNTS, *TOKENS), _COUNT),
    **dict.fromkeys((f"{name}_usd" for name in AMOUNTS), _USD),
}
_LABEL: Final = {"type": ["string", "integer", "null"], "description": "one of those that were asked for in `by`"}
_PRICES: Final = frozenset({"usd_per_million", "usd_per_hour"})
_LINE: Final = _closed(
    {
        "bucket": _TEXT,
        "count": _COUNT,
        "usd_per_million": _USD,
        "usd_per_hour": _USD,
        "multiplier": {"type": "string", "pattern": "^[0-9]+[.][0-9]{3}$"},
        "cost_usd": _USD,
    },
    _PRICES,
)

COMPONENTS: Final[dict[str, Schema]] = {
    **{answer_of(collection): _object(collection) for collection in COLLECTIONS},
    **{list_of(collection): _page(answer_of(collection)) for collection in COLLECTIONS},
    "RequestAnswer": _closed(_request()),
    "RequestDetail": _closed({**_request(), "cost_lines": {"type": ["array", "null"], "items": _LINE}}),
    "RequestList": _page("RequestAnswer", **_OF_HOSTS),
    "SpendAnswer": _closed(
        {
            "groups": {"type": "array", "items": {**_closed(_SUMS), "additionalProperties": _LABEL}},
            "total": _closed(_SUMS),
            "truncated": {"type": "boolean"},
            **_OF_HOSTS,
        }
    ),
    "ConfigAnswer": _masked(object_schema(Config)),
}
"""By name; those that the framework makes of the handlers' types, too, are in their place."""
