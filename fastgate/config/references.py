"""What a configuration's values say about each other: names that have to exist, be unique, or fit together."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path as FilePath

from fastgate.config.addresses import parse_base_url
from fastgate.config.cache_check import meaning_findings
from fastgate.config.certificates import ca_findings, tls_findings
from fastgate.config.owners_check import Known, owner_findings, secret_finding
from fastgate.config.postgres import postgres_findings
from fastgate.config.problems import Finding, Lost, Path, did_you_mean
from fastgate.config.proxies import parse_proxy
from fastgate.config.root import Config
from fastgate.config.scalars import Secret
from fastgate.config.semantic import semantic_findings
from fastgate.config.stores import store_findings
from fastgate.config.upstreams import DEFAULT_URLS, Provider, PublicModel


def findings(config: Config, folder: FilePath, lost: Lost) -> Iterator[Finding]:
    """All mistakes of this kind; ``folder`` is where relative paths start. References to what was ``lost`` are none."""
    known = Known.of(config, lost)
    return chain(
        _server(config, folder),
        chain.from_iterable(
            provider_findings(("providers", name), provider, folder) for name, provider in config.providers.items()
        ),
        chain.from_iterable(
            model_findings(("models", name), name, model, known) for name, model in config.models.items()
        ),
        owner_findings(config, known),
        store_findings(config, folder),
        postgres_findings(config, folder),
        semantic_findings(config),
    )


def _server(config: Config, folder: FilePath) -> Iterator[Finding]:
    if config.server.tls is not None:
        yield from tls_findings(("server", "tls"), folder, config.server.tls)
    if config.server.port == config.server.admin_port:
        yield Finding(("server", "admin_port"), f"{config.server.admin_port} is the port of the data plane, too")
    for name in ("token", "metrics_token"):
        unfit = secret_finding(("admin", name), getattr(config.admin, name) or None)  # an empty one is none
        if unfit is not None:
            yield unfit
    if "*" in config.server.cors_origins and len(config.server.cors_origins) > 1:
        yield Finding(("server", "cors_origins"), "* is every origin: the others would be ignored")
    if not config.providers:
        yield Finding(("providers",), "at least one is needed", "see fastgate config init")


def provider_findings(path: Path, provider: Provider, folder: FilePath) -> Iterator[Finding]:
    """Of one provider at ``path``."""
    yield from _base_url(path, provider)
    if not provider.keys and provider.type in DEFAULT_URLS:
        yield Finding((*path, "keys"), f"{provider.type} needs at least one key")
    seen: set[str] = set()
    for index, key in enumerate(provider.keys):
        if key.name in seen:
            yield Finding((*path, "keys", index, "name"), f"a second key {key.name}")
        seen.add(key.name)
        text = key.value.reveal()
        if not text:
            yield Finding((*path, "keys", index, "value"), "is empty")
        elif text == str(key.value):
            hint = "write the credential; a PATCH keeps the one that it has where `value` is left out"
            yield Finding((*path, "keys", index, "value"), "is what stands for a credential where it is shown", hint)
        elif not _is_token(text):
            yield Finding((*path, "keys", index, "value"), "holds characters that no HTTP header may have")
    if provider.keys and not any(key.weight for key in provider.keys):
        yield Finding((*path, "keys"), "every weight is 0: no key would ever be used")
    if provider.proxy:
        yield from _proxy((*path, "proxy"), provider.proxy)
    if provider.ca_file is not None:
        yield from ca_findings((*path, "ca_file"), folder / provider.ca_file)


def _base_url(path: Path, provider: Provider) -> Iterator[Finding]:
    if provider.base_url is None:
        if provider.type not in DEFAULT_URLS:
            yield Finding(path, f"base_url is missing: {provider.type} has no usual address")
        return
    try:
        address = parse_base_url(provider.base_url)
    except ValueError as error:
        yield Finding((*path, "base_url"), str(error))
        return
    if provider.type == "anthropic" and address.path.endswith("/v1"):
        yield Finding((*path, "base_url"), "for anthropic it is what precedes /v1", "leave /v1 out")


def _proxy(path: Path, proxy: Secret) -> Iterator[Finding]:
    try:
        parse_proxy(proxy.reveal())
    except ValueError as error:
        yield Finding(path, str(error))


def _is_token(text: str) -> bool:
    """Whether a text can be the value of a header as it is."""
    return all("!" <= character <= "~" for character in text)


def model_findings(path: Path, name: str, model: PublicModel, known: Known) -> Iterator[Finding]:
    """Of one public model at ``path``."""
    prefix = name.partition("/")[0]
    if "/" in name and prefix in known.providers:
        yield Finding(path, f"hides a model of provider {prefix}", "provider/model always works; choose another name")
    for index, target in enumerate(model.targets):
        if target.provider not in known.providers:
            hint = did_you_mean(target.provider, known.providers)
            yield Finding((*path, "targets", index, "provider"), f"no provider {target.provider}", hint)
    if not any(target.weight for target in model.targets):
        yield Finding((*path, "targets"), "every weight is 0: no target would ever be used")
    yield from meaning_findings(path, model.cache, embeds=known.embeds)
