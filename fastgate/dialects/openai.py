"""What all of OpenAI's APIs have in common: how they tell of failures and of models."""

from collections.abc import Sequence
from typing import Final

import msgspec

from fastgate.dialects.base import Dialect, Shape
from fastgate.wire.failure import Failure, FailureCode

_SERVER: Final = "server_error"
_INVALID: Final = "invalid_request_error"
_SHAPES: Final = {
    FailureCode.INVALID_API_KEY: Shape(401, "authentication_error", "invalid_api_key"),
    FailureCode.BUDGET_EXCEEDED: Shape(402, "insufficient_quota", "insufficient_quota"),
    FailureCode.MODEL_NOT_ALLOWED: Shape(403, "permission_error", "model_not_allowed"),
    FailureCode.PROVIDER_NOT_ALLOWED: Shape(403, "permission_error", "provider_not_allowed"),
    FailureCode.IP_NOT_ALLOWED: Shape(403, "permission_error", "ip_not_allowed"),
    FailureCode.MODEL_NOT_FOUND: Shape(404, _INVALID, "model_not_found"),
    FailureCode.NOT_FOUND: Shape(404, _INVALID, "not_found"),
    FailureCode.METHOD_NOT_ALLOWED: Shape(405, _INVALID, "method_not_allowed"),
    FailureCode.UPGRADE_REFUSED: Shape(426, _INVALID, "upgrade_refused"),
    FailureCode.INVALID_REQUEST: Shape(400, _INVALID, "invalid_request"),
    FailureCode.MODEL_UNPRICED: Shape(400, _INVALID, "model_unpriced"),
    FailureCode.DIALECT_NOT_SUPPORTED: Shape(400, _INVALID, "dialect_not_supported"),
    FailureCode.REQUEST_TOO_LARGE: Shape(413, _INVALID, "request_too_large"),
    FailureCode.REQUEST_TIMEOUT: Shape(408, _INVALID, "request_timeout"),
    FailureCode.RATE_LIMITED: Shape(429, "rate_limit_error", "rate_limit_exceeded"),
    FailureCode.UPSTREAM_ERROR: Shape(502, _SERVER, "upstream_error"),
    FailureCode.NO_HEALTHY_TARGET: Shape(503, _SERVER, "no_healthy_target"),
    FailureCode.UPSTREAM_TIMEOUT: Shape(504, _SERVER, "upstream_timeout"),
    FailureCode.OVERLOADED: Shape(503, _SERVER, "server_is_overloaded"),
    FailureCode.DRAINING: Shape(503, _SERVER, "draining"),
    FailureCode.NOT_CACHED: Shape(504, _SERVER, "not_cached"),
    FailureCode.INTERNAL_ERROR: Shape(500, _SERVER, "internal_error"),
}


class OpenAI(Dialect):
    """Errors and lists of models as OpenAI's SDKs expect them."""

    shapes = _SHAPES
    request_id_header = "x-request-id"

    def error_body(self, shape: Shape, sentence: str, failure: Failure, request_id: str) -> bytes:
        """``{"error": {...}}``; SDKs show ``message`` and expose ``type``, ``param`` and ``code``."""
        error = {"message": sentence, "type": shape.type, "param": failure.param, "code": shape.code}
        return msgspec.json.encode({"error": error})

    def stream_error(self, failure: Failure, request_id: str) -> bytes:
        """An error chunk; no ``[DONE]`` follows."""
        shape = self.shapes[failure.code]
        return b"data: " + self.error_body(shape, failure.sentence(request_id), failure, request_id) + b"\n\n"

    def models(self, names: Sequence[str]) -> bytes:
        """OpenAI's list of models."""
        return msgspec.json.encode({"object": "list", "data": [_listed(name) for name in names]})

    def model(self, name: str) -> bytes:
        """One entry of the list."""
        return msgspec.json.encode(_listed(name))


def _listed(name: str) -> dict[str, str | int]:
    """A model as OpenAI describes one; when it came to be is not known, hence 0."""
    return {"id": name, "object": "model", "created": 0, "owned_by": "fastgate"}
