"""Proxies on the way to providers: what a configuration says, or else the environment. Messages never quote either."""

import re
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Final, NamedTuple
from urllib.parse import unquote, urlsplit

from fastgate.config.addresses import PORTS, Address, parse_base_url
from fastgate.config.upstreams import DEFAULT_URLS, Provider
from fastgate.wire.networks import Networks, address_number

_HOST: Final = re.compile(r"[a-z0-9_]([a-z0-9._-]{0,252})|[0-9a-f:.]{2,45}")


class ProxyAddress(NamedTuple):
    """Where a proxy is, and what it wants to know. ``host`` has no brackets."""

    scheme: str
    """``http`` or ``https``: how the proxy itself is spoken to."""
    host: str
    port: int
    user: str
    password: str

    @property
    def credentials(self) -> str:
        """``user:password``; empty: it wants none."""
        return f"{self.user}:{self.password}" if self.user or self.password else ""

    @property
    def url(self) -> str:
        """Without user and password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    def __repr__(self) -> str:
        return f"ProxyAddress({self.url})"


def parse_proxy(text: str) -> ProxyAddress:
    """``http://user:password@host:port`` in its parts; raises ``ValueError`` with what is wrong with it."""
    if not all("!" <= character <= "~" for character in text):
        raise ValueError("may hold visible ASCII characters only: write others as %XX")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError("has no valid host and port") from None
    if parts.scheme not in PORTS:
        raise ValueError("has to begin with http:// or https://")
    host = parts.hostname or ""
    if not _HOST.fullmatch(host) or port == 0:
        raise ValueError("has no valid host and port")
    if parts.path not in {"", "/"} or "?" in text or "#" in text:
        raise ValueError("has to end with its host and port")
    user = unquote(parts.username or "")
    if ":" in user:
        raise ValueError("must not have a colon in the user")
    return ProxyAddress(parts.scheme, host, port or PORTS[parts.scheme], user, unquote(parts.password or ""))


def proxy_of(provider: Provider, environment: Mapping[str, str]) -> ProxyAddress | None:
    """By which proxy a provider is reached, None: directly. Raises ``ValueError`` as :func:`parse_proxy` does."""
    if provider.proxy is not None:
        text = provider.proxy.reveal()
    else:
        text = environment_proxy(parse_base_url(provider.base_url or DEFAULT_URLS[provider.type]), environment)
    return parse_proxy(text) if text else None


def environment_proxy(address: Address, environment: Mapping[str, str]) -> str:
    """What the usual variables say of an address; empty: nothing. This host itself is never behind a proxy."""
    if _is_loopback(address.host):
        return ""
    named = _variable(environment, f"{address.scheme}_proxy") or _variable(environment, "all_proxy")
    direct = _variable(environment, "no_proxy").lower().split(",")
    if not named or any(_covers(entry.strip(), address) for entry in direct if entry.strip()):
        return ""
    return named if "://" in named else f"http://{named}"


def _covers(entry: str, address: Address) -> bool:
    """Whether an entry of ``NO_PROXY`` means an address: ``*``, a domain with what is below it, an IP address or
    network, each but the last with a port or without."""
    name, colon, port = entry.partition(":")
    if ":" in port:  # IPv6
        name, colon = entry.strip("[]"), ""
    if colon and port != str(address.port):
        return False
    try:
        return address_number(address.host) in Networks([name])
    except ValueError:
        domain = name.removeprefix("*").removeprefix(".")
        return name == "*" or address.host == domain or address.host.endswith(f".{domain}")


def _variable(environment: Mapping[str, str], name: str) -> str:
    return (environment.get(name) or environment.get(name.upper()) or "").strip()


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
