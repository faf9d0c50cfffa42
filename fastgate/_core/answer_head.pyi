"""The headers of an answer, as pairs of text: those of its provider's that go on to the client, and our own figures."""

from collections.abc import Callable, Iterable

class Passed:
    """``Passed(wanted)``: the headers of which ``wanted(name)`` is true, which is asked once for a name as a rule."""

    def __init__(self, wanted: Callable[[str], bool]) -> None: ...
    def of(self, received: Iterable[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
        """Those among ``(name, value)`` in bytes, in their order, as text."""

class Figures:
    """``Figures(request_id, overhead_us, left_usd, cost_usd)``: the names under which an answer's figures are told."""

    def __init__(self, request_id: str, overhead_us: str, left_usd: str, cost_usd: str) -> None: ...
    def behind(
        self,
        parts: tuple[Iterable[tuple[str, str]], ...],
        id: bytes,
        since_ns: int,
        left: int | None,
        cost: int | None,
    ) -> list[tuple[str, str]]:
        """The pairs of all ``parts``, and behind them those of the figures.

        ``since_ns``: when the gateway would have begun had it waited for nobody. Amounts in nano-USD, None: not to be
        said.
        """
