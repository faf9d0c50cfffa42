"""`fastgate completion`: the script with which a shell completes what is typed."""

import click

SHELLS = ("bash", "zsh", "fish")
VARIABLE = "_FASTGATE_COMPLETE"
"""By which the script asks the program for what may follow; click's own protocol."""


@click.command("completion")
@click.argument("shell", type=click.Choice(SHELLS))
def command(shell: str) -> None:
    """Print the script that makes SHELL complete fastgate's commands and options.

    \b
    eval "$(fastgate completion bash)"       in ~/.bashrc
    eval "$(fastgate completion zsh)"        in ~/.zshrc
    fastgate completion fish | source        in ~/.config/fish/config.fish
    """
    from click.shell_completion import get_completion_class

    from fastgate.cli.main import cli

    kind = get_completion_class(shell)
    assert kind is not None, f"click does not know {shell}"
    click.echo(kind(cli, {}, "fastgate", VARIABLE).source())
