"""The whole configuration."""

from typing import Annotated

from msgspec import Meta, field

from fastgate.config.marks import PLANNED
from fastgate.config.owners import Customer, Key, Rule, Team
from fastgate.config.scalars import Line, ModelName, Name
from fastgate.config.settings import (
    Admin,
    Alerts,
    Cache,
    Disconnect,
    Logging,
    Postgres,
    Redis,
    Section,
    Server,
    Telemetry,
)
from fastgate.config.upstreams import Provider, PublicModel


class Config(Section, frozen=True, kw_only=True):
    """What one YAML file says. Immutable: a reload makes another one."""

    server: Server = Server()
    state_dir: Line = "./fastgate-state"
    arena_dir: Line | None = None
    disconnect: Disconnect = Disconnect()
    output_cap: Annotated[int, Meta(ge=1, le=1_000_000)] = 16_384
    admin: Admin = field(default_factory=Admin)
    redis: Redis | None = None
    postgres: Postgres | None = None
    providers: dict[Name, Provider] = field(default_factory=dict)
    models: dict[ModelName, PublicModel] = field(default_factory=dict)
    customers: tuple[Customer, ...] = ()
    teams: tuple[Team, ...] = ()
    keys: tuple[Key, ...] = ()
    rules: Annotated[tuple[Rule, ...], PLANNED] = ()
    cache: Cache = Cache()
    alerts: Annotated[Alerts, PLANNED] = Alerts()
    logging: Logging = Logging()
    telemetry: Telemetry = Telemetry()
