"""An image that runs as Docker would run it, without Docker."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import dockerfile
from chroots import Failed, Mounts, below, run

SHARED_MEMORY = "64m"
"""What Docker gives where nothing is said."""
STOP_SECONDS = 60.0


class Container:
    """The final image, running: process 1 of its own namespaces, as its USER, its root read-only, its volumes new."""

    def __init__(self, image: dockerfile.Stage, root: Path, volumes: Path) -> None:
        self.image = image
        self._root = root
        self._volumes = volumes
        self._mounts = Mounts(root)
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> "Container":
        self._mounts.bind(self._root, "/")
        self._mounts.devices()
        self._mounts.memory("/dev/shm", "mode=1777", f"size={SHARED_MEMORY}")
        for path in self.image.volumes:
            # A new volume has the content, the owner and the mode of what the image has there.
            run("cp", "-a", below(self._root, path), self.volume(path))
            self._mounts.bind(self.volume(path), path)
        self._mounts.freeze()
        inside = ("unshare", "--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child", "--mount-proc")
        where = (f"--root={self._root}", f"--wd={self.image.workdir}", *self._user())
        command = [*inside, *where, *self.image.entrypoint, *self.image.command]
        self._process = subprocess.Popen(
            command, env=self.image.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        assert self._process is not None
        if self._process.poll() is None:
            self._process.kill()
            written, _errors = self._process.communicate()
            if kind is not None:
                sys.stderr.write(written)
        self._mounts.__exit__()

    def volume(self, path: str) -> Path:
        """Where a volume lies outside."""
        return self._volumes / path.strip("/").replace("/", "-")

    @property
    def first(self) -> int:
        """The process that is number 1 inside, by its number outside."""
        assert self._process is not None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        if not children:
            raise Failed("the container ended")
        return int(children[0])

    def check(self, *command: str) -> str:
        """Runs a command inside, as ``docker exec`` and health checks do."""
        inside = ("nsenter", f"--target={self.first}", "--mount", "--pid", "--ipc", "--uts", "--root", "--wd")
        return run(*inside, *self._user(), *command, env=self.image.environment)

    def owners(self) -> set[str]:
        """The users of all processes inside."""
        space = os.readlink(f"/proc/{self.first}/ns/pid")
        found = set()
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if os.readlink(process / "ns/pid") == space:
                    found.add(re.findall(r"^Uid:\s+(\d+)", (process / "status").read_text(), re.MULTILINE)[0])
            except OSError:
                continue
        return found

    def stop(self) -> tuple[int, str]:
        """As ``docker stop``: the exit code, and all that was written."""
        assert self._process is not None
        os.kill(self.first, signal.SIGTERM)
        written, _ = self._process.communicate(timeout=STOP_SECONDS)
        return self._process.returncode, written

    def _user(self) -> tuple[str, str]:
        user, _, group = self.image.user.partition(":")
        return f"--setgid={group}", f"--setuid={user}"
