"""What a host keeps in its state folder of what it knows and did."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
log = logging.getLogger("fastgate.control")


def read(path: Path, understand: Callable[[bytes], T], damaged: T | None = None) -> T | None:
    """What lies there; None: nothing. ``damaged``: what it is where that cannot be read, which is told.

    ``understand`` raises ValueError.
    """
    try:
        return understand(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        log.warning("leases: %s cannot be read, and is made anew: %s", path, error)
        return damaged
