"""Where and with what a measurement was made."""

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from fastgate.version import __version__


def describe() -> dict[str, str]:
    """Machine, kernel, versions and date, each as it is printed."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": f"{_processor()}, {os.cpu_count()} cores, {_memory()}",
        "kernel": f"{platform.system()} {platform.release()}",
        "versions": ", ".join(
            [
                f"fastgate {__version__} ({_commit()})",
                f"Python {platform.python_version()}",
                *(f"{name} {version(name)}" for name in ("granian", "uvloop", "httptools", "duckdb")),
                _first_line(["nginx", "-v"]).replace("nginx version: nginx/", "nginx "),
                " ".join(_first_line(["wrk", "-v"]).split()[:2]),
            ]
        ),
        "load": f"{os.getloadavg()[0]:.2f} processes wanted a core in the minute before",
    }


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _memory() -> str:
    return f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.0f} GiB"


def _commit() -> str:
    root = Path(__file__).parents[1]
    commit = _first_line(["git", "-C", str(root), "rev-parse", "--short", "HEAD"])
    changed = _first_line(["git", "-C", str(root), "status", "--porcelain", "--untracked-files=no"])
    return f"{commit or 'no commit'}{' and changes' if changed else ''}"


def _first_line(command: list[str]) -> str:
    environment = {**os.environ, "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False, env=environment)
    except OSError:
        return f"{command[0]}: not found"
    if done.returncode and command[0] == "git":
        return ""
    return next(iter((done.stdout or done.stderr).splitlines()), "")
