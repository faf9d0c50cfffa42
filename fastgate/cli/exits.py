"""Exit codes, and the errors that carry them.

::

    click.ClickException
    ├── click.UsageError        2   (click's own)
    └── Failed                  1   the command ran and did not succeed
        ├── BadConfiguration    3
        └── Unreachable         4   a service that the command needs does not answer
"""

from typing import IO, Any

import click


class Failed(click.ClickException):
    """The command ran and did not succeed."""

    exit_code = 1

    def show(self, file: IO[Any] | None = None) -> None:
        """Prints the message to standard error."""
        click.echo(f"fastgate: {self.message}", err=True, file=file)


class BadConfiguration(Failed):
    """The configuration cannot be used; the message is lines of the form ``file:line:column: message (hint)``."""

    exit_code = 3

    def show(self, file: IO[Any] | None = None) -> None:
        """Prints the lines as they are, so that editors can jump to them."""
        click.echo(self.message, err=True, file=file)


class Unreachable(Failed):
    """A service that the command needs does not answer."""

    exit_code = 4


def failure(message: str, exit_code: int) -> Failed:
    """The error of an exit code that another process ended with."""
    kind = {4: Unreachable, 3: _Misconfigured}.get(exit_code, Failed)
    return kind(message)


class _Misconfigured(Failed):
    exit_code = 3
