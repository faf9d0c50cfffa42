"""Completion in the shells themselves, where they are installed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fastgate.cli.main import COMMANDS

BASH = """
eval "$(fastgate completion bash)"
read -r -a COMP_WORDS <<< "$LINE"
[[ $LINE == *' ' ]] && COMP_WORDS+=('')
COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 ))
_fastgate_completion fastgate
printf '%s\\n' "${COMPREPLY[@]}"
"""
FISH = """
fastgate completion fish | source
complete -C "$LINE"
"""
ZSH = """
autoload -Uz compinit && compinit -D
eval "$(fastgate completion zsh)"
print -r -- $_comps[fastgate]
"""
LINES = [
    ("fastgate ", set(COMMANDS)),
    ("fastgate ke", {"keys"}),
    ("fastgate keys r", {"revoke", "rotate"}),
    ("fastgate --admin", {"--admin-host", "--admin-port"}),
    ("fastgate state restore --st", {"--state-dir"}),
    ("fastgate budgets list --level p", {"provider"}),
    ("fastgate completion ", {"bash", "zsh", "fish"}),
]


def run(shell: str, script: str, line: str = "") -> str:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    options = {"bash": ["--norc"], "zsh": ["-f"], "fish": ["--no-config"]}[shell]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        [shell, *options, "-c", script],
        env={**os.environ, "PATH": path, "LINE": line},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stderr == ""
    return done.stdout


@pytest.mark.parametrize(("line", "expected"), LINES)
def test_bash_completes(line: str, expected: set[str]) -> None:
    assert set(run("bash", BASH, line).split()) == expected


@pytest.mark.parametrize(("line", "expected"), LINES)
def test_fish_completes(line: str, expected: set[str]) -> None:
    assert {found.partition("\t")[0] for found in run("fish", FISH, line).splitlines()} == expected


def test_zsh_takes_the_script() -> None:
    assert run("zsh", ZSH).strip() == "_fastgate_completion"


def test_a_shell_that_nobody_wrote_a_script_for() -> None:
    command = [sys.executable, "-m", "fastgate.cli.main", "completion", "powershell"]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 2
