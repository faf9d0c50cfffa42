"""Connections to the providers: a pool each, kept over reloads where nothing about the address changed."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field

from fastgate._core.runner import Runner
from fastgate._core.tunnel import Proxy
from fastgate._core.upstream import Pool
from fastgate.providers import KINDS, ProviderKind
from fastgate.wire.sealing import Sealer
from fastgate.wire.snapshot import ProviderKeyRecord, ProviderRecord, credential_owner, proxy_owner


@dataclass(frozen=True, slots=True)
class Upstream:
    """A provider as a worker uses it."""

    record: ProviderRecord
    kind: ProviderKind
    pool: Pool
    secrets: Mapping[str, bytes] = field(repr=False)
    """Credentials by the names of their keys."""

    def path(self, dialect: str, operation: str) -> str | None:
        """The path of an operation of a dialect at this provider; None where it does not speak the dialect."""
        base = self.record.bases.get(dialect)
        return None if base is None else base + operation

    def head(self, dialect: str, key: ProviderKeyRecord | None) -> bytes:
        """The headers that are the same for every request with this key, each ended by CR LF."""
        record = self.record
        host = f"[{record.host}]" if ":" in record.host else record.host
        default_port = 443 if record.scheme == "https" else 80
        lines = [
            f"host: {host}" if record.port == default_port else f"host: {host}:{record.port}",
            "accept-encoding: identity",
        ]
        if key is not None:
            header, prefix = self.kind.credentials[dialect]
            lines.append(f"{header}: {prefix}{self.secrets[key.name].decode('latin-1')}")
        return "".join(f"{line}\r\n" for line in lines).encode("latin-1")


class Upstreams:
    """All providers of a snapshot. ``renew`` takes over the pools of the snapshot before."""

    def __init__(self, runner: Runner, sealer: Sealer) -> None:
        self._runner = runner
        self._sealer = sealer
        self._pools: dict[tuple[object, ...], Pool] = {}

    def renew(self, records: tuple[ProviderRecord, ...]) -> list[Upstream]:
        """The upstreams of a new snapshot; pools that it does not use any more end when their exchanges have.

        Raises SealError where their credentials cannot be opened; then nothing has changed.
        """
        secrets = [(self._open_secrets(record), self._open_proxy(record)) for record in records]
        kept: dict[tuple[object, ...], Pool] = {}
        upstreams = []
        for record, (opened, proxy) in zip(records, secrets, strict=True):
            identity = (record.scheme, record.host, record.port, record.timeouts, record.ca_file, proxy)
            pool = kept.get(identity) or self._pools.pop(identity, None) or self._open(record, proxy)
            kept[identity] = pool
            upstreams.append(Upstream(record, KINDS[record.type], pool, opened))
        for pool in self._pools.values():
            pool.retire()
        self._pools = kept
        return upstreams

    async def close(self) -> None:
        """Close every connection."""
        for pool in self._pools.values():
            await pool.close()

    def _open_secrets(self, record: ProviderRecord) -> dict[str, bytes]:
        return {
            key.name: self._sealer.open(key.value, credential_owner(record.name, key.name)).encode("latin-1")
            for key in record.keys
        }

    def _open_proxy(self, record: ProviderRecord) -> Proxy | None:
        proxy = record.proxy
        if proxy is None:
            return None
        credentials = self._sealer.open(proxy.credentials, proxy_owner(record.name))
        return Proxy(proxy.host, proxy.port, credentials, proxy.tls, _context(record) if proxy.tls else None)

    def _open(self, record: ProviderRecord, proxy: Proxy | None) -> Pool:
        context = _context(record) if record.scheme == "https" else None
        timeouts = record.timeouts
        return Pool(
            self._runner.loop,
            record.host,
            record.port,
            ssl=context,
            server_hostname=record.host if context else None,
            proxy=proxy,
            connect_timeout=timeouts.connect / 1000,
            first_byte_timeout=timeouts.first_byte / 1000,
            idle_timeout=timeouts.idle / 1000,
            total_timeout=timeouts.total / 1000,
            runner=self._runner,
        )


def _context(record: ProviderRecord) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=record.ca_file or None)
