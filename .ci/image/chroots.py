"""Roots of their own: namespaces, what is mounted below a root, and programs that must succeed."""

import ctypes
import fcntl
import os
import shlex
import socket
import struct
import subprocess
from pathlib import Path
from typing import Any

NEW_MOUNTS, NEW_NETWORK = 0x0002_0000, 0x4000_0000
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")


class Failed(Exception):
    """The replay cannot go on, or the image is not what it should be; the message says what to do."""


def run(*command: str | Path, **settings: Any) -> str:
    """Runs a program; Failed, with all it printed, where that does not end with 0."""
    ended = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, **settings
    )
    if ended.returncode:
        raise Failed(f"{shlex.join(map(str, command))} ended with {ended.returncode}:\n{ended.stdout[-4000:]}")
    return ended.stdout


def enter(kind: int) -> None:
    """Moves this process to a namespace of its own."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(kind):
        raise Failed(
            f"this machine allows no new namespaces ({os.strerror(ctypes.get_errno())}): run as root, and in a "
            "container with CAP_SYS_ADMIN"
        )


def raise_loopback() -> None:
    """A new network has nothing but a loopback device, which is down."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        up_and_running = 0x1 | 0x40
        fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh14x", b"lo", up_and_running))


def below(root: Path, path: str) -> Path:
    """An absolute or relative path, as it is seen from a root."""
    return root / path.lstrip("/")


class Mounts:
    """What is mounted below a root for a while."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._points: list[Path] = []

    def __enter__(self) -> "Mounts":
        return self

    def __exit__(self, *_: object) -> None:
        for point in reversed(self._points):
            run("umount", "--lazy", point)

    def bind(self, source: Path, path: str) -> None:
        """Shows a file or folder of this machine at ``path``."""
        point = below(self._root, path)
        point.parent.mkdir(parents=True, exist_ok=True)
        point.mkdir(exist_ok=True) if source.is_dir() else point.touch()
        self._mount(point, "--bind", source)

    def memory(self, path: str, *options: str) -> None:
        """An empty folder in memory."""
        point = below(self._root, path)
        point.mkdir(exist_ok=True)
        self._mount(point, "-t", "tmpfs", "-o", ",".join(options), "tmpfs")

    def devices(self) -> None:
        """A small /dev."""
        self.memory("/dev", "mode=755", "size=1m")
        for name in DEVICES:
            self.bind(Path("/dev") / name, f"/dev/{name}")

    def freeze(self) -> None:
        """Makes the root read-only; what is mounted below it stays as it is."""
        run("mount", "-o", "remount,bind,ro", self._root)

    def _mount(self, point: Path, *what: str | Path) -> None:
        run("mount", *what, point)
        self._points.append(point)
