"""What a host is called among others."""

import secrets
import socket
from contextlib import suppress
from pathlib import Path
from typing import Final

HOST_FILE: Final = "host"
"""In the state folder."""


def host_id(state_dir: Path) -> str:
    """Made once, and kept with the state: the counters that this host reports are of that folder."""
    path = state_dir / HOST_FILE
    with suppress(FileNotFoundError):
        if name := path.read_text("ascii").strip():
            return name
    name = secrets.token_hex(8)
    path.write_text(f"{name}\n", "ascii")
    return name


def host_name(state_dir: Path) -> str:
    """For people: the machine's name, and the id that tells it from others of that name."""
    return f"{socket.gethostname()}/{host_id(state_dir)}"
