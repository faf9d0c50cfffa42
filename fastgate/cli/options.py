"""Options as every command has them: an environment variable ``FASTGATE_<OPTION>`` each, shown in ``--help``."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

Function = TypeVar("Function", bound=Callable[..., Any])

STATE_DIR = "./fastgate-state"


def option(*names: str, **settings: Any) -> Callable[[Function], Function]:
    """A click option with its environment variable."""
    long_name = next(name for name in names if name.startswith("--")).split("/")[0]
    settings.setdefault("envvar", "FASTGATE_" + long_name.removeprefix("--").replace("-", "_").upper())
    settings.setdefault("show_default", True)
    return click.option(*names, show_envvar=True, **settings)


def config_option(function: Function) -> Function:
    """``--config FILE``."""
    return option(
        "--config",
        type=click.Path(path_type=Path, dir_okay=False),
        default=None,
        metavar="FILE",
        show_default="./fastgate.yaml if there is one",
        help="Configuration file.",
    )(function)


def state_dir_option(default: str = STATE_DIR) -> Callable[[Function], Function]:
    """``--state-dir DIR``; None when not given, so that a configuration's own value can be told from it."""
    return option(
        "--state-dir",
        type=click.Path(path_type=Path, file_okay=False),
        default=None,
        metavar="DIR",
        show_default=default,
        help="Folder of everything that must survive a restart.",
    )


def serve_options(function: Function) -> Function:
    """The options that `serve` and `demo` share; None when not given."""
    log_format = option(
        "--log-format",
        type=click.Choice(["text", "json"]),
        default=None,
        show_default="text",
        help="Form of standard error: lines for people, or one JSON object per line.",
    )
    return place_options(log_format(function))


def place_options(function: Function) -> Function:
    """Where `serve` listens, and with how many workers; None when not given."""
    decorators = (
        option("--host", default=None, show_default="127.0.0.1", help="Address of the API."),
        option("--port", type=click.IntRange(0, 65535), default=None, show_default="8080", help="Port of the API."),
        option("--admin-host", default=None, show_default="127.0.0.1", help="Address of the admin API."),
        option(
            "--admin-port",
            type=click.IntRange(1, 65535),
            default=None,
            show_default="8081",
            help="Port of the admin API.",
        ),
        option(
            "--workers",
            type=click.IntRange(0, 256),
            default=None,
            show_default="0: one per core",
            help="Number of worker processes.",
        ),
    )
    for decorator in reversed(decorators):
        function = decorator(function)
    return function
