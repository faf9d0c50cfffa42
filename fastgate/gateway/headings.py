"""What a request's question says beside its body."""

from typing import Final

from fastgate.cache.fingerprint import Way, heading
from fastgate.gateway.call import Call
from fastgate.gateway.inbound import query_to_forward
from fastgate.gateway.legs import Leg
from fastgate.wire.request import ChatRequest

_MOST_HEADINGS: Final = 64
_LONGEST_HEADING: Final = 4096
"""Bytes of one that is kept: a client may say what it likes."""


def unasked_of(call: Call, leg: Leg) -> tuple[str, ...]:
    """Members of the body that cannot change what this provider answers."""
    return call.dialect.formal if leg.upstream.kind.compatible else call.dialect.unasked


def heading_of(call: Call, leg: Leg, tenant: bytes, request: ChatRequest, size: int) -> bytes:
    """Of a request whose body has ``size`` bytes, of ``tenant``. Clients repeat themselves, so it is kept."""
    names = leg.upstream.kind.asking[call.dialect.name]
    cap = leg.terms.bound(request, size).cap
    headers = tuple(map(call.headers.get, names))
    said = (tenant, call.path, call.query, cap, headers)
    found = leg.asked.get(said)
    if found is None:
        to = leg.upstream.record
        address = f"{to.scheme}://{to.host}:{to.port}{to.bases[call.dialect.name]}"
        way = Way(tenant, call.dialect.name, to.name, address, leg.model)
        found = heading(way, (call.path, query_to_forward(call.query), *headers), cap)
        if len(found) <= _LONGEST_HEADING:
            if len(leg.asked) >= _MOST_HEADINGS:
                leg.asked.clear()
            leg.asked[said] = found
    return found
