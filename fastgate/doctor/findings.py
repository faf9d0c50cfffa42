"""What a check found."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    """It works, and could work better or longer."""
    FAILED = "failed"
    """It does not work, or will not."""
    UNREACHABLE = "unreachable"
    """A service that is needed does not answer: the fault may lie there."""


@dataclass(frozen=True)
class Finding:
    """One line: ``check`` is a short name, ``remedy`` says what to do, where something is to be done."""

    check: str
    level: Level
    message: str
    remedy: str = ""

    def __str__(self) -> str:
        remedy = f" ({self.remedy})" if self.remedy else ""
        return f"{self.level:<12}{self.check + ':':<12} {self.message}{remedy}"


def ok(check: str, message: str) -> Finding:
    """Nothing is to be done."""
    return Finding(check, Level.OK, message)


def warning(check: str, message: str, remedy: str) -> Finding:
    """It works all the same."""
    return Finding(check, Level.WARNING, message, remedy)


def failed(check: str, message: str, remedy: str) -> Finding:
    """It does not work."""
    return Finding(check, Level.FAILED, message, remedy)


def unreachable(check: str, message: str, remedy: str) -> Finding:
    """Something else does not answer."""
    return Finding(check, Level.UNREACHABLE, message, remedy)
