"""What the bodies of changes look like, for the API's own description: the types of the configuration."""

from dataclasses import dataclass
from functools import cache
from typing import Any, Final, Literal

from litestar.openapi.spec import OpenAPIMediaType, Operation, RequestBody, Schema

from fastgate.config.owners import OwnedBudget
from fastgate.config.rendering import object_schema
from fastgate.control.collections import TYPES

_FIXED: Final = frozenset({"id", "secret", "secret_sha256"})
_SECRET: Final = {"anyOf": [{"type": "string", "pattern": "^[!-~]{8,4096}$", "writeOnly": True}, {"type": "null"}]}
_MOMENT: Final = "^20[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z$"
_EXPIRES: Final = {"anyOf": [{"type": "string", "pattern": _MOMENT}, {"type": "null"}]}
"""Narrower than what is taken: moments that every reader understands."""
_PARTS_OF_ID: Final = {"prices": ("provider", "model"), "budgets": ("owner", "window", "name")}


@cache
def operation_of(collection: str, method: Literal["post", "patch"] = "post") -> type[Operation]:
    """An operation that takes an object of a collection as JSON, or a merge patch for one."""
    schema = object_schema(OwnedBudget if collection == "budgets" else TYPES[collection])
    if "secret" in schema["properties"]:
        schema["properties"].update(secret=_SECRET, expires=_EXPIRES)
    if collection == "keys":  # one without an id gets one
        schema = {**schema, "required": []}
    if method == "patch":  # ids never change, and secrets by `rotate` alone
        fixed = _FIXED.union(_PARTS_OF_ID.get(collection, ()))
        settings = {name: each for name, each in schema["properties"].items() if name not in fixed}
        schema = _partial({**schema, "properties": settings})
        media = "application/merge-patch+json"
    else:
        media = "application/json"

    @dataclass
    class WithBody(Operation):
        def __post_init__(self) -> None:
            self.request_body = RequestBody({media: OpenAPIMediaType(schema=_Plain(schema))}, required=True)

    return WithBody


def _partial(schema: dict[str, Any]) -> dict[str, Any]:
    """What a merge patch for it may say: of mappings a part, of lists the whole."""
    changed = {name: each for name, each in schema.items() if name != "required"}
    if "properties" in schema:
        changed["properties"] = {name: _partial(each) for name, each in schema["properties"].items()}
    if isinstance(schema.get("additionalProperties"), dict):
        changed["additionalProperties"] = {"anyOf": [schema["additionalProperties"], {"type": "null"}]}
    if "anyOf" in schema:
        changed["anyOf"] = [_partial(each) for each in schema["anyOf"]]
    return changed


class _Plain(Schema):
    """A schema that is JSON already."""

    def __init__(self, document: dict[str, Any]) -> None:
        super().__init__()
        self._document = document

    def to_schema(self) -> dict[str, Any]:
        return self._document
