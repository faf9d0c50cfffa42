"""The command line and environment of every kind of child, in one place.

Children are told what the supervisor decided under the names of the command line's own options (``FASTGATE_PORT``,
...), and where something is inherited, the number of its descriptor.
"""

import json
import os
import sys
from pathlib import Path

from fastgate import logs
from fastgate.supervisor.child import Command
from fastgate.supervisor.options import Program, ServeOptions

# -P: a folder that happens to hold a `json.py` must not become part of the program that is started in it.
PYTHON = (sys.executable, "-P", "-m")


MEMORY = "glibc.malloc.hugetlb=1:glibc.malloc.mmap_threshold=1073741824:glibc.malloc.trim_threshold=67108864"
"""Of the semantic process: each question reads all of a model, and some of a large graph. In pages of 2 MB, where the
system lends them (``madvise``), that takes a sixth less; what is mapped by itself would have none.
"""


def control(options: ServeOptions, arena_dir: Path, stale: int = 0) -> Command:
    """The control process; it finds the admin token in the configuration or in the state folder.

    A snapshot behind generation ``stale`` is one that this host serves already.
    """
    told = {**_common(options, arena_dir), "FASTGATE_STARTED_WITH": json.dumps(options.started_with)}
    return Command((*PYTHON, "fastgate.control.process", "--stale", str(stale)), told)


def worker(options: ServeOptions, arena_dir: Path, index: int, listener: int, stale: int = 0) -> Command:
    """Gateway worker number ``index``, accepting on the inherited socket ``listener``.

    It serves no snapshot up to generation ``stale``, which an earlier start compiled.
    """
    where = ("--arena-dir", str(arena_dir), "--state-dir", str(options.state_dir))
    which = ("--fd", str(listener), "--index", str(index), "--stale", str(stale))
    tls = ("--tls-cert", str(options.tls[0]), "--tls-key", str(options.tls[1])) if options.tls else ()
    return Command(
        (*PYTHON, "fastgate.gateway.process", *where, *which, *tls), _common(options, arena_dir), (listener,)
    )


def semantic(options: ServeOptions, arena_dir: Path) -> Command:
    """The process of the semantic cache, where there is one.

    Its settings are in the environment: keys of endpoints would be read from a command line by other users.
    """
    where = ("--arena-dir", str(arena_dir), "--state-dir", str(options.state_dir))
    told = {**_common(options, arena_dir), **_semantic(options)}
    told["GLIBC_TUNABLES"] = ":".join(filter(None, (MEMORY, os.environ.get("GLIBC_TUNABLES"))))  # the later one holds
    return Command((*PYTHON, "fastgate.semantic.process", *where), told)


def semantic_unfit(options: ServeOptions) -> Command:
    """Says why the process of the semantic cache could not start, and then ends with another code than 0."""
    return Command((*PYTHON, "fastgate.semantic.examining"), _semantic(options))


def check(options: ServeOptions) -> Command:
    """`fastgate check` of the configuration."""
    return Command((*PYTHON, "fastgate.cli.main", "check", str(options.config)))


def program(options: ServeOptions, arena_dir: Path, wanted: Program) -> Command:
    """A further program, on a leash that ends it with the supervisor and reports when its port answers."""
    port = [] if wanted.port is None else ["--port", str(wanted.port)]
    leash = ("fastgate.supervisor.leash", "--name", wanted.name, *port)
    return Command((*PYTHON, *leash, wanted.module, *wanted.arguments), _common(options, arena_dir))


def _semantic(options: ServeOptions) -> dict[str, str]:
    return {"FASTGATE_SEMANTIC": json.dumps(dict(options.semantic or {}))}


def _common(options: ServeOptions, arena_dir: Path) -> dict[str, str]:
    return {
        "FASTGATE_CONFIG": str(options.config),
        "FASTGATE_STATE_DIR": str(options.state_dir),
        "FASTGATE_ARENA_DIR": str(arena_dir),
        "FASTGATE_HOST": options.host,
        "FASTGATE_PORT": str(options.port),
        "FASTGATE_ADMIN_HOST": options.admin_host,
        "FASTGATE_ADMIN_PORT": str(options.admin_port),
        "FASTGATE_WORKERS": str(options.worker_count()),
        "FASTGATE_DRAIN_SECONDS": f"{options.drain_seconds:g}",
        logs.VARIABLE: options.log_format,
    }
