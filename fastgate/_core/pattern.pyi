"""Objects of which most begin alike: copied from a pattern in one go, which an ``__init__`` does field by field."""

from typing import Generic, TypeVar

T = TypeVar("T")

class Pattern(Generic[T]):
    """``Pattern(one)``: makes further objects of the class of ``one``, with slots as those of ``one`` are by then.

    Raises TypeError for a class that is more than its ``__slots__``.
    """

    def __init__(self, one: T) -> None: ...
    def copy(self) -> T: ...
