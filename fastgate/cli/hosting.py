"""From a configuration file and the command line's options to a running host: what `serve` and `demo` share."""

import logging
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from fastgate import logs
from fastgate.cli.banner import FIRST_MODELS, Access, ProviderLine, Screen
from fastgate.cli.exits import BadConfiguration, failure
from fastgate.logs import Form
from fastgate.supervisor.errors import SupervisorError
from fastgate.supervisor.folders import StateLock, keep_secret, make_private
from fastgate.supervisor.options import Program, ServeOptions
from fastgate.supervisor.serve import serve
from fastgate.wire.snapshot import matches

if TYPE_CHECKING:
    from fastgate.config import Config
    from fastgate.config.upstreams import Provider


log = logging.getLogger("fastgate.supervisor")

_SETTINGS: Final = {
    "host": "server.host",
    "port": "server.port",
    "admin_host": "admin.host",
    "admin_port": "server.admin_port",
    "workers": "server.workers",
    "log_format": "logging.format",
    "state_dir": "state_dir",
}
"""The settings of options."""


@dataclass(frozen=True)
class Asked:
    """The options of the command line; None where the configuration decides."""

    host: str | None
    port: int | None
    admin_host: str | None
    admin_port: int | None
    workers: int | None
    log_format: Form | None
    state_dir: Path | None

    def settings(self) -> set[str]:
        """The configuration's names of what is given here, which what it says of them does not change."""
        return {_SETTINGS[each.name] for each in fields(self) if getattr(self, each.name) is not None}


@dataclass(frozen=True)
class Plan:
    """A configuration to serve, and what goes with it."""

    config: Path
    source: str
    programs: tuple[Program, ...] = ()
    found: dict[str, str] | None = None
    """Where each provider was found, by name; absent: in the configuration."""
    unsupported: tuple[ProviderLine, ...] = ()


def asked(**given: Any) -> Asked:
    """The command line's options; what goes wrong from here on is told in the form that they ask for."""
    wanted = Asked(**given)
    _log_as(wanted.log_format)
    return wanted


def _log_as(form: Form | None) -> None:
    logs.set_up("supervisor", text="%(asctime)s %(name)s: %(message)s", form=form)


def load(path: Path) -> "Config":
    """The configuration in a file.

    Raises:
        BadConfiguration: with all its problems.

    """
    from fastgate.config import ConfigErrors, load

    try:
        return load(path, os.environ)
    except ConfigErrors as errors:
        raise BadConfiguration(str(errors)) from None


def simulator(port: int) -> Program:
    """The simulated provider as a child."""
    return Program(
        "simulator", "fastgate.simulator", ("--host", "127.0.0.1", "--port", str(port)), port, essential=True
    )


def host(asked: Asked, state_dir: Path, prepare: Callable[[Path], Plan]) -> None:
    """Serves until a signal; ``prepare`` is called with the locked state folder.

    Raises:
        Failed: with the exit code of what went wrong.

    """
    state_dir = state_dir.resolve()
    try:
        make_private(state_dir)
        with StateLock(state_dir):
            plan = prepare(state_dir)
            config = load(plan.config)
            options = _options(asked, state_dir, plan, config)
            if options.port == options.admin_port:
                raise click.UsageError(f"{options.port} is to be the port of the API and of the admin API: change one")
            _log_as(options.log_format)
            code = serve(options, lambda settled: _announce(settled, plan, config))
    except SupervisorError as error:
        raise failure(str(error), error.exit_code) from error
    if code:
        raise click.exceptions.Exit(code)


def _options(asked: Asked, state_dir: Path, plan: Plan, config: "Config") -> ServeOptions:
    from fastgate.config.certificates import tls_files
    from fastgate.config.fixed import host_settings
    from fastgate.config.semantic import process_settings_of

    server = config.server
    return ServeOptions(
        config=plan.config.resolve(),
        state_dir=state_dir,
        arena_dir=Path(config.arena_dir).resolve() if config.arena_dir else None,
        host=asked.host if asked.host is not None else server.host,
        port=asked.port if asked.port is not None else server.port,
        admin_host=asked.admin_host if asked.admin_host is not None else config.admin.host,
        admin_port=asked.admin_port if asked.admin_port is not None else server.admin_port,
        workers=asked.workers if asked.workers is not None else server.workers,
        drain_seconds=server.drain_seconds,
        drain_delay_seconds=server.drain_delay_seconds,
        tls=tls_files(plan.config.resolve().parent, server.tls) if server.tls else None,
        has_admin_token=bool(config.admin.token),
        programs=plan.programs,
        semantic=process_settings_of(config, plan.config.resolve().parent),
        log_format=asked.log_format or config.logging.format,
        started_with=host_settings(config, asked.settings()),
    )


def _announce(options: ServeOptions, plan: Plan, config: "Config") -> None:
    """Prints the first screen; where logs are for machines it is one line of the log, and nothing is printed."""
    terminal = sys.stdout.isatty()
    link_file = options.state_dir / "dashboard-token"
    screen = Screen(
        source=plan.source,
        workers=options.worker_count(),
        api_url=options.api_url,
        admin_url=options.admin_url,
        link_token=link_file.read_text(encoding="utf-8").strip(),
        state_dir=options.state_dir,
        providers=[*_providers(plan, config), *plan.unsupported],
        access=_access(options.state_dir, config),
        token_configured=options.has_admin_token,
    )
    if options.log_format == "json":
        log.info("fastgate serves at %s", options.api_url, extra={"facts": screen.facts()})
        return
    click.echo("\n".join(screen.lines(terminal)))
    sys.stdout.flush()


def _providers(plan: Plan, config: "Config") -> list[ProviderLine]:
    found = plan.found or {}
    return [_line(name, provider, found.get(name, "configuration")) for name, provider in config.providers.items()]


def _line(name: str, provider: "Provider", where: str) -> ProviderLine:
    from fastgate.config.proxies import proxy_of
    from fastgate.config.upstreams import DEFAULT_URLS

    proxy = proxy_of(provider, os.environ)
    if proxy is None:
        return ProviderLine(name, provider.type, where, provider.base_url or DEFAULT_URLS[provider.type])
    return ProviderLine(name, provider.type, f"{where}, through the proxy {proxy.url}", proxy.url)


def _access(state_dir: Path, config: "Config") -> Access | None:
    """The first key that may use a model we can name; its secret goes to the 0600 file that a printed curl reads."""
    for key in config.keys:
        for model, kind in _models(config):
            if matches(key.models, model):
                secret_file = state_dir / "quickstart-key"
                secret = key.secret.reveal() if key.secret else None
                if secret is not None:
                    keep_secret(secret_file, secret)
                return Access(secret, secret_file, model, kind == "anthropic")
    return None


def _models(config: "Config") -> Iterator[tuple[str, str]]:
    """Models to try, each with its provider's type: the public names, then a well-known model of each provider."""
    for name, model in config.models.items():
        yield name, config.providers[model.targets[0].provider].type
    for name, provider in config.providers.items():
        if provider.type in FIRST_MODELS:
            yield f"{name}/{FIRST_MODELS[provider.type]}", provider.type
