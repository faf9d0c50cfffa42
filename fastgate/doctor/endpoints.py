"""What the semantic process asks over HTTP: its judge, and an endpoint as its embedder. No key is used."""

import dataclasses
from collections.abc import Iterator
from urllib.parse import urlsplit

from fastgate.config.scalars import Secret
from fastgate.config.upstreams import Provider
from fastgate.doctor.findings import Finding, Level, ok
from fastgate.doctor.installation import Installation
from fastgate.doctor.network import reach

_HERE = ("127.0.0.1", "localhost", "::1")


def semantic(installation: Installation) -> Iterator[Finding]:
    """Of a configuration that names one."""
    found = installation.config.cache.semantic
    named = {"embedder": found.embedder.base_url if found.embedder is not None else None}
    if found.judge is not None:
        named["judge"] = found.judge.base_url
    for name, base_url in named.items():
        if base_url is not None:
            yield _reached(name, base_url, installation)


def _reached(name: str, base_url: str, installation: Installation) -> Finding:
    address = urlsplit(base_url)
    if installation.running is None and address.hostname in _HERE and address.port == installation.config.server.port:
        return ok("semantic", f"{name}: {base_url} is this gateway, which does not run")
    # The process goes straight to it, whatever proxies the environment names.
    finding = reach(name, Provider(type="openai-compatible", base_url=base_url, proxy=Secret()))
    remedy = f"check cache.semantic.{name}.base_url" if finding.level != Level.OK else ""
    return dataclasses.replace(finding, check="semantic", remedy=remedy)
