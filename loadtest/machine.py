"""Where and with what a measurement was made."""

import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from fastgate.version import __version__

ROOT = Path(__file__).resolve().parents[1]
"""Where the repository's files are."""
PACKAGES = ("granian", "uvloop", "httptools", "duckdb")
"""That decide how fast fastgate is."""


def describe() -> dict[str, str]:
    """Machine, kernel, versions and date, each as it is printed."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": f"{_processor()}, {os.cpu_count()} cores, {_memory()}",
        "kernel": f"{platform.system()} {platform.release()}",
        "versions": ", ".join(
            [
                f"fastgate {__version__} ({commit(ROOT)})",
                packages(Path(sys.executable), *PACKAGES),
                first_line(["nginx", "-v"]).replace("nginx version: nginx/", "nginx "),
                " ".join(first_line(["wrk", "-v"]).split()[:2]),
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


def packages(python: Path, *names: str) -> str:
    """The versions of an interpreter and of packages that it has."""
    code = (
        "import platform, sys; from importlib.metadata import version; python = platform.python_version();"
        "print(f'Python {python}', *(f'{name} {version(name)}' for name in sys.argv[1:]), sep=', ')"
    )
    return first_line([str(python), "-c", code, *names])


def commit(root: Path) -> str:
    """Which commit a folder has the files of, and whether they were changed since."""
    short = first_line(["git", "-C", str(root), "rev-parse", "--short", "HEAD"])
    changed = first_line(["git", "-C", str(root), "status", "--porcelain", "--untracked-files=no"])
    return f"{short or 'no commit'}{' and changes' if changed else ''}"


def first_line(command: list[str]) -> str:
    """What a command says of itself first; that it was not found, where it was not."""
    environment = {**os.environ, "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False, env=environment)
    except OSError:
        return f"{command[0]}: not found"
    if done.returncode and command[0] == "git":
        return ""
    return next(iter((done.stdout or done.stderr).splitlines()), "")
