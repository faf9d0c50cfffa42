"""IP addresses and networks as numbers, so that finding one in the other parses nothing.

IPv4 counts as the part of IPv6 that it is mapped to (``::ffff:0:0/96``): both spellings of an address are one number.
"""

from collections.abc import Iterable
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final

_MAPPED: Final = 0xFFFF << 32


def address_number(text: str) -> int:
    """The 128 bits of an address without a port. Raises ``ValueError``."""
    return _number(ip_address(text).packed)


def address_text(number: int) -> str:
    """The inverse of :func:`address_number`; IPv4 as people write it."""
    address = IPv6Address(number)
    return str(address.ipv4_mapped or address)


def network_bounds(text: str) -> tuple[int, int]:
    """First and last address of ``10.0.0.0/8``, or twice that of ``10.1.2.3``. Raises ``ValueError``."""
    if "%" in text:
        raise ValueError(f"{text!r} has a zone, which is this host's own affair")
    network = ip_network(text)
    return _number(network.network_address.packed), _number(network.broadcast_address.packed)


def _number(packed: bytes) -> int:
    number = int.from_bytes(packed, "big")
    return number | _MAPPED if len(packed) == 4 else number


class Networks:
    """Networks as they were written, parsed once. Raises ``ValueError`` for what is none."""

    __slots__ = ("_bounds",)

    def __init__(self, networks: Iterable[str]) -> None:
        self._bounds = tuple(map(network_bounds, networks))

    def __contains__(self, number: int) -> bool:
        return any(first <= number <= last for first, last in self._bounds)
