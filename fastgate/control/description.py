"""The API's own description, completed: errors, and parameters that are texts of a certain form."""

from functools import cached_property
from typing import Any, Final

import msgspec
from litestar import Request
from litestar.openapi.plugins import JsonRenderPlugin

from fastgate.config.scalars import INSTANT_SCHEMA
from fastgate.control.answer_schemas import COMPONENTS
from fastgate.control.cache_answers import ENTRY_ID
from fastgate.control.objects import MOST_OVERLAP_SECONDS
from fastgate.control.parameters import MOST_AGE_SECONDS, MOST_WHERE
from fastgate.control.problems import MEDIA_TYPE
from fastgate.control.versions import PATTERN as VERSION
from fastgate.ledger.attributes import NAMES
from fastgate.wire.tags import TAG_NAME

_PROBLEM: Final = {
    "type": "object",
    "description": "RFC 9457 problem details; further members say more of some types.",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "description": "a stable word under urn:fastgate:problem:"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
    },
}
_ANSWER: Final = {
    "description": "What went wrong, as problem details",
    "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
}
_TAG: Final = f"tag:{TAG_NAME}"
_BY: Final = f"({'|'.join(NAMES)}|{_TAG})"
_NAME: Final = f"({'|'.join(sorted(set(NAMES) - {'status'}))}|{_TAG})"
_ID: Final = {"type": "string", "pattern": "^[0-9a-f]{32}$"}
_AGE: Final = {"type": ["integer", "null"], "minimum": 0, "maximum": MOST_AGE_SECONDS}
_FORMS: Final[dict[str, dict[str, Any]]] = {
    "since": INSTANT_SCHEMA,
    "until": INSTANT_SCHEMA,
    "by": {"type": "string", "pattern": f"^{_BY}(,{_BY}){{0,7}}$"},
    "where": {
        "type": "array",
        "maxItems": MOST_WHERE,
        "items": {"type": "string", "pattern": f"^({_NAME}=[^\\x00-\\x1f]{{0,200}}|status=[0-9]{{1,3}})$"},
    },
    "status": {"type": "integer", "minimum": 0, "maximum": 999},
    "request_id": _ID,
    "entry_id": {"type": "string", "pattern": f"^{ENTRY_ID.pattern}$"},
    "last-event-id": _ID,
    "if-match": {"type": "string", "pattern": f"^{VERSION}$"},
    # The framework leaves a minimum of nothing out.
    "older_than_seconds": _AGE,
    "younger_than_seconds": _AGE,
    "overlap_seconds": {"type": ["integer", "null"], "minimum": 0, "maximum": MOST_OVERLAP_SECONDS},
}
"""Of parameters by name, stricter than what is taken: whoever keeps to these is understood."""


class Description(JsonRenderPlugin):
    """Renders ``openapi.json``."""

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """The document, made once."""
        self._schema = openapi_schema
        return self._rendered

    @cached_property
    def _rendered(self) -> bytes:
        document = self._schema
        document.setdefault("components", {}).setdefault("schemas", {}).update({**COMPONENTS, "Problem": _PROBLEM})
        for path, methods in document["paths"].items():
            for operation in methods.values():
                if path.startswith("/api/v1/"):
                    operation["responses"].pop("400", None)
                    operation["responses"]["default"] = _ANSWER
                for parameter in operation.get("parameters", ()):
                    parameter["schema"] = _FORMS.get(parameter["name"], parameter["schema"])
        return msgspec.json.encode(document)
