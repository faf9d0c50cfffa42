"""Which entries of the caches an operator means."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Wanted:
    """Which entries: for each name (a field of ``About``, or ``tag:<name>``) its alternatives; ages in seconds."""

    said: Sequence[tuple[str, Sequence[str]]] = ()
    older_than: int | None = None
    """Kept so long ago, or longer."""
    younger_than: int | None = None

    @property
    def is_everything(self) -> bool:
        """Whether nothing is said of them."""
        return not self.said and self.older_than is None and self.younger_than is None

    def moments(self, now_ms: int) -> tuple[int, int]:
        """The first moment at which they were kept and that after the last, as old as they are at ``now_ms``."""
        from_ms = 0 if self.younger_than is None else max(0, now_ms + 1 - 1000 * self.younger_than)
        return from_ms, now_ms + 1 - 1000 * (self.older_than or 0)

    def document(self) -> dict[str, Any]:
        """For the audit."""
        ages = {"older_than_seconds": self.older_than, "younger_than_seconds": self.younger_than}
        found: dict[str, Any] = {name: list(values) for name, values in self.said}
        return found | {name: age for name, age in ages.items() if age is not None}
