"""What the semantic process needs: a model that it can load, else an endpoint as its embedder; its judge; whether it
runs. No key is used, and no model loaded."""

import dataclasses
from collections.abc import Iterator
from urllib.parse import urlsplit

from fastgate.cache.embedder_files import unfit
from fastgate.config.scalars import Secret
from fastgate.config.semantic import local_embedder
from fastgate.config.upstreams import Provider
from fastgate.doctor.findings import Finding, Level, failed, ok
from fastgate.doctor.installation import Installation, NoAnswer
from fastgate.doctor.network import reach

_HERE = ("127.0.0.1", "localhost", "::1")


def semantic(installation: Installation) -> Iterator[Finding]:
    """Of a configuration that names one."""
    yield from _embedder(installation)
    found = installation.config.cache.semantic
    named = {"embedder": found.embedder.base_url if found.embedder is not None else None}
    if found.judge is not None:
        named["judge"] = found.judge.base_url
    for name, base_url in named.items():
        if base_url is not None:
            yield _reached(name, base_url, installation)


def _embedder(installation: Installation) -> Iterator[Finding]:
    local = local_embedder(installation.config, installation.config_dir)
    why = "" if local is None else unfit(local)
    down = _down(installation)
    if why:
        yield failed("semantic", f"embedder: {why}", "all but the semantic cache serves; then restart or renew")
    elif down:
        yield failed("semantic", f"its process does not run: {down}", "all else serves; it is tried again by itself")
    elif local is not None:
        yield ok("semantic", f"embedder: {local['model']} has all that loading it takes")


def _down(installation: Installation) -> str:
    """Why the process of a gateway that runs does not; empty where it does, or there is none."""
    try:
        processes = installation.status()["processes"] if installation.running is not None else []
    except NoAnswer:
        return ""  # which is said of the ledger
    states = [each for each in processes if each["name"] == "semantic" and each["state"] != "ready"]
    return str(states[0]["error"] or states[0]["last_end"] or states[0]["state"]) if states else ""


def _reached(name: str, base_url: str, installation: Installation) -> Finding:
    address = urlsplit(base_url)
    if installation.running is None and address.hostname in _HERE and address.port == installation.config.server.port:
        return ok("semantic", f"{name}: {base_url} is this gateway, which does not run")
    # The process goes straight to it, whatever proxies the environment names.
    finding = reach(name, Provider(type="openai-compatible", base_url=base_url, proxy=Secret()))
    remedy = f"check cache.semantic.{name}.base_url" if finding.level != Level.OK else ""
    return dataclasses.replace(finding, check="semantic", remedy=remedy)
