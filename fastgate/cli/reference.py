"""docs/cli.md, written by the commands themselves: ``python -m fastgate.cli.reference > docs/cli.md``."""

from typing import Any

import click

from fastgate.cli.main import cli

HEAD = """\
# The command line

Written by `python -m fastgate.cli.reference`; a test compares it with the program.

Data goes to standard output, everything else to standard error. Colour only on a terminal, never with `NO_COLOR`. Each
option can be given as an environment variable too: the name is behind `env var`.
"""

SETTINGS: dict[str, Any] = {"terminal_width": 110, "color": False, "help_option_names": ["-h", "--help"]}

EXITS = """\
## Exit codes

| code | meaning |
|--:|---|
| 0 | ok |
| 1 | failure |
| 2 | usage: an unknown option or a value that cannot be |
| 3 | configuration: `fastgate check` says what is wrong |
| 4 | a service that the command needs cannot be reached |
"""


def reference() -> str:
    """The whole page."""
    context = click.Context(cli, info_name="fastgate", **SETTINGS)
    sections = [HEAD, _section(cli, context)]
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        if command is not None:
            sections += _with_subcommands(command, context, name)
    return "\n".join([*sections, EXITS])


def _with_subcommands(command: click.Command, parent: click.Context, name: str) -> list[str]:
    context = click.Context(command, info_name=name, parent=parent, **SETTINGS)
    sections = [_section(command, context)]
    if isinstance(command, click.Group):
        for below in command.list_commands(context):
            child = command.get_command(context, below)
            if child is not None:
                sections += _with_subcommands(child, context, below)
    return sections


def _section(command: click.Command, context: click.Context) -> str:
    return f"## `{context.command_path}`\n\n```text\n{command.get_help(context)}\n```\n"


if __name__ == "__main__":
    click.echo(reference(), nl=False)
