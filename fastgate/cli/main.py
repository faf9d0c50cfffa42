"""The entry point ``fastgate`` and the list of its commands.

A command's module is imported when the command is called, so that `fastgate version` costs no more than it must.
"""

import importlib
import os

import click
from click.shell_completion import CompletionItem

from fastgate.version import __version__

COMMANDS = {
    "serve": ("fastgate.cli.serve", "Run everything: workers, control plane, supervisor."),
    "demo": ("fastgate.cli.demo", "Run everything with the simulator, a sample organisation and light traffic."),
    "check": ("fastgate.cli.check", "Check a configuration and print all its errors."),
    "doctor": ("fastgate.cli.doctor", "Examine what `serve` stands on, and say what to do."),
    "report": ("fastgate.cli.report", "Print what was spent, by any attributes."),
    "reconcile": ("fastgate.cli.reconcile", "Compare the ledger with a provider's bill."),
    "keys": ("fastgate.cli.keys", "Create, list, show, revoke and rotate virtual keys."),
    "budgets": ("fastgate.cli.budgets", "Show how budgets stand, and begin one anew."),
    "hosts": ("fastgate.cli.hosts", "List the hosts that share budgets, and go on without one."),
    "cache": ("fastgate.cli.cache", "Show, list and delete what the exact cache holds, and what it saved."),
    "embedder": ("fastgate.cli.embedder", "Prepare the model of the semantic cache."),
    "state": ("fastgate.cli.state", "Back up the state folder, and restore it."),
    "config": ("fastgate.cli.config", "Write, show or describe a configuration."),
    "simulator": ("fastgate.simulator.main", "Run the simulated provider alone."),
    "completion": ("fastgate.cli.completion", "Print a script with which a shell completes commands and options."),
    "version": ("fastgate.cli.version", "Print the version."),
}
DEFAULT = "serve"


class Commands(click.Group):
    """The commands, by name; without one, or with options alone, it is ``serve``."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All commands in the order of :data:`COMMANDS`."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Imports one command."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(COMMANDS[cmd_name][0]).command
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Puts the default command where none was named; not while a shell asks what could follow."""
        if ctx.resilient_parsing:
            return super().parse_args(ctx, args)
        if not args or (args[0].startswith("-") and args[0] not in {"--help", "-h", "--version"}):
            args = [DEFAULT, *args]
        return super().parse_args(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Names of commands, without importing them; behind a dash the options of ``serve`` too."""
        if incomplete.startswith("-"):
            serve = importlib.import_module(COMMANDS[DEFAULT][0]).command
            return [*super().shell_complete(ctx, incomplete), *serve.shell_complete(ctx, incomplete)]
        return [
            CompletionItem(name, help=about) for name, (_, about) in COMMANDS.items() if name.startswith(incomplete)
        ]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the list without importing the commands."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, about) for name, (_, about) in COMMANDS.items()])


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
    help="fastgate, a self-hosted LLM gateway. Without a command: serve.",
    epilog="Exit codes: 0 ok, 1 failure, 2 usage, 3 configuration, 4 a needed service is unreachable.",
)
@click.version_option(__version__, message="fastgate %(version)s")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Decides on colour; everything else is the commands'."""
    if os.environ.get("NO_COLOR"):
        ctx.color = False


def main() -> None:
    """The console script."""
    cli(prog_name="fastgate")


if __name__ == "__main__":
    main()
