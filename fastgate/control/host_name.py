"""What a host is called among others."""

import secrets
import socket
from pathlib import Path
from typing import Final

from fastgate.budgets.leases.files import read
from fastgate.budgets.leases.peers import is_name
from fastgate.wire.whole_files import replace

HOST_FILE: Final = "host"
"""In the state folder."""


def host_id(state_dir: Path) -> str:
    """Made once, and kept with the state: the counters that this host reports are of that folder."""
    path = state_dir / HOST_FILE
    if name := read(path, _name):
        return name
    name = secrets.token_hex(8)
    replace(path, f"{name}\n".encode())
    return name


def _name(content: bytes) -> str:
    name = content.decode("ascii").strip()
    if not is_name(name):
        raise ValueError("it has to be up to 64 of A-Z, a-z, 0-9, '.', '_' and '-'")
    return name


def host_name(state_dir: Path) -> str:
    """For people: the machine's name, and the id that tells it from others of that name."""
    return f"{socket.gethostname()}/{host_id(state_dir)}"
