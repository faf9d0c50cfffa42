"""What the bodies of changes look like, for the API's own description: the types of the configuration."""

from functools import cache
from typing import Any, Final, Literal

from litestar.openapi.spec import Operation

from fastgate.config.owners import OwnedBudget
from fastgate.config.rendering import object_schema
from fastgate.config.upstreams import DEFAULT_URLS
from fastgate.control.answer_schemas import answer_of
from fastgate.control.collections import TYPES
from fastgate.control.operations import JSON, described
from fastgate.control.part_schemas import with_alternatives

_FIXED: Final = frozenset({"id", "secret", "secret_sha256"})
_SECRET: Final = {"anyOf": [{"type": "string", "pattern": "^[!-~]{8,4096}$", "writeOnly": True}, {"type": "null"}]}
_MOMENT: Final = "^20[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z$"
_EXPIRES: Final = {"anyOf": [{"type": "string", "pattern": _MOMENT}, {"type": "null"}]}
"""Narrower than what is taken, as are the following: whoever keeps to these is understood whatever else there is."""
_BYTE: Final = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_ADDRESS: Final = {"type": "string", "pattern": f"^{_BYTE}([.]{_BYTE}){{3}}$"}
_ADDRESSES: Final = {"anyOf": [{"type": "array", "items": _ADDRESS}, {"type": "null"}]}
_URL: Final = "https?://[a-z0-9]{1,40}([.][a-z0-9]{1,20}){0,2}(:[1-9][0-9]{0,3})?"
_BASE_URL: Final = {"type": "string", "pattern": f"^{_URL}$"}
_PROXY: Final = {"type": "string", "pattern": f"^({_URL})?$", "writeOnly": True}
_WEIGHT: Final = {"type": "integer", "minimum": 1, "maximum": 1000}
_VALUE: Final = {"type": "string", "pattern": "^[!-~]{1,200}$", "writeOnly": True}
_PART: Final = "(?![.]{1,2}(/|$))[!-)+-.0-~]+"
_ADDRESSED: Final = {"type": "string", "pattern": f"^{_PART}(/{_PART})*$", "maxLength": 200}
_MODEL_IN_ID: Final = {"models": "id", "prices": "model"}
"""Settings that become part of an address."""
_PARTS_OF_ID: Final = {"prices": ("provider", "model"), "budgets": ("owner", "window", "name")}


@cache
def operation_of(collection: str, method: Literal["post", "patch"] = "post") -> type[Operation]:
    """An operation that takes an object of a collection as JSON, or a merge patch for one."""
    schema = object_schema(OwnedBudget if collection == "budgets" else TYPES[collection])
    if (collection, method) != ("budgets", "patch"):  # a patch of a budget has to go together with what it says already
        schema = with_alternatives(schema)
    if collection in _MODEL_IN_ID:
        schema["properties"][_MODEL_IN_ID[collection]] = _ADDRESSED
    if collection == "providers":
        schema = _of_provider(schema, method)
    if collection == "keys":  # one without an id gets one
        narrower = {"secret": _SECRET, "expires": _EXPIRES, "allowed_ips": _ADDRESSES}
        narrower["providers"] = _at_least_one(schema["properties"]["providers"])
        schema = {**schema, "properties": {**schema["properties"], **narrower}, "required": []}
    if method == "patch":  # ids never change, and secrets by `rotate` alone
        fixed = _FIXED.union(_PARTS_OF_ID.get(collection, ()))
        settings = {name: each for name, each in schema["properties"].items() if name not in fixed}
        schema = _partial({**schema, "properties": settings})
        media = "application/merge-patch+json"
    else:
        media = JSON

    answer = None if collection == "budgets" else answer_of(collection)
    return described(answer, media=media, body=schema)


def _at_least_one(schema: dict[str, Any]) -> dict[str, Any]:
    """Of a list, where there is one."""
    return {"anyOf": [{**each, "minItems": 1} if each["type"] == "array" else each for each in schema["anyOf"]]}


def _of_provider(schema: dict[str, Any], method: str) -> dict[str, Any]:
    """Types with a usual address need a key, the others an address."""
    [keys] = (each for each in schema["properties"]["keys"]["anyOf"] if each["type"] == "array")
    one = {**keys["items"], "properties": {**keys["items"]["properties"], "value": _VALUE, "weight": _WEIGHT}}
    keys = {"type": "array", "items": one, "maxItems": 1}
    addresses = {"base_url": _BASE_URL, "proxy": _or_null(_PROXY), "ca_file": {"type": "null"}}
    properties = {**schema["properties"], **addresses, "keys": _or_null(keys)}
    if method == "patch":
        del properties["type"]
        return {**schema, "properties": properties}
    known = properties.pop("type")["enum"]
    usual = {"type": {"enum": sorted(DEFAULT_URLS)}, "base_url": _or_null(_BASE_URL), "keys": {**keys, "minItems": 1}}
    other = {"type": {"enum": sorted(set(known).difference(DEFAULT_URLS))}}
    return {
        "anyOf": [
            {**schema, "properties": {**properties, **own}, "required": ["id", "type", needed]}
            for own, needed in ((usual, "keys"), (other, "base_url"))
        ]
    }


def _partial(schema: dict[str, Any], *, whole: bool = False) -> dict[str, Any]:
    """What a merge patch for it may say: of mappings a part, of lists the whole, of what may be new the ``whole``.

    What may be one thing or another, or nothing, may be new.
    """
    changed = {name: each for name, each in schema.items() if whole or name != "required"}
    if "properties" in schema:
        required = schema.get("required", ())
        changed["properties"] = {
            name: changes if name in required else _or_null(changes)
            for name, each in schema["properties"].items()
            for changes in (_partial(each, whole=whole),)
        }
    if isinstance(schema.get("additionalProperties"), dict):
        changed["additionalProperties"] = _or_null(_partial(schema["additionalProperties"], whole=True))
    if "anyOf" in schema:
        changed["anyOf"] = [_partial(each, whole=True) for each in schema["anyOf"]]  # another one may be there
    return changed


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Null takes away."""
    members = schema.get("anyOf", [schema])
    return schema if {"type": "null"} in members else {"anyOf": [*members, {"type": "null"}]}
