"""What the bodies of changes look like, for the API's own description: the types of the configuration."""

from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from litestar.openapi.spec import OpenAPIMediaType, Operation, RequestBody, Schema

from fastgate.config.rendering import object_schema

_NAMES = {"customers": "Customer", "teams": "Team", "keys": "Key"}


@cache
def operation_of(collection: str, method: Literal["post", "patch"] = "post") -> type[Operation]:
    """An operation that takes an object of a collection as JSON, or a merge patch for one."""
    schema = object_schema(_NAMES[collection])
    if method == "patch":
        schema = {**schema, "required": []}
        media = "application/merge-patch+json"
    else:
        media = "application/json"

    @dataclass
    class WithBody(Operation):
        def __post_init__(self) -> None:
            self.request_body = RequestBody({media: OpenAPIMediaType(schema=_Plain(schema))}, required=True)

    return WithBody


class _Plain(Schema):
    """A schema that is JSON already."""

    def __init__(self, document: dict[str, Any]) -> None:
        super().__init__()
        self._document = document

    def to_schema(self) -> dict[str, Any]:
        return self._document
