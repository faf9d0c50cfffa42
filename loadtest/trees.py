"""The trees of files whose gateway is run: this one, one that is built already, a revision checked out and built."""

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from loadtest.errors import RigError
from loadtest.machine import PACKAGES, ROOT, commit, packages
from loadtest.programs import leashed

_CORE: Final = Path("fastgate", "_core")


@dataclass(frozen=True)
class Tree:
    """``root``: where the repository's files are; ``python``: an interpreter that has what they import."""

    root: Path
    python: Path

    def serve(self, configuration: Path) -> list[str]:
        """The command that runs its gateway."""
        return [str(self.python), "-P", "-m", "fastgate", "serve", "--config", str(configuration)]

    def environment(self) -> dict[str, str]:
        """In which its files are found before any that are installed."""
        return {**os.environ, "PYTHONPATH": str(self.root)}

    def check(self, pid: int) -> None:
        """Raises RigError unless a process of this tree has loaded this tree's compiled core, and no other."""
        maps = Path(f"/proc/{pid}/maps").read_text().splitlines()
        loaded = {Path(line.split(maxsplit=5)[5]).parent for line in maps if f"/{_CORE}/" in line}
        if loaded != {self.root / _CORE}:
            raise RigError(f"the gateway of {self.root} runs the core of {sorted(map(str, loaded))}")

    def describe(self) -> str:
        """Its commit, and the versions that it runs on."""
        return f"{commit(self.root)}; {packages(self.python, *PACKAGES)}"


HERE: Final = Tree(ROOT, Path(sys.executable))
"""The tree that this module is of."""


def other(name: str, folder: Path) -> Tree:
    """The tree that is called by its folder, or by a revision, for which ``folder`` has room.

    A revision is a clone that borrows this repository's objects: who removes the folder has removed all of it. Raises
    RigError where the tree is not built or cannot be.
    """
    if (Path(name) / _CORE).is_dir():
        return _built(Path(name).resolve())
    root = folder / "tree"
    found = _git(ROOT, "rev-parse", "--verify", "--end-of-options", f"{name}^{{commit}}")
    _git(ROOT, "clone", "--quiet", "--shared", "--no-checkout", str(ROOT), str(root))
    _git(root, "checkout", "--quiet", "--detach", found)
    _build(root, folder / "constraints.txt")
    return _built(root)


def _built(root: Path) -> Tree:
    if not any((root / _CORE).glob("*.so")):
        raise RigError(f"{root} is not built: run `make setup` there")
    own = root / ".venv" / "bin" / "python"
    return Tree(root, own if own.exists() else HERE.python)


def _build(root: Path, constraints: Path) -> None:
    """The way in which the revision itself says that it is built, on the versions that are installed here.

    It has a session of its own, which ends as a whole when the measurement is interrupted.
    """
    freeze = [sys.executable, "-m", "pip", "freeze", "--exclude-editable"]
    constraints.write_text(subprocess.run(freeze, capture_output=True, text=True, check=True).stdout)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    environment["PIP_CONSTRAINT"] = str(constraints)
    command = leashed(["make", "-C", str(root), "setup", f"PYTHON={sys.executable}"])
    process = subprocess.Popen(command, stdout=2, env=environment, start_new_session=True)
    try:
        status = process.wait()
    except BaseException:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()
        raise
    if status:
        raise RigError(f"{root} could not be built, `make setup` ended with status {status}: it says why above")


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RigError(f"git {arguments[0]}: {done.stderr.strip()}")
    return done.stdout.strip()
