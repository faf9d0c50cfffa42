"""Whether Redis is asked: after a failure it is left alone for a while, for longer each time, and then tried again."""

import logging
from typing import Final

from fastgate.wire.failure import shown

LEAST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 5.0
TOLD_AFTER: Final = 3
"""Failures in a row before the log says anything: one alone is an answer that came late."""

log = logging.getLogger("fastgate.gateway")


class LinkError(Exception):
    """Redis cannot be reached or does not answer in time: the message says how, without a secret."""


class Health:
    """``where``: what the log calls Redis. Each of its states is told once, however long it lasts."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._failures = 0
        self._told = False
        self._refusal = ""

    @property
    def pause(self) -> float:
        """Seconds to leave it alone; 0: it has not failed."""
        return min(LONGEST_PAUSE, LEAST_PAUSE * 2 ** (min(self._failures, 16) - 1)) if self._failures else 0.0

    def failed(self, why: str) -> None:
        """It did not answer, or could not be reached."""
        self._failures += 1
        if self._failures >= TOLD_AFTER and not self._told:
            self._told = True
            log.warning(
                "Redis at %s does not answer, so answers of other hosts are not asked for until it does: %s",
                self._where,
                why,
            )

    def answers(self) -> None:
        """It did when it was tried. Pauses stay as long as they were until it has served, too."""
        if self._told:
            self._told = False
            log.warning("Redis at %s answers again", self._where)

    def served(self) -> None:
        """It did what it was asked for."""
        self._failures = 0

    def refused(self, why: Exception) -> None:
        """It answered with an error: each kind is told once, until another comes."""
        kind = f"{type(why).__name__} {str(why).partition(' ')[0]}"
        if kind != self._refusal:
            self._refusal = kind
            log.warning("Redis at %s refuses what the shared cache asks for: %s", self._where, shown(str(why)))
