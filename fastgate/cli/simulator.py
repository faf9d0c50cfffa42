"""`fastgate simulator`: the simulated provider alone."""

import click


@click.command("simulator")
def command() -> None:
    """Run the simulated provider alone."""
