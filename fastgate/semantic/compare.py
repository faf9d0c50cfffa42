"""Whether two answers say the same.

To be replaced: this one takes answers that are equal but for spaces and case, and otherwise goes by their vectors.
"""

from collections.abc import Sequence
from typing import Final, Literal

Verdict = Literal["same", "different", "unsure"]

SAME_FROM: Final = 0.93


def compare(
    one: str,
    other: str,
    *,
    vectors: tuple[Sequence[float], Sequence[float]] | None = None,
    judged: bool | None = None,
) -> Verdict:
    """By the text; else, where they were passed in, by the vectors of the two answers; else by a judge's word."""
    if one.casefold().split() == other.casefold().split():
        return "same"
    if vectors is not None:
        alike = sum(a * b for a, b in zip(*vectors, strict=True)) >= SAME_FROM
        return "same" if alike else "different"
    return "unsure" if judged is None else "same" if judged else "different"
