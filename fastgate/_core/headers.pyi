"""The headers of a request, taken down as they come: by name, and in their order only where a name comes again."""

from typing import Any, final

@final
class Headers:
    """Of a request: names in lower case, values as text. Of those whose value is not ASCII only the name is known."""

    def items(self) -> list[tuple[str, str]]:
        """All of them, in the order in which they came."""
    def get(self, name: str, default: str | None = None) -> str | None:
        """The first value of a header, else ``default``."""
    def get_all(self, name: str) -> list[str]:
        """All values of a header."""
    def __contains__(self, name: str) -> bool:
        """Whether a header came, readable or not."""

def by_name(headers: Any) -> dict[str, str]:
    """A request's headers, each with its last value, whichever server has read them. Not to be changed."""
