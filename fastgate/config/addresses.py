"""Base URLs, taken apart strictly."""

import re
from typing import Final, NamedTuple
from urllib.parse import urlsplit

PORTS: Final = {"http": 80, "https": 443}
_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9._-]{0,252})|[0-9a-fA-F:.]{2,45}")
_PATH = re.compile(r"(/[A-Za-z0-9._~!$&'()*+,;=:@%-]+)*")


class Address(NamedTuple):
    """Where a provider is. ``host`` has no brackets; ``path`` is empty or begins with a slash, and ends with none."""

    scheme: str
    host: str
    port: int
    path: str


def parse_base_url(text: str) -> Address:
    """The parts of a base URL; raises ``ValueError`` with what is wrong with it."""
    if not all("!" <= character <= "~" for character in text):  # urlsplit would leave some of them out
        raise ValueError("may hold visible ASCII characters only")
    parts = urlsplit(text)
    if parts.scheme not in PORTS:
        raise ValueError("has to begin with http:// or https://")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not hold a user or password: use keys")
    if "?" in text or "#" in text:
        raise ValueError("must not have a query or fragment")
    host = parts.hostname or ""
    if not _HOST.fullmatch(host):
        raise ValueError("has no valid host")
    port = parts.port if parts.port is not None else PORTS[parts.scheme]  # raises ValueError when out of range
    path = parts.path.rstrip("/")
    if not _PATH.fullmatch(path) or "/.." in path or "/./" in path:
        raise ValueError("has no valid path")
    return Address(parts.scheme, host.lower(), port, path)
