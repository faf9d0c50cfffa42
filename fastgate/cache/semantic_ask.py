"""One request to the semantic process, for who may wait: the control process, off every request's path."""

import socket
from pathlib import Path
from time import monotonic

from fastgate.cache.unix_path import short
from fastgate.wire.semantic import SOCKET, FrameError, Frames, Reply, Request, framed, reply_of


def ask(folder: Path, request: Request, seconds: float) -> Reply | None:
    """The reply within so many seconds; None: there is none, as the process is not there, hangs or is confused."""
    end = monotonic() + seconds
    try:
        with short(folder / SOCKET) as name, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as plug:
            plug.settimeout(seconds)
            plug.connect(name)
            plug.sendall(framed(request))
            return _reply(plug, end)
    except (OSError, FrameError):
        return None


def _reply(plug: socket.socket, end: float) -> Reply | None:
    frames = Frames()
    while (left := end - monotonic()) > 0:
        plug.settimeout(left)
        received = plug.recv(1 << 16)
        if not received:
            return None
        for body in frames.feed(received):
            return reply_of(body)
    return None
