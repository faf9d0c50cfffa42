"""Operations as the API's own description shows them, where a handler's types do not say it all."""

from dataclasses import dataclass
from typing import Any, Final

from litestar.openapi.spec import OpenAPIMediaType, OpenAPIResponse, Operation, Parameter, RequestBody, Schema

from fastgate.wire.tags import TAG_NAME

Document = dict[str, Any]
JSON: Final = "application/json"
_TAGS: Final = {
    "type": "object",
    "patternProperties": {f"^tag:{TAG_NAME}$": {"type": ["string", "number", "boolean", "null"]}},
    "additionalProperties": False,
}


class Plain(Schema):
    """A schema that is JSON already."""

    def __init__(self, document: Document) -> None:
        super().__init__()
        self._document = document

    def to_schema(self) -> Document:
        """As it was given."""
        return self._document


def described(
    answer: str | None, *, media: str = JSON, body: Document | None = None, tagged: bool = False
) -> type[Operation]:
    """An operation whose answer is the component ``answer``.

    ``body``: the schema of what it takes as ``media``; ``tagged``: it takes parameters ``tag:<name>``.
    """

    @dataclass
    class Described(Operation):
        def __post_init__(self) -> None:
            if body is not None:
                self.request_body = RequestBody({media: OpenAPIMediaType(schema=Plain(body))}, required=True)
            if answer is not None:
                _answer_with(self, answer)
            if tagged:
                self.parameters = [*(self.parameters or ()), _tags()]

    return Described


def _answer_with(operation: Operation, answer: str) -> None:
    content = {JSON: OpenAPIMediaType(schema=Plain({"$ref": f"#/components/schemas/{answer}"}))}
    for status, response in (operation.responses or {}).items():
        if status.startswith("2") and isinstance(response, OpenAPIResponse):
            response.content = dict(content)


def _tags() -> Parameter:
    return Parameter(
        name="tags",
        param_in="query",
        schema=Plain(_TAGS),
        description="`tag:<name>=<value>`, each a parameter of its own",
        style="form",
        explode=True,
    )
