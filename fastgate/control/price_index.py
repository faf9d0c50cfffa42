"""The prices that a snapshot needs: gathered from the catalogue once per configuration, each distinct one once."""

from typing import Final

from fastgate.config.problems import Finding
from fastgate.config.root import Config
from fastgate.config.upstreams import Provider
from fastgate.pricing import simulated
from fastgate.pricing.amounts import PriceError
from fastgate.pricing.catalogue import Catalogue, overridden
from fastgate.pricing.names import names
from fastgate.wire.prices import ModelPrice, PriceOverride
from fastgate.wire.snapshot import NO_PRICE, PriceRecord, PriceRule

CEILING: Final = "ceiling"


class PriceIndex:
    """Numbers prices in the order in which they are asked for.

    ``findings``: what operators stated and what cannot be kept exactly.
    """

    def __init__(self, config: Config) -> None:
        self.models: list[ModelPrice] = []
        self.findings: list[Finding] = []
        self._catalogue = Catalogue({name: provider.prices for name, provider in config.providers.items()})
        self._numbers: dict[tuple[object, ...], int] = {}

    def records(self) -> tuple[PriceRecord, ...]:
        """What bounds need to know of each numbered price."""
        return tuple(
            PriceRecord(
                price.provider, price.model, price.context_window, price.max_output, price.source, price.reasons
            )
            for price in self.models
        )

    def of_model(self, name: str, provider: Provider, model: str) -> int:
        """The number of a model's price, or ``NO_PRICE``: also where tokens, all that is served, have none."""
        try:
            price = self._catalogue.find(provider.type, model, provider=name, base_url=provider.base_url)
        except PriceError as error:
            if model in provider.prices:
                self.findings.append(Finding(("providers", name, "prices", model), str(error)))
            return NO_PRICE
        return NO_PRICE if price is None or not price.by_token else self._number(price)

    def of_ceiling(self, input_usd: str, output_usd: str) -> int:
        """The number of a key's ceiling, in USD per million tokens."""
        override = PriceOverride(input_usd_per_million=input_usd, output_usd_per_million=output_usd, source=CEILING)
        return self._number(overridden(CEILING, CEILING, override))

    def names_of(self, name: str, provider: Provider) -> tuple[dict[str, int], tuple[PriceRule, ...]]:
        """Numbers of all models that a source names for a provider, and the rules for families of names.

        A name that is listed without a usable price is ``NO_PRICE``, so that no rule finds another's price for it.
        """
        exact, families = names(provider.type, provider.base_url)
        numbers = {
            model: self.of_model(name, provider, model) for model in (*exact, *simulated.MODELS, *provider.prices)
        }
        rules = tuple(
            PriceRule(family.kind, family.text, self.of_model(name, provider, family.sample)) for family in families
        )
        return numbers, rules

    def _number(self, price: ModelPrice) -> int:
        # Names of one model share its price: the table stays as small as the list of models.
        identity = (price.provider, price.rows, price.context_window, price.max_output, price.source, price.reasons)
        if identity not in self._numbers:
            self._numbers[identity] = len(self.models)
            self.models.append(price)
        return self._numbers[identity]
