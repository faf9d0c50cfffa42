"""The documents' blocks, and a terminal in which they are carried out as they stand."""

import os
import re
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
RUNNABLE = {"sh", "yaml", "python"}
SHOWN = {"text", "json", "nginx", "mermaid"}
"""Languages of blocks that show something."""
SECONDS = 60

# An answer of 400 and above ends a block, as an error does.
_CURLRC = "fail-with-body\n"
_END = "-- the block is over --"
_FENCE = re.compile(r"(?:^<!-- not run: ([^\n]+) -->\n)?^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block; ``excuse``: why it cannot be run, from ``<!-- not run: why -->`` on the line before it."""

    page: str
    heading: str
    language: str
    text: str
    excuse: str

    @property
    def is_run(self) -> bool:
        """Whether a reader may copy it and run it."""
        return self.language in RUNNABLE and not self.excuse


def blocks(page: Path) -> list[Block]:
    """All blocks of a page in their order, each with the heading (of the second level) above it."""
    found = []
    for section in re.split(r"^## ", page.read_text(encoding="utf-8"), flags=re.MULTILINE):
        heading = section.partition("\n")[0]
        found += [Block(page.name, heading, name, text, why) for why, name, text in _FENCE.findall(section)]
    return found


class Terminal:
    """``with Terminal(folder) as terminal``: one shell for block after block, in ``folder``, which is its home as well.

    What is typed in a block holds in the next; a command that fails is an AssertionError with what it printed.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str] | None = None) -> None:
        (folder / ".curlrc").write_text(_CURLRC)
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self._shell = subprocess.Popen(
            ["/bin/sh", "-e"],
            cwd=folder,
            env={"PATH": path, "HOME": str(folder), **(environment or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._shell.kill()
        self._shell.communicate()

    def run(self, text: str) -> str:
        """What a block prints, errors too."""
        late = threading.Timer(SECONDS, self._shell.kill)
        late.start()
        try:
            self._in.write(f"{text}\necho '{_END}'\n")
            self._in.flush()
            printed = []
            for line in self._out:
                # What comes before it may not have ended with a line break.
                printed.append(line.removesuffix(f"{_END}\n"))
                if line.endswith(f"{_END}\n"):
                    return "".join(printed)
        finally:
            late.cancel()
        raise AssertionError(f"failed:\n{text}\nand printed:\n{''.join(printed)}")

    @property
    def _in(self) -> IO[str]:
        assert self._shell.stdin is not None
        return self._shell.stdin

    @property
    def _out(self) -> IO[str]:
        assert self._shell.stdout is not None
        return self._shell.stdout
