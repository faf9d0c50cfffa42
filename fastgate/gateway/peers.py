"""Where a request comes from: the peer of its connection or, where that is a trusted proxy, whom the proxy names.

Only ``X-Forwarded-For`` is read, and from its end: that is where a proxy adds the peer that it saw, to whatever its
client claimed. Headers that a proxy does not write itself (``Forwarded``, ``X-Real-IP``) are passed on as a client sent
them, so that believing them would let anyone choose an address.
"""

import re
from typing import Any, Final

from fastgate.wire.networks import Networks, address_number

MOST_HOPS: Final = 16
"""Trusted proxies in a row behind which a client is still looked for."""
_PORT: Final = r"(?::[0-9]{1,5})?"
_ENTRY: Final = re.compile(
    rf"\[([0-9A-Fa-f:.]+)(?:%[^\]]{{1,32}})?\]{_PORT}|([0-9.]+){_PORT}|([0-9A-Fa-f:.]+)",
)


def client_address(scope: Any, proxies: Networks) -> int | None:
    """The client's address as a number of ``fastgate.wire.networks``.

    None: a trusted proxy did not say whom it speaks for, or not in a way that can be relied on.
    """
    peer = parse_address(scope.client)
    if peer is None or peer not in proxies:
        return peer
    return forwarded_address(scope.headers.get_all("x-forwarded-for"), proxies)


def forwarded_address(values: list[str], proxies: Networks) -> int | None:
    """The last address in the values of ``X-Forwarded-For`` that is no trusted proxy's; where all are, the first."""
    number = None
    for entry in reversed(",".join(values).rsplit(",", MOST_HOPS)):  # what is left at the front is no address
        number = parse_address(entry.strip())
        if number is None or number not in proxies:
            break
    return number


def parse_address(text: str) -> int | None:
    """The address in ``192.0.2.1``, ``192.0.2.1:443``, ``2001:db8::1`` or ``[2001:db8::1]:443``; None: it is none."""
    found = _ENTRY.fullmatch(text)
    if found is None:
        return None
    try:
        return address_number(found[found.lastindex or 0])
    except ValueError:
        return None
