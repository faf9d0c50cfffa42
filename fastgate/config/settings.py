"""Settings of the host and of what is not about one provider, model, customer, team or key."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, field

from fastgate.config.marks import PLANNED
from fastgate.config.scalars import Line, Name, Network, Origin, Secret, Sha256
from fastgate.logs import Form

Port = Annotated[int, Meta(ge=1, le=65_535)]
Seconds = Annotated[float, Meta(ge=0.001, le=86_400)]
Scope = Literal["key", "team", "customer", "global"]
Lifetime = Annotated[int, Meta(ge=1, le=2_592_000)]
Temperature = Annotated[float, Meta(ge=0, le=2)]
Pause = Annotated[int, Meta(ge=0, le=1_000)]


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A mapping of the configuration; names that it does not declare are errors."""


class Tls(Section, frozen=True, kw_only=True):
    """Paths of a PEM certificate chain and its key."""

    cert: Line
    key: Line


class Server(Section, frozen=True, kw_only=True):
    """The data plane's address, size and bounds."""

    host: Line = "127.0.0.1"
    port: Port = 8080
    admin_port: Port = 8081
    workers: Annotated[int, Meta(ge=0, le=256)] = 0
    drain_seconds: Annotated[float, Meta(ge=0, le=3_600)] = 30.0
    drain_delay_seconds: Annotated[float, Meta(ge=0, le=3_600)] = 0.0
    max_body_mb: Annotated[int, Meta(ge=1, le=1_024)] = 64
    trusted_proxies: tuple[Network, ...] = ()
    tls: Tls | None = None
    cors_origins: tuple[Origin, ...] = ()


class Disconnect(Section, frozen=True, kw_only=True):
    """How long an upstream is read after its client left."""

    read_seconds: Annotated[float, Meta(ge=0, le=3_600)] = 30.0


class Admin(Section, frozen=True, kw_only=True):
    """The control plane's address and who may use it."""

    host: Line = "127.0.0.1"
    token: Secret = field(default_factory=Secret)
    metrics_token: Secret | None = None


class Redis(Section, frozen=True, kw_only=True):
    """The store that several hosts share."""

    url: Secret
    cluster_id: Name = "prod"
    ca_file: Line | None = None
    leases: bool = True
    lease_wait_ms: Annotated[int, Meta(ge=0, le=1_000)] = 500


class Postgres(Section, frozen=True, kw_only=True):
    """The database that several hosts share: what operators create, and what became of requests."""

    url: Secret
    ca_file: Line | None = None
    configuration: bool = True
    ledger: bool = True
    ledger_days: Annotated[int, Meta(ge=1, le=36_500)] | None = None


class ExactCache(Section, frozen=True, kw_only=True):
    """Answers kept by the bytes of their request: for everybody, and what holds where one opts in."""

    enabled: bool = False
    ttl_seconds: Lifetime = 3_600
    scope: Scope = "key"
    max_mb: Annotated[int, Meta(ge=1, le=65_535)] = 256
    max_temperature: Temperature | None = None
    tools: bool = True
    client_control: bool = True
    replay_ms: Pause = 0
    single_flight: bool = False
    shared: Literal["none", "redis"] = "none"
    shared_deadline_ms: Annotated[int, Meta(ge=1, le=1_000)] = 10


class CacheWish(Section, frozen=True, kw_only=True):
    """What one key, team or public model wants of the caches; what it leaves out is as it is for more."""

    exact: bool | None = None
    semantic: bool | None = None
    ttl_seconds: Lifetime | None = None
    scope: Scope | None = None
    max_temperature: Temperature | None = None
    tools: bool | None = None
    client_control: bool | None = None
    replay_ms: Pause | None = None
    single_flight: bool | None = None


class Embedder(Section, frozen=True, kw_only=True):
    """What turns a text into a vector. A folder is relative to that of the configuration file."""

    type: Literal["onnx", "sentence-transformers", "openai-compatible"]
    model: Line
    sha256: Sha256 | None = None
    download: bool = False
    base_url: Line | None = None
    key: Secret | None = None


class Judge(Section, frozen=True, kw_only=True):
    """The model that is asked whether two answers say the same, where nothing cheaper tells."""

    base_url: Line
    model: Line
    key: Secret | None = None
    deadline_ms: Annotated[int, Meta(ge=1, le=60_000)] = 10_000


class SemanticCache(Section, frozen=True, kw_only=True):
    """Answers kept by the meaning of their request; ``max_error`` is a share of all requests.

    Its process runs where an embedder is named.
    """

    enabled: bool = False
    scope: Scope = "key"
    max_error: Annotated[float, Meta(ge=0.0001, le=0.5)] = 0.02
    shadow: bool = False
    embedder: Embedder | None = None
    judge: Judge | None = None
    deadline_ms: Annotated[int, Meta(ge=1, le=10_000)] = 20
    max_entries: Annotated[int, Meta(ge=1, le=10_000_000)] = 100_000
    show_texts: bool = False


class Cache(Section, frozen=True, kw_only=True):
    """Both caches."""

    exact: ExactCache = ExactCache()
    semantic: SemanticCache = SemanticCache()


class Channel(Section, frozen=True, kw_only=True):
    """Where alerts go."""

    type: Literal["slack", "teams", "pagerduty", "email", "webhook", "apprise"]
    url: Secret


class AlertRule(Section, frozen=True, kw_only=True):
    """Which alerts go where."""

    on: Line
    channels: tuple[Name, ...]


class Alerts(Section, frozen=True, kw_only=True):
    """Channels and what they carry."""

    channels: dict[Name, Channel] = field(default_factory=dict)
    rules: tuple[AlertRule, ...] = ()


class Logging(Section, frozen=True, kw_only=True):
    """Logs for people and machines."""

    format: Form = "text"
    payloads: Annotated[bool, PLANNED] = False
    payload_max_kb: Annotated[int, Meta(ge=1), PLANNED] = 64
    retention_days: Annotated[int, Meta(ge=1), PLANNED] = 90


class Telemetry(Section, frozen=True, kw_only=True):
    """Metrics and traces for other systems."""

    prometheus: Annotated[bool, PLANNED] = True
    otlp_endpoint: Annotated[Line | None, PLANNED] = None
