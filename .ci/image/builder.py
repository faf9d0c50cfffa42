"""Carries out the steps of a Dockerfile's stages, each in a root of its own."""

import os
import shutil
import time
from pathlib import Path

import dockerfile
from chroots import Failed, Mounts, below, run

ROOT = Path(__file__).parents[2]
IMAGE = "python:3.11-slim-bookworm"
SUITE = "bookworm"
LENT = ("/etc/resolv.conf", "/etc/ssl/certs", "/etc/pip.conf")
"""What a machine needs to reach its registries: shown to RUN, in no layer."""


class Builder:
    """Builds the stages, each in a folder below ``place``."""

    def __init__(self, place: Path, cache: Path) -> None:
        self.place = place
        self.base = place / "base"
        self._cache = cache

    def make_base(self) -> None:
        """Debian as it comes, with Python where the official image has it."""
        if self._cache.exists():
            self.base.mkdir()
            run("tar", "-xf", self._cache, "-C", self.base)
            return
        wanted = "--include=python3-venv,python3-dev"
        run("mmdebstrap", "--variant=minbase", wanted, SUITE, self.base)
        for name in ("python", "python3"):
            (self.base / "usr/local/bin" / name).symlink_to("/usr/bin/python3")
        fresh = self._cache.with_suffix(".part")
        run("tar", "-cf", fresh, "-C", self.base, ".")
        fresh.replace(self._cache)

    def build(self, stage: dockerfile.Stage) -> Path:
        """Carries out the steps of a stage; returns its root."""
        origin = self.base if stage.image == IMAGE else self.place / stage.image
        if not origin.is_dir():
            raise Failed(f"the Dockerfile builds on {stage.image}; this replay knows how to stand in for {IMAGE} alone")
        root = self.place / stage.name
        run("cp", "-a", origin, root)
        for step in stage.steps:
            began = time.monotonic()
            carry_out = self._run if step.kind == "RUN" else self._copy
            carry_out(root, step)
            print(f"   {step.kind} {step.text[:90]} ({time.monotonic() - began:.0f} s)", flush=True)
        below(root, stage.workdir).mkdir(parents=True, exist_ok=True)
        return root

    def _run(self, root: Path, step: dockerfile.Step) -> None:
        below(root, step.workdir).mkdir(parents=True, exist_ok=True)
        lent = {name: value for name, value in os.environ.items() if name.startswith("PIP_") or name.endswith("_proxy")}
        with Mounts(root) as mounts:
            mounts.devices()
            for path in filter(os.path.exists, LENT):
                mounts.bind(Path(path), path)
            inside = ("unshare", "--mount", "--pid", "--fork", "--mount-proc", f"--root={root}", f"--wd={step.workdir}")
            run(*inside, "/bin/sh", "-c", step.text, env={**lent, **step.environment})

    def _copy(self, root: Path, step: dockerfile.Step) -> None:
        *sources, destination = step.text.split()
        origin = self._context() if step.stage is None else self.place / step.stage
        target = below(root, os.path.join(step.workdir, destination))
        for source in (below(origin, name) for name in sources):
            # As in Docker, a folder's content is copied, not the folder.
            folder = source.is_dir()
            (target if folder or destination.endswith("/") else target.parent).mkdir(parents=True, exist_ok=True)
            run("cp", "-a", f"{source}/." if folder else source, target)

    def _context(self) -> Path:
        where = self.place / "context"
        if not where.exists():
            for file in dockerfile.context(ROOT):
                target = where / file.relative_to(ROOT)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file, target)
        return where
