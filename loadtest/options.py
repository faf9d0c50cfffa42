"""What the command lines of the measurements have in common."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Final

RESULTS: Final = Path(__file__).with_name("results")
"""Where every figure is kept, as JSON."""


def between(least: int, most: int) -> Callable[[str], int]:
    """The type of an option that is a number within bounds."""

    def number(text: str) -> int:
        if not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"must be from {least} to {most}")
        return int(text)

    return number


def sizes(text: str) -> tuple[int, ...]:
    """The type of an option that is a list of prompts' sizes in KB."""
    found = tuple(int(part) for part in text.split(","))
    if not all(1 <= size <= 256 for size in found):
        raise argparse.ArgumentTypeError("must be from 1 to 256, in KB")
    return found
