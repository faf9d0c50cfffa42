"""`fastgate demo`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fastgate.cli.options import serve_options, state_dir_option

if TYPE_CHECKING:
    from fastgate.cli import hosting

SIMULATOR_PORT = 9000
STATE_DIR = "./fastgate-state/demo"


@click.command("demo")
@serve_options
@state_dir_option(STATE_DIR)
def command(**given: Any) -> None:
    """Run everything with the simulator, a sample organisation and light traffic.

    Its state folder is one of its own (./fastgate-state/demo), so that play money never meets real money.

    \b
    fastgate demo --port 8090 --admin-port 8091
    """
    from fastgate.cli import hosting

    asked = hosting.asked(**given)
    hosting.host(asked, asked.state_dir or Path(STATE_DIR), _prepare)


def _prepare(state_dir: Path) -> "hosting.Plan":
    from fastgate.cli import hosting, quickstart
    from fastgate.config.demo import demo
    from fastgate.supervisor.options import Program
    from fastgate.wire.whole_files import replace

    port = quickstart.free_port(SIMULATOR_PORT)
    path = state_dir / "demo.yaml"
    replace(path, demo(port).encode(), private=True)
    return hosting.Plan(
        config=path,
        source="sample organisation",
        programs=(hosting.simulator(port), Program("traffic", "fastgate.cli.traffic")),
        found={"sim": f"simulator at {quickstart.simulator_url(port)}"},
    )
