"""The semantic cache's settings: what does not go together, and what its process is told."""

from collections.abc import Iterator
from pathlib import Path as FilePath
from typing import Any

from fastgate.config.addresses import parse_base_url
from fastgate.config.problems import Finding, Path
from fastgate.config.root import Config
from fastgate.config.settings import Embedder

_AT: Path = ("cache", "semantic")


def semantic_findings(config: Config) -> Iterator[Finding]:
    """Mistakes of ``cache.semantic``."""
    semantic, embedder = config.cache.semantic, config.cache.semantic.embedder
    if embedder is None:
        if semantic.enabled:
            yield Finding((*_AT, "enabled"), "there is no cache.semantic.embedder to find meanings with", "name one")
        return
    at = (*_AT, "embedder")
    if embedder.type == "openai-compatible":
        yield from _address(at, embedder.base_url)
        if embedder.sha256 is not None:
            yield Finding((*at, "sha256"), "an endpoint has no file of weights")
    else:
        hint = "set type: openai-compatible, or leave it out"
        for name in ("base_url", "key"):
            if getattr(embedder, name) is not None:
                yield Finding((*at, name), f"{embedder.type} asks no endpoint", hint)
    if embedder.download and embedder.type != "sentence-transformers":
        yield Finding((*at, "download"), f"{embedder.type} downloads nothing", "leave it out")


def _address(at: Path, base_url: str | None) -> Iterator[Finding]:
    if base_url is None:
        yield Finding(at, "an endpoint needs a base_url", "write the address of its API, with /v1")
        return
    try:
        parse_base_url(base_url)
    except ValueError as error:
        yield Finding((*at, "base_url"), str(error))


def process_settings_of(config: Config, folder: FilePath) -> dict[str, Any] | None:
    """What the semantic process is told, an embedder's key in it revealed; None: there is no such process."""
    semantic, embedder = config.cache.semantic, config.cache.semantic.embedder
    if embedder is None:
        return None
    told = {
        **(shown_settings(config) or {}),
        "model": _model(embedder, folder),
        "key": embedder.key.reveal() if embedder.key is not None else None,
    }
    return {
        "embedder": told,
        "max_error": semantic.max_error,
        "shadow": semantic.shadow,
        "max_entries": semantic.max_entries,
    }


def shown_settings(config: Config) -> dict[str, Any] | None:
    """The embedder's settings without its key; None: there is none."""
    embedder = config.cache.semantic.embedder
    if embedder is None:
        return None
    return {name: getattr(embedder, name) for name in embedder.__struct_fields__ if name != "key"}


def _model(embedder: Embedder, folder: FilePath) -> str:
    """A folder that is there, from the configuration's own; else the name that it is."""
    path = (folder / embedder.model).absolute()
    is_folder = embedder.type == "onnx" or (embedder.type == "sentence-transformers" and path.is_dir())
    return str(path) if is_folder else embedder.model
