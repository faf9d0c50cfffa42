"""Coding agents as developers run them, set up by docs/agents.md; in a home of their own, with no way out."""

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support.house import House

PAGE = (Path(__file__).parents[2] / "docs" / "agents.md").read_text(encoding="utf-8")
PROGRAMS = Path(sys.prefix) / "agents" / "node_modules" / ".bin"
"""Where `make test` installs them."""
SECONDS = 100
"""The longest that a run may take; one takes a second (Claude Code) or three, on a machine that is not busy."""

# Whatever the agents try but the gateway fails at once: nobody listens on that port.
_NO_WAY_OUT = {"HTTP_PROXY": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9", "NO_PROXY": "127.0.0.1"}


def blocks() -> dict[tuple[str, str], str]:
    """The page's blocks by the heading above them and their language; there is one of each at most."""
    found = {}
    for section in PAGE.split("\n## ")[1:]:
        heading = section.partition("\n")[0]
        for language, text in re.findall(r"^```(\w+)\n(.*?)^```$", section, re.MULTILINE | re.DOTALL):
            assert (heading, language) not in found
            found[heading, language] = text
    return found


def block(heading: str, language: str, house: House, secret: str = "") -> str:
    """A block with this house's addresses and a key's secret in place of the page's."""
    text = blocks()[heading, language]
    for theirs, ours in {
        "http://127.0.0.1:8080": house.url,
        "http://127.0.0.1:8081": house.admin_url,
        "fastgate-state": str(house.state_dir),
        "sk-fg-...": secret,
    }.items():
        text = text.replace(theirs, ours)
    return text


def shell(
    script: str, *arguments: str, folder: Path, environment: Mapping[str, str], stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    """Runs a script in a folder, with this environment and no other."""
    return subprocess.run(
        ["/bin/sh", "-ec", script, "sh", *arguments],
        cwd=folder,
        env=dict(environment),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


class Agent:
    """One developer's machine: a home and a working folder, both new, and what the developer's shell exports."""

    def __init__(self, folder: Path, *exports: str) -> None:
        self.home, self.work = folder / "home", folder / "work"
        for made in (self.home, self.work):
            made.mkdir()
        self._script = "\n".join([*exports, 'exec "$@"'])
        self._environment = {"PATH": "/usr/bin:/bin", "HOME": str(self.home), **_NO_WAY_OUT}

    def run(self, program: str, *arguments: str, prompt: str) -> subprocess.CompletedProcess[str]:
        """Runs an agent to its end; it reads the prompt from its standard input."""
        path = str(PROGRAMS / program)
        return shell(self._script, path, *arguments, folder=self.work, environment=self._environment, stdin=prompt)


def lines(output: str) -> list[Any]:
    """The documents of an agent that prints one to a line."""
    return [json.loads(line) for line in output.splitlines()]


def spoken(ran: subprocess.CompletedProcess[str]) -> str:
    """What a person sees of a run."""
    return ran.stdout + ran.stderr
