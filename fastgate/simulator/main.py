"""The simulator as a program: its options, its life."""

import asyncio
import os
import resource
import signal
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import msgspec
import uvloop

from fastgate.simulator.faults import FaultsError
from fastgate.simulator.options import Options
from fastgate.simulator.prices import PricesError
from fastgate.simulator.protocol import connections_factory
from fastgate.simulator.rules import RulesError
from fastgate.simulator.service import Service
from fastgate.simulator.tokens import TOKENIZERS

BACKLOG = 4096


def run(options: Options, ready: Callable[[str], None] | None = None) -> None:
    """Serves until SIGTERM or SIGINT (or the end of stdin, if so told).

    ``ready`` is called with the URL once connections are accepted; without it, a line on stdout says so. Raises
    ``FaultsError``, ``PricesError`` and ``RulesError`` for options that cannot be used, ``OSError`` for a port that
    cannot be bound.
    """
    service = Service(options)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(service, ready or _announce))


def _announce(url: str) -> None:
    print(f"simulator listening on {url}", flush=True)


async def _serve(service: Service, ready: Callable[[str], None]) -> None:
    options = service.options
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if options.exit_with_stdin:
        loop.add_reader(sys.stdin.fileno(), _read_stdin, stop)
    factory, connections = connections_factory(service, loop)
    server = await loop.create_server(factory, options.host, options.port, backlog=BACKLOG, reuse_address=True)
    host, port = server.sockets[0].getsockname()[:2]
    ready(f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}")
    await stop.wait()
    server.close()
    for connection in list(connections):
        connection.close()


def _read_stdin(stop: asyncio.Event) -> None:
    """Whoever started the simulator holds the other end: when that closes, they are gone."""
    if not os.read(sys.stdin.fileno(), 4096):
        stop.set()


class _Tokens(click.ParamType[Any]):
    """``16``, or ``8-32`` for a number between the two."""

    name = "N[-M]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """The fewest and the most."""
        if isinstance(value, tuple):
            return value
        least, _, most = str(value).partition("-")
        if not least.isdigit() or not (most or least).isdigit() or int(most or least) < int(least):
            self.fail(f"{value!r} is neither a number nor a range like 8-32", param, ctx)
        return int(least), int(most or least)


class _Instant(click.ParamType[Any]):
    """RFC 3339, or unix seconds."""

    name = "TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Unix seconds."""
        if isinstance(value, float):
            return value
        try:
            return float(value)
        except ValueError:
            pass
        try:
            instant = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is not a time like 2026-11-21T12:00:00Z", param, ctx)
        return (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).timestamp()


def _option(name: str, **settings: Any) -> Callable[[Any], Any]:
    variable = "FASTGATE_" + name.removeprefix("--").replace("-", "_").upper()
    return click.option(name, envvar=variable, show_envvar=True, show_default=True, **settings)


MILLISECONDS = click.FloatRange(min=0)
DEFAULTS = Options()


@click.command("simulator", context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@_option("--host", default=DEFAULTS.host, help="Address.")
@_option("--port", default=DEFAULTS.port, type=click.IntRange(0, 65535), help="Port; 0: any that is free.")
@_option(
    "--seed", default=DEFAULTS.seed, type=click.IntRange(0, 2**63 - 1), help="Answers depend on it and on the request."
)
@_option("--latency-ms", default=DEFAULTS.latency_ms, type=MILLISECONDS, help="Until the head of an answer.")
@_option("--ttft-ms", default=DEFAULTS.ttft_ms, type=MILLISECONDS, help="Until the first piece of a stream.")
@_option("--chunk-ms", default=DEFAULTS.chunk_ms, type=MILLISECONDS, help="Between two pieces of a stream.")
@_option(
    "--cancel-lag-ms",
    default=DEFAULTS.cancel_lag_ms,
    type=MILLISECONDS,
    help="Produced and billed on after a client left.",
)
@_option("--tokens", default="16", type=_Tokens(), help="Output tokens of an answer, or a range.")
@_option("--tokenizer", default=DEFAULTS.tokenizer, type=click.Choice(list(TOKENIZERS)), help="How tokens are counted.")
@_option("--fail", default="", metavar="KIND=SHARE,...", help="Failures, like 429=0.01,cut=0.005,hang=0.001.")
@_option("--now", default=None, type=_Instant(), help="A clock that stands still at this time.")
@_option(
    "--prices",
    default=None,
    type=click.Path(path_type=Path, dir_okay=False),
    help="Prices of further models (YAML or JSON).",
)
@_option(
    "--answers",
    default=None,
    type=click.Path(path_type=Path, dir_okay=False),
    help="Answers by what is asked (YAML or JSON).",
)
@_option("--require-key", is_flag=True, help="Answer 401 where no key is sent.")
@_option("--bill-rows", default=DEFAULTS.bill_rows, type=click.IntRange(0), help="Charges kept one by one, at most.")
@_option("--exit-with-stdin", is_flag=True, help="Stop when standard input ends.")
def command(**given: Any) -> None:
    """Run the simulated provider alone: OpenAI chat, embeddings, Anthropic messages, a bill of its own at /_bill.

    \b
    fastgate simulator --port 9000 --ttft-ms 200 --fail 429=0.01,cut=0.005
    """
    try:
        run(msgspec.convert(given, Options))
    except (FaultsError, PricesError, RulesError) as error:
        raise click.UsageError(str(error)) from error
    except OSError as error:
        raise click.ClickException(str(error)) from error
