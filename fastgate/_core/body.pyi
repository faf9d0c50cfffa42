"""Request and answer bodies: JSON that is checked and looked into by offsets, but never decoded as a whole."""

from collections.abc import Iterable, Sequence

class BodyError(ValueError):
    """A body that cannot be taken.

    ``code``: ``invalid_json``, ``invalid_utf8``, ``too_deep``, ``duplicate_name``, ``too_many_names``, ``wrong_type``.
    """

    code: str
    message: str
    offset: int
    line: int
    column: int
    field: str | None
    def __init__(
        self, code: str, message: str, offset: int, line: int, column: int, field: str | None = None
    ) -> None: ...

class Fields:
    """Wanted fields: ``model``, ``stream_options.include_usage``, ``tools.*.type="custom"``; at most 63."""

    names: tuple[str, ...]
    def __init__(self, names: Iterable[str], *, unique: bool = True) -> None: ...

class Scan:
    """What ``scan`` noted; a field is its position in ``Fields``, -1 the document itself."""

    data: bytes
    fields: Fields
    string_bytes: int
    """UTF-8 bytes of all strings and member names, unescaped."""
    def kind(self, field: int) -> int:
        """0 absent, 1 null, 2 false, 3 true, 4 number, 5 string, 6 array, 7 object."""
    def has_any(self, fields: int) -> bool:
        """Whether any of these fields is there; ``fields`` has a bit for each, ``1 << field``."""
    def span(self, field: int) -> tuple[int, int]: ...
    def member_span(self, field: int) -> tuple[int, int]: ...
    def count(self, field: int) -> int: ...
    def total(self, field: int) -> int: ...
    def filled(self, field: int) -> bool: ...
    def raw(self, field: int) -> bytes | None: ...
    def text(self, field: int) -> str | None: ...
    def integer(self, field: int) -> int | None: ...
    def natural(self, field: int) -> int | None: ...
    def boolean(self, field: int) -> bool | None: ...

def scan(data: bytes, fields: Fields) -> Scan:
    """Checks a whole JSON text and notes where the fields are. Raises ``BodyError``."""

def splice(data: bytes, edits: Sequence[tuple[int, int, bytes]]) -> bytes:
    """``data`` with each ``data[start:end]`` replaced; edits are sorted and do not overlap, else ``ValueError``."""

def insert_members(found: Scan, members: Sequence[tuple[str, bytes]], field: int = -1) -> tuple[int, int, bytes]:
    """The edit that puts members (name, JSON text) first in an object. Raises ``BodyError`` where there is none."""
