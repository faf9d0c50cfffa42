"""Which other hosts this one knows, also after its process or its machine was started anew.

A store that has forgotten everything waits for all that anybody knows; whoever comes first should know.
"""

import logging
import re
from bisect import bisect_right
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from fastgate.budgets.leases.files import read
from fastgate.wire.whole_files import replace

MOST_NAMED: Final = 64
"""Hosts that one names: up to so many all are named by each."""

_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")

log = logging.getLogger("fastgate.control")


def is_name(text: str) -> bool:
    """Whether a host may be called so; the scripts on the store know it, too."""
    return _NAME.fullmatch(text) is not None


class Peers:
    """``Peers(path)``: kept there, a name in each line; None: in memory."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self.known: tuple[str, ...] = ()
        if path is not None:
            self.known = tuple(filter(is_name, read(path, lambda content: content.decode("ascii").split()) or ()))

    def after(self, host: str) -> tuple[str, ...]:
        """Those whom the store is told by ``host``: so many as follow it in the order of names, around.

        Whoever is named is waited for, and names those who follow it when it comes: so all are named, and no host has
        to name thousands.
        """
        at = bisect_right(self.known, host)
        return (*self.known[at:], *self.known[:at])[:MOST_NAMED]

    def keep(self, names: Iterable[str]) -> None:
        """From here on it is these."""
        known = tuple(sorted(names))
        if known == self.known:
            return
        self.known = known
        if self._path is not None:
            try:
                replace(self._path, "".join(f"{name}\n" for name in known).encode())
            except OSError as error:
                log.warning("leases: %s cannot be written: %s", self._path, error)
