"""What a request may cost before it is sent: how many tokens at most, and how much is held for so many."""

from typing import Self

from fastgate._core.learned import OutputRate, TokenRate
from fastgate._core.price import PriceTable, Usage

MOST_TOKENS: int
MOST_CHOICES: int
"""No provider takes more; what asks for more is refused there, and its bound need not overflow here."""

class Bound:
    """Upper bounds of one attempt."""

    @property
    def input_tokens(self) -> int: ...
    @property
    def output_tokens(self) -> int: ...
    @property
    def cap(self) -> int | None:
        """The output cap to add to the request; None: it has one, or needs none."""

    def __init__(self, input_tokens: int, output_tokens: int, cap: int | None) -> None: ...

class Terms:
    known_tiers: frozenset[str]
    """Names of service tiers of which it is known what they ask for; any other one may ask for any tier."""

    def __new__(
        cls,
        prices: PriceTable,
        price: int,
        rate: TokenRate,
        answers: OutputRate,
        thoughts: OutputRate,
        *,
        capped: bool,
        strict: bool,
        default_cap: int,
        max_output: int | None = None,
        context_window: int | None = None,
        cap_fields: tuple[str, ...] = (),
        geo: int = 0,
        instalments: bool = False,
        reasons: bool | None = None,
        attempts: tuple[tuple[str, Self], ...] = (),
    ) -> Self: ...
    @property
    def prices(self) -> PriceTable: ...
    @property
    def price(self) -> int:
        """Index into the price table; -1: nothing prices the model and the key allows that."""

    @property
    def rate(self) -> TokenRate: ...
    @property
    def answers(self) -> OutputRate:
        """Of requests that are answered without reasoning, as far as is known."""

    @property
    def thoughts(self) -> OutputRate:
        """Of those that ask for it, and of all to a model that reasons unasked."""

    @property
    def capped(self) -> bool:
        """A hard budget applies, so no request must go without a cap."""

    @property
    def strict(self) -> bool:
        """The bound is absolute."""

    @property
    def default_cap(self) -> int:
        """The gateway's, in tokens of output."""

    @property
    def max_output(self) -> int | None:
        """The model's own, in tokens; None: unknown."""

    @property
    def context_window(self) -> int | None: ...
    @property
    def cap_fields(self) -> tuple[str, ...]:
        """Members by which the provider is known to take an output cap."""

    @property
    def geo(self) -> int: ...
    @property
    def instalments(self) -> bool:
        """Streams are held for by slices: something limits them, and the bound need not be absolute."""

    @property
    def reasons(self) -> bool | None:
        """The model reasons unasked; None: not known."""

    @property
    def attempts(self) -> tuple[tuple[str, Self], ...]:
        """The models that the provider may run one after the other, this one first, each with the terms at its price.

        Empty: this one alone, as almost always.
        """

    def reasoning(self, request: object) -> bool | None: ...
    def output_rate(self, request: object) -> OutputRate: ...
    def bound(self, request: object, size: int, *, free: bool = False) -> Bound: ...
    def amount(self, bound: Bound, output_tokens: int, request: object, tier: int, now_ns: int) -> int: ...
    def quote(
        self, request: object, size: int, now_ns: int, free: bool
    ) -> tuple[Bound, int, int | None, OutputRate, bool | None, bool]: ...
    def charge(self, usage: Usage, now_ns: int) -> int: ...
    def learn(self, usage: Usage, size: int) -> None: ...
