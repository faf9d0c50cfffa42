"""How many instructions the compiled core's loops take, as callgrind counts them, whatever the machine does meanwhile.

What is counted is what the core's own units execute. What they call of the interpreter and of libc is left out: that
differs between builds of the interpreter, and ratios of time have it.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from sysconfig import get_config_var
from typing import Final

from benchmarks.loops import TIMES

CORE: Final = Path("fastgate", "_core")
SECONDS: Final = 300
_MARK: Final = "getpgid"
"""What ``benchmarks.loops`` calls before and after each loop: callgrind writes a file then, and begins anew."""


class NotCounted(Exception):
    """The loops could not be run."""


def count(root: Path, folder: Path) -> dict[str, float]:
    """Instructions of one run of each loop on the core of the tree ``root``; ``folder`` has room for files.

    Raises NotCounted where valgrind or a loop fails, or another tree's core was run.
    """
    out = folder / "callgrind"
    valgrind = ["valgrind", "--quiet", "--tool=callgrind", f"--dump-before={_MARK}", f"--callgrind-out-file={out}"]
    # Names are hashed alike in every run, and no other tree's files are found.
    environment = {**os.environ, "PYTHONPATH": str(root), "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}
    command = [*valgrind, sys.executable, "-m", "benchmarks.loops", str(folder)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=SECONDS, cwd=root, env=environment, check=False
    )
    if done.returncode:
        raise NotCounted(done.stderr[-2000:])
    names = done.stdout.splitlines()
    parts = [out.with_name(f"{out.name}.{2 * number}") for number in range(1, len(names) + 1)]
    return {
        name: core_instructions(part.read_text().splitlines(), root) / TIMES
        for name, part in zip(names, parts, strict=True)
    }


def core_instructions(lines: Iterable[str], root: Path) -> int:
    """Those that the units of the core of ``root`` executed themselves, from what callgrind wrote down.

    Its lines: ``ob=(number) file`` names the file that what follows is of, by its number alone from the second time on;
    a line that begins with a place has the instructions there, but the one after ``calls=`` those of what was called.
    """
    files: dict[str, str] = {}
    total, ours, called = 0, False, False
    for line in lines:
        if named := re.match(r"c?ob=(\(\d+\))(?: (.+))?", line):
            number, name = named.groups()
            if name:
                files[number] = name
            if not line.startswith("c"):
                ours = Path(files[number]).parent == root / CORE
        elif line.startswith("calls="):
            called = True
        elif re.match(r"[\d+*-]", line):
            total += int(line.split()[1]) if ours and not called else 0
            called = False
    if not total:
        raise NotCounted(f"nothing of {root / CORE} was run")
    return total


def toolchain(root: Path) -> str:
    """What a tree's core was compiled by and for: others make other instructions of it."""
    unit = root / CORE / f"walk{get_config_var('EXT_SUFFIX')}"
    compiler = re.search(rb"(GCC: \([^)]+\) \d+|clang version \d+)", unit.read_bytes())
    said = re.sub(r": \([^)]+\)", "", compiler[0].decode()) if compiler else "an unknown compiler"
    cython = ".".join(version("Cython").split(".")[:2])
    return f"{said}, Cython {cython}, {get_config_var('SOABI')}"
