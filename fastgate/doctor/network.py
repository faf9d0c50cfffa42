"""The network: addresses to listen on, and providers to reach. No key is used, and nothing is asked."""

import json
import os
import queue
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from fastgate.backup.contents import STATE
from fastgate.config.proxies import proxy_of
from fastgate.config.upstreams import DEFAULT_URLS, Provider
from fastgate.doctor.findings import Finding, failed, ok, unreachable, warning
from fastgate.doctor.installation import Installation, Running
from fastgate.state import objects
from fastgate.state.copies import opened
from fastgate.state.errors import StateError
from fastgate.supervisor.errors import PortInUse
from fastgate.supervisor.sockets import check_free

PROBE_SECONDS: Final = 3.0
"""For a connection; and again for TLS."""
WAIT_SECONDS: Final = 8.0
"""For all providers together: a name server may take its time."""


def ports(installation: Installation) -> Iterator[Finding]:
    """Free, or held by the very gateway of this state folder."""
    running = installation.running
    if running is not None:
        admin = urlsplit(running.admin_url)
        for name, address in (("API", running.listen), ("admin API", f"{admin.hostname}:{admin.port}")):
            yield _held(name, address, running)
        return
    server, admin_host = installation.config.server, installation.config.admin.host
    for name, host, port in (("API", server.host, server.port), ("admin API", admin_host, server.admin_port)):
        try:
            check_free(host, port)
        except PortInUse as error:
            yield failed("ports", f"{name}: {error}", "end that program, or choose another port")
        else:
            yield ok("ports", f"{name}: {host}:{port} is free")


def _held(name: str, address: str, running: Running) -> Finding:
    host, _, port = address.rpartition(":")
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host.strip("[]"), host.strip("[]"))
    try:
        with socket.create_connection((host, int(port)), PROBE_SECONDS):
            return ok("ports", f"{name}: {address} is served by this fastgate (process {running.pid})")
    except (OSError, ValueError) as error:
        return unreachable("ports", f"{name}: {address} does not accept connections: {error}", "its log says more")


def providers(installation: Installation) -> Iterator[Finding]:
    """Name, connection and certificate of each, of the file and of the API, all at the same time."""
    known = {**installation.config.providers, **_created(installation)}
    answers: queue.SimpleQueue[tuple[str, Finding]] = queue.SimpleQueue()

    def probe(name: str, provider: Provider) -> None:
        answers.put((name, reach(name, provider)))

    for name, provider in known.items():
        threading.Thread(target=probe, args=(name, provider), daemon=True).start()
    found: dict[str, Finding] = {}
    deadline = time.monotonic() + WAIT_SECONDS
    while len(found) < len(known):
        try:
            name, finding = answers.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            break
        found[name] = finding
    for name, provider in known.items():
        late = unreachable("providers", f"{name}: no answer within {WAIT_SECONDS:g} s", "check DNS and firewalls")
        yield _excused(found.get(name, late), provider, installation)


def _created(installation: Installation) -> dict[str, Provider]:
    """Providers of the API, as far as an address goes; where the store cannot be read, its own check says why."""
    path = installation.state_dir / STATE
    if not path.exists():
        return {}
    try:
        with opened(path) as db:
            documents = {stored.id: json.loads(stored.document) for stored in objects.every(db, "providers")}
    except StateError:
        return {}
    wanted = ("type", "base_url", "ca_file")
    return {id_: Provider(**{name: each[name] for name in wanted if name in each}) for id_, each in documents.items()}


def reach(name: str, provider: Provider) -> Finding:
    """Resolves, connects, and looks at the certificate, of its proxy where it has one; :data:`PROBE_SECONDS` each."""
    proxy = proxy_of(provider, os.environ)
    parts = urlsplit(proxy.url if proxy else provider.base_url or DEFAULT_URLS[provider.type])
    secure = parts.scheme == "https"
    host, port = parts.hostname or "", parts.port or (443 if secure else 80)
    where = f"{name}: {'its proxy ' if proxy else ''}{host}:{port}"
    try:
        with socket.create_connection((host, port), PROBE_SECONDS) as connection:
            if secure:
                context = ssl.create_default_context(cafile=provider.ca_file)
                with context.wrap_socket(connection, server_hostname=host) as tls:
                    return ok("providers", f"{where} can be reached, {tls.version()}")
            return ok("providers", f"{where} can be reached, without TLS")
    except socket.gaierror as error:
        return unreachable("providers", f"{where} is no known name: {error.strerror}", "check base_url and DNS")
    except ssl.SSLCertVerificationError as error:
        return failed("providers", f"{where} is not trusted: {error.verify_message}", "set ca_file to who signed it")
    except ssl.SSLError as error:
        return failed("providers", f"{where} does not speak TLS: {error.reason}", "check base_url")
    except OSError as error:
        return unreachable("providers", f"{where}: {error.strerror or error}", "check base_url and firewalls")


def _excused(finding: Finding, provider: Provider, installation: Installation) -> Finding:
    """The simulator may be one that `serve` starts itself."""
    if provider.type != "sim" or installation.running is not None or finding.level != "unreachable":
        return finding
    return warning(finding.check, finding.message, "the simulator runs with `serve --with-simulator`")
