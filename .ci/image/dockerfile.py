"""Reads what a Dockerfile says, as far as ours goes; what it does not know is an error: nothing is passed over."""

import json
import re
import shlex
from copy import deepcopy
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from pathlib import Path

FLAGS = re.compile(r"^(?:--[\w-]+=\S+\s+)+")
PATH = "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
STEPS = {"RUN", "COPY"}
NOTED = {"EXPOSE", "STOPSIGNAL"}


@dataclass
class Step:
    """``RUN`` with its shell command, or ``COPY`` with ``source``, ... and a destination; both where and as what."""

    kind: str
    text: str
    workdir: str
    environment: dict[str, str]
    stage: str | None = None
    """``COPY --from``: an earlier stage; absent: the build context."""


@dataclass
class Stage:
    """One ``FROM`` and what follows it; the settings are those at its end. ``image``: what it is based on, which may be
    an earlier stage.
    """

    name: str
    image: str
    steps: list[Step] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=lambda: {"PATH": PATH})
    workdir: str = "/"
    user: str = "0:0"
    volumes: list[str] = field(default_factory=list)
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    healthcheck: list[str] = field(default_factory=list)

    def take(self, kind: str, text: str) -> None:
        """One instruction. Raises ValueError for one that is not known."""
        if kind in STEPS:
            flags = dict(flag[2:].split("=", 1) for flag in (FLAGS.match(text) or [""])[0].split())
            if not flags.keys() <= {"from"}:
                raise ValueError(f"{kind} {text}: only --from is known")
            step = Step(kind, FLAGS.sub("", text), self.workdir, dict(self.environment), flags.get("from"))
            self.steps.append(step)
        elif kind == "ENV":
            for pair in shlex.split(text):
                name, value = pair.split("=", 1)
                self.environment[name] = re.sub(r"\$(\w+)", lambda found: self.environment[found[1]], value)
        elif kind in {"WORKDIR", "USER"}:
            setattr(self, kind.lower(), text)
        elif kind == "VOLUME":
            self.volumes += text.split()
        elif kind in {"ENTRYPOINT", "CMD"}:
            setattr(self, {"CMD": "command"}.get(kind, kind.lower()), json.loads(text))
        elif kind == "HEALTHCHECK":
            self.healthcheck = json.loads(FLAGS.sub("", text).removeprefix("CMD "))
        elif kind not in NOTED:
            raise ValueError(f"{kind} {text}: the replay does not know this instruction")


def read(path: Path) -> list[Stage]:
    """The stages of a Dockerfile, in order."""
    text = re.sub(r"^\s*#.*\n", "", path.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    stages: list[Stage] = []
    for line in filter(str.strip, text.splitlines()):
        kind, _, rest = line.strip().partition(" ")
        if kind == "FROM":
            image, _, name = rest.partition(" AS ")
            parent = next((stage for stage in stages if stage.name == image), Stage("", ""))
            stages.append(replace(deepcopy(parent), name=name or str(len(stages)), image=image, steps=[]))
        else:
            stages[-1].take(kind, rest.strip())
    return stages


def context(root: Path) -> list[Path]:
    """The files below ``root`` that `.dockerignore` lets through: as in Docker, the last line that matches wins."""
    lines = [line for line in (root / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    rules = [(line.removeprefix("!"), line.startswith("!")) for line in lines]
    # A tree of which nothing is let in need not be walked: all of ours is let in by its first name.
    tops = [root / pattern for pattern, taken in rules if taken]
    files = [file for top in tops for file in (top.rglob("*") if top.is_dir() else [top]) if file.is_file()]
    return [file for file in files if _taken(file.relative_to(root), rules)]


def _taken(file: Path, rules: list[tuple[str, bool]]) -> bool:
    """A rule is about a path and everything below it."""
    paths = [str(path) for path in (file, *file.parents)]
    verdict = True
    for pattern, taken in rules:
        loose = pattern.removeprefix("**/")
        if any(fnmatch(path, pattern) or (loose != pattern and fnmatch(Path(path).name, loose)) for path in paths):
            verdict = taken
    return verdict
