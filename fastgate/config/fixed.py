"""Settings that a reload does not bring into force: the host's wait for a full start, the processes' for a renewal."""

from collections.abc import Callable, Container, Mapping
from typing import Any, Final

import msgspec

from fastgate.config.root import Config
from fastgate.config.semantic import shown_judge, shown_settings

_HOST: Final[Mapping[str, Callable[[Config], object]]] = {
    "server.host": lambda config: config.server.host,
    "server.port": lambda config: config.server.port,
    "server.admin_port": lambda config: config.server.admin_port,
    "server.workers": lambda config: config.server.workers,
    "server.tls": lambda config: config.server.tls,
    "state_dir": lambda config: config.state_dir,
    "arena_dir": lambda config: config.arena_dir,
    "admin.host": lambda config: config.admin.host,
    "logging.format": lambda config: config.logging.format,
    "cache.semantic.embedder": shown_settings,
    "cache.semantic.judge": shown_judge,
    "cache.semantic.max_error": lambda config: config.cache.semantic.max_error,
    "cache.semantic.shadow": lambda config: config.cache.semantic.shadow,
    "cache.semantic.max_entries": lambda config: config.cache.semantic.max_entries,
}
_PROCESSES: Final[Mapping[str, Callable[[Config], object]]] = {
    "server.cors_origins": lambda config: config.server.cors_origins,
    "admin.token": lambda config: config.admin.token,
    "postgres": lambda config: config.postgres,
}


def host_settings(config: Config, beside: Container[str] = ()) -> dict[str, Any]:
    """What the supervisor takes from a configuration, as plain values without a secret, but for those in ``beside``."""
    return {name: msgspec.to_builtins(get(config)) for name, get in _HOST.items() if name not in beside}


def process_settings(config: Config) -> dict[str, Any]:
    """What control process and workers take from it when they start."""
    return {name: get(config) for name, get in _PROCESSES.items()}
