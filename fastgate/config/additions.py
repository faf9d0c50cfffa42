"""Providers, models and prices as objects with ids of their own, and a configuration to which some are added.

In the file they are entries of mappings, whose keys are their ids; a price's id is ``provider/model``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from msgspec.structs import fields, replace

from fastgate.config.root import Config
from fastgate.config.scalars import ModelName, Name
from fastgate.config.upstreams import ModelPrices, Provider, PublicModel

_PROXY: Final = "/proxy"
"""Beside the names of keys, of which none has a slash."""


class NamedProvider(Provider, frozen=True, kw_only=True):
    """An upstream service under its id."""

    id: Name


class NamedModel(PublicModel, frozen=True, kw_only=True):
    """A public model under its name."""

    id: ModelName


class StatedPrice(ModelPrices, frozen=True, kw_only=True):
    """What an operator states for one model of one provider."""

    provider: Name
    model: ModelName

    @property
    def id(self) -> str:
        """``provider/model``."""
        return f"{self.provider}/{self.model}"


@dataclass(frozen=True)
class Additions:
    """What is served beside the file's own."""

    providers: tuple[NamedProvider, ...] = ()
    models: tuple[NamedModel, ...] = ()
    prices: tuple[StatedPrice, ...] = ()

    def fitting(self, config: Config) -> "Additions":
        """Those that can be added: of what both define the file's holds, and what names a provider that is not there
        cannot be served.
        """
        providers = tuple(each for each in self.providers if each.id not in config.providers)
        known = config.providers.keys() | {each.id for each in providers}
        models = tuple(
            each
            for each in self.models
            if each.id not in config.models and all(target.provider in known for target in each.targets)
        )
        stated = {f"{name}/{model}" for name, provider in config.providers.items() for model in provider.prices}
        prices = tuple(each for each in self.prices if each.provider in known and each.id not in stated)
        return Additions(providers, models, prices)

    def added_to(self, config: Config) -> Config:
        """The configuration that holds both, where they fit."""
        providers: dict[str, Provider] = {**config.providers, **{each.id: each for each in self.providers}}
        for price in self.prices:
            provider = providers[price.provider]
            providers[price.provider] = replace(provider, prices={**provider.prices, price.model: price})
        models = {**config.models, **{each.id: each for each in self.models}}
        return replace(config, providers=providers, models=models)


def additions_of(config: Config) -> Additions:
    """The file's own, as such objects."""
    return Additions(
        tuple(NamedProvider(id=name, **_values(provider)) for name, provider in config.providers.items()),
        tuple(NamedModel(id=name, **_values(model)) for name, model in config.models.items()),
        tuple(
            StatedPrice(provider=name, model=model, **_values(prices))
            for name, provider in config.providers.items()
            for model, prices in provider.prices.items()
        ),
    )


def _values(struct: Provider | PublicModel | ModelPrices) -> dict[str, Any]:
    return {field.name: getattr(struct, field.name) for field in fields(struct)}


def credentials(provider: Provider) -> dict[str, str]:
    """The texts that must not be kept in the open: each key's, by its name, and where there is one, the proxy."""
    proxy = {} if provider.proxy is None else {_PROXY: provider.proxy.reveal()}
    return {key.name: key.value.reveal() for key in provider.keys} | proxy


def with_proxy(document: Mapping[str, Any], known: Mapping[str, str]) -> dict[str, Any]:
    """A provider's document with the proxy that is known of it."""
    return {**document, "proxy": known[_PROXY]} if _PROXY in known else dict(document)


def with_credentials(document: Mapping[str, Any], known: Mapping[str, str]) -> dict[str, Any]:
    """A provider's document in which keys that come without a value have the one that is known under their name."""
    keys = document.get("keys")
    if not isinstance(keys, list):
        return dict(document)
    return {**document, "keys": [_with_value(key, known) for key in keys]}


def _with_value(key: Any, known: Mapping[str, str]) -> Any:
    if not isinstance(key, dict) or "value" in key or not isinstance(name := key.get("name"), str):
        return key
    return {**key, "value": known[name]} if name in known else key
