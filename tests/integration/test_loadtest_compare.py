"""``make bench-compare`` in a reduced form: it finds what was slowed down and nothing else, and leaves nothing behind.

``FASTGATE_COMPARE_AGAINST=HEAD`` has the first test check this very revision out and build it, which takes minutes.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from benchmarks.planted import planted

ROOT = Path(__file__).parents[2]
AGAINST = os.environ.get("FASTGATE_COMPARE_AGAINST", str(ROOT))
REDUCED = ["--sizes", "1", "--sittings", "1", "--rounds", "6", "--requests", "300", "--at-most", "1.3"]
"""So few requests on a machine that does other things as well show what is large."""


def compare(*arguments: str, root: Path = ROOT, timeout: float = 110) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "loadtest.compare", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, cwd=root, check=False)


@pytest.mark.timeout(900)
def test_a_tree_is_not_slower_than_itself(tmp_path: Path) -> None:
    kept = tmp_path / "kept.json"
    done = compare(AGAINST, *REDUCED, "--json", str(kept), timeout=800)
    assert done.returncode == 0, done.stderr
    assert "NO" not in done.stdout
    for text in ("machine", "kernel", "versions", "date", "before", "this tree", "method"):
        assert f"* {text}: " in done.stdout
    document: dict[str, Any] = json.loads(kept.read_text())
    assert document["before"][:7] == document["after"][:7]
    assert len(document["blocks"]) == 6 * 4
    for block in document["blocks"]:
        assert 10 < block["cpu"] < 1e4
        assert 10 < block["rate"] < 1e6
    assert median(block["idle"] for block in document["blocks"]) < 0.1, (
        "a housekeeping falls into few of such short blocks"
    )
    assert [bound["met"] for bound in document["bounds"]] == [True, True]


@pytest.fixture
def slower(tmp_path: Path) -> Path:
    """This tree, in which each request counts to ten thousand."""
    return planted(tmp_path, [("fastgate/gateway/pipeline.py", "serve")], "for _ in range(10_000):\n    pass\n")


def test_a_tree_that_was_slowed_down_is_found(slower: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept.json"
    done = compare(str(ROOT), *REDUCED, "--json", str(kept), root=slower)
    assert done.returncode == 1, done.stderr
    cpu, _ = json.loads(kept.read_text())["slowdowns"]  # the requests of a second depend on what else the machine does
    assert 1.3 < cpu["low"] <= cpu["ratio"] <= cpu["high"]
    assert "| NO |" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([".", "--sittings", "1", "--rounds", "5"], "must be at least 6"),
        ([".", "--at-most", "0.4"], "must be from 0.5 to 10"),
        ([".", "--sizes", "257"], "must be from 1 to 256"),
        (["--sizes=1"], "required: REV"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments: list[str], reason: str) -> None:
    done = compare(*arguments)
    assert done.returncode == 2
    assert reason in done.stderr


class Repository:
    """One that has the rig, and one revision whose ``make setup`` carries out ``recipe``."""

    def __init__(self, folder: Path, recipe: str) -> None:
        self.root = folder / "repository"
        self.temporary = folder / "temporary"
        self.temporary.mkdir()
        self.environment = {**os.environ, "TMPDIR": str(self.temporary)}
        ignored = shutil.ignore_patterns("__pycache__", "results")
        shutil.copytree(ROOT / "loadtest", self.root / "loadtest", ignore=ignored)
        (self.root / "Makefile").write_text(f"setup:\n\t@{recipe}\n")
        self._git("init", "--quiet")
        self._git("add", ".")
        self._git("commit", "--quiet", "--message", "A revision")

    def start(self, revision: str) -> "subprocess.Popen[str]":
        heeding = ["env", "--default-signal=INT"]  # in the background the tests ignore it, and so would their children
        command = [*heeding, sys.executable, "-m", "loadtest.compare", revision]
        return subprocess.Popen(command, cwd=self.root, env=self.environment, stderr=subprocess.PIPE, text=True)

    def left(self) -> list[str]:
        return [path.name for path in self.temporary.iterdir()]

    def _git(self, *arguments: str) -> None:
        author = ["-c", "user.name=a test", "-c", "user.email=test@example.com"]
        subprocess.run(["git", "-C", str(self.root), *author, *arguments], check=True)


@pytest.mark.parametrize(
    ("recipe", "revision", "reason"),
    [
        ("echo there is no compiler >&2; exit 1", "HEAD", "there is no compiler(.|\n)*void: .* could not be built"),
        ("true", "HEAD", "is not built: run `make setup` there"),
        ("true", "no-such-one", "void: git rev-parse: fatal: "),
    ],
    ids=["fails", "builds nothing", "is unknown"],
)
def test_a_revision_that_cannot_be_built_leaves_nothing(
    recipe: str, revision: str, reason: str, tmp_path: Path
) -> None:
    repository = Repository(tmp_path, recipe)
    with repository.start(revision) as process:
        _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert re.search(reason, said), said
    assert repository.left() == []


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_build_ends_and_leaves_nothing(how: signal.Signals, tmp_path: Path) -> None:
    began = tmp_path / "began"
    os.mkfifo(began)
    repository = Repository(tmp_path, f"echo $$$$ > {began}; exec sleep 300")
    with repository.start("HEAD") as process:
        building = int(began.read_text())
        assert len(repository.left()) == 1
        process.send_signal(how)
        process.communicate(timeout=60)
    assert process.returncode != 0
    assert repository.left() == []
    with pytest.raises(ProcessLookupError):
        os.kill(building, 0)
