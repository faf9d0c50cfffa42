"""Which models a key may use."""

from collections.abc import Iterable

from fastgate.gateway.call import Call
from fastgate.wire.failure import Failure


def one_of(path: str, prefixes: Iterable[str]) -> str | None:
    """The model that a path like ``/v1/models/{model}`` names."""
    for prefix in prefixes:
        if path.startswith(prefix + "/"):
            return path[len(prefix) + 1 :]
    return None


def models(call: Call, path: str) -> None:
    """Answer ``GET /v1/models`` and ``GET /v1/models/{model}`` for the key that asks. Raises Failure."""
    call.authenticate()
    call.logged = True  # nothing was asked of a model
    wanted = path.partition("/models/")[2]
    names = available(call)
    if wanted and wanted not in names:
        raise Failure.model_not_found(wanted)
    body = call.dialect.model(wanted) if wanted else call.dialect.models(names)
    headers = [("content-type", "application/json"), ("x-fastgate-request-id", call.request_id)]
    call.protocol.response_bytes(200, headers, body)


def available(call: Call) -> list[str]:
    """Public names first, then ``provider/model`` of every model that has a price, as far as the key may use them."""
    grant, head = call.grant, call.state.head
    assert grant is not None
    names = [
        name
        for name, model in head.models.items()
        if any(grant.allows_provider(target.provider) for target in model.targets)
    ]
    for index, provider in enumerate(head.providers):
        if grant.allows_provider(index):
            names.extend(f"{provider.name}/{model}" for model in provider.prices)
    return [name for name in names if grant.allows(name)]
