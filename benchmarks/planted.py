"""Copies of this tree with something slow planted in them, by which gates are proven."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from textwrap import indent
from typing import Final

ROOT: Final = Path(__file__).parents[1]
PARTS: Final = ("fastgate", "loadtest", "benchmarks")
BUILDING: Final = ("setup.py", "pyproject.toml", "README.md", "LICENSE")
_LEFT_OUT: Final = shutil.ignore_patterns("*.c", "*.html", "__pycache__", "results")


def planted(folder: Path, places: Iterable[tuple[str, str]], lines: str) -> Path:
    """A copy in ``folder``, with ``lines`` where each of ``places`` begins: a file, and a function in it.

    Units of the core are compiled anew. Raises ValueError where there is no such function, or more than one.
    """
    root = folder / "planted"
    for part in PARTS:
        shutil.copytree(ROOT / part, root / part, ignore=_LEFT_OUT)
    units = []
    for name, function in places:
        path = root / name
        path.write_text(with_planted(path.read_text(), function, lines))
        if path.suffix == ".pyx":
            units.append(path.stem)
    if units:
        _compile(root, units)
    return root


def with_planted(source: str, function: str, lines: str) -> str:
    """A module with ``lines`` ahead of what a function does. Raises ValueError unless there is one of that name."""
    head = rf'^( *)(?:async def|def|cdef)\b[^\n=(]*\b{function}\(.*?:\n(?: *""".*?"""\n)?'
    found = list(re.finditer(head, source, re.MULTILINE | re.DOTALL))
    if len(found) != 1:
        raise ValueError(f"there are {len(found)} functions '{function}' to plant something in")
    [place] = found
    return source[: place.end()] + indent(lines, place[1] + "    ") + source[place.end() :]


def _compile(root: Path, units: Iterable[str]) -> None:
    for name in BUILDING:
        shutil.copy(ROOT / name, root)
    command = [sys.executable, "setup.py", "-q", "build_ext", "--inplace"]
    environment = {**os.environ, "FASTGATE_BUILD_ONLY": ",".join(units)}
    subprocess.run(command, cwd=root, env=environment, check=True, capture_output=True)
