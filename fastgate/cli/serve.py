"""`fastgate serve`."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from fastgate.cli.options import STATE_DIR, config_option, option, serve_options, state_dir_option

if TYPE_CHECKING:
    from fastgate.cli import hosting
    from fastgate.config import Config

CONFIG = Path("fastgate.yaml")
SIMULATOR_PORT = 9000


@click.command("serve")
@config_option
@serve_options
@state_dir_option()
@option(
    "--with-simulator",
    is_flag=True,
    help="Run the simulator too, where the configuration says; it always runs where there is nothing else to serve.",
)
def command(*, config: Path | None, with_simulator: bool, **given: Any) -> None:
    """Run everything: workers, control plane, supervisor.

    Without a configuration it uses the provider keys found in the environment, and the simulator where there is none.
    SIGTERM drains, SIGHUP reloads the configuration, SIGUSR2 upgrades in place.

    \b
    fastgate serve --config fastgate.yaml --workers 4
    """
    from fastgate.cli import hosting

    asked = hosting.asked(**given)
    if config is None and CONFIG.exists():
        config = CONFIG
    if config is None:
        hosting.host(asked, asked.state_dir or Path(STATE_DIR), lambda folder: _quickstart(folder, with_simulator))
        return
    chosen = config
    settings = hosting.load(chosen)
    programs = (hosting.simulator(_simulator_port(settings)),) if with_simulator else ()
    kept = asked.state_dir or Path(settings.state_dir)
    hosting.host(asked, kept, lambda _: hosting.Plan(chosen, str(chosen), programs))


def _simulator_port(settings: "Config") -> int:
    """Where the configuration expects the simulator."""
    addresses = [provider.base_url for provider in settings.providers.values() if provider.type == "sim"]
    port = urlsplit(addresses[0]).port if addresses and addresses[0] else None
    return port or SIMULATOR_PORT


def _quickstart(state_dir: Path, with_simulator: bool) -> "hosting.Plan":
    from fastgate.cli import hosting, quickstart
    from fastgate.cli.banner import ProviderLine

    found = quickstart.find_providers(os.environ)
    usable = {one.provider: one.where for one in found if one.supported}
    port = quickstart.free_port(SIMULATOR_PORT) if with_simulator or not usable else None
    simulated = {} if port is None else {"sim": f"simulator at {quickstart.simulator_url(port)}"}
    return hosting.Plan(
        config=quickstart.write(state_dir, found, port),
        source="provider keys in the environment"
        if usable
        else "none; no provider key in the environment, so simulated",
        programs=() if port is None else (hosting.simulator(port),),
        found={**usable, **simulated},
        unsupported=tuple(
            ProviderLine(one.provider, one.provider, one.where, None) for one in found if not one.supported
        ),
    )
