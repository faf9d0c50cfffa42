"""The semantic cache's settings: what does not go together, and what its process is told."""

from collections.abc import Iterator
from pathlib import Path as FilePath
from typing import Any

from fastgate.config.addresses import parse_base_url
from fastgate.config.problems import Finding, Path
from fastgate.config.root import Config
from fastgate.config.settings import Embedder, Judge, SemanticCache

_AT: Path = ("cache", "semantic")


def semantic_findings(config: Config) -> Iterator[Finding]:
    """Mistakes of ``cache.semantic``."""
    semantic, embedder = config.cache.semantic, config.cache.semantic.embedder
    if semantic.judge is not None:
        yield from _judge(semantic.judge, embeds=embedder is not None)
    if embedder is None:
        for name in _said_alone(semantic):
            yield Finding((*_AT, name), "there is no cache.semantic.embedder to find meanings with", "name one")
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


def _said_alone(semantic: SemanticCache) -> Iterator[str]:
    """Settings that are not as they are where nothing is said: without an embedder none of them does anything."""
    usual = SemanticCache()
    for name in semantic.__struct_fields__:
        if name != "judge" and getattr(semantic, name) != getattr(usual, name):
            yield name


def _judge(judge: Judge, *, embeds: bool) -> Iterator[Finding]:
    at = (*_AT, "judge")
    if not embeds:
        yield Finding(at, "there is no cache.semantic.embedder, and so no answers to compare", "name one")
    yield from _address(at, judge.base_url)
    if judge.key is not None and not all("!" <= character <= "~" for character in judge.key.reveal()):
        yield Finding((*at, "key"), "holds characters that no HTTP header may have")


def _address(at: Path, base_url: str | None) -> Iterator[Finding]:
    if base_url is None:
        yield Finding(at, "an endpoint needs a base_url", "write the address of its API, with /v1")
        return
    try:
        parse_base_url(base_url)
    except ValueError as error:
        yield Finding((*at, "base_url"), str(error))


def process_settings_of(config: Config, folder: FilePath) -> dict[str, Any] | None:
    """What the semantic process is told, the keys of endpoints in it revealed; None: there is no such process."""
    semantic, embedder, judge = config.cache.semantic, config.cache.semantic.embedder, config.cache.semantic.judge
    if embedder is None:
        return None
    told = {
        **(shown_settings(config) or {}),
        "model": _model(embedder, folder),
        "key": embedder.key.reveal() if embedder.key is not None else None,
    }
    asked = shown_judge(config)
    if asked is not None and judge is not None:
        asked["key"] = judge.key.reveal() if judge.key is not None else None
    return {
        "embedder": told,
        "judge": asked,
        "max_error": semantic.max_error,
        "shadow": semantic.shadow,
        "max_entries": semantic.max_entries,
    }


def shown_settings(config: Config) -> dict[str, Any] | None:
    """The embedder's settings without its key; None: there is none."""
    return _without_key(config.cache.semantic.embedder)


def shown_judge(config: Config) -> dict[str, Any] | None:
    """The judge's settings without its key; None: there is none."""
    return _without_key(config.cache.semantic.judge)


def local_embedder(config: Config, folder: FilePath) -> dict[str, Any] | None:
    """What the semantic process is told of a model that it loads itself; None: there is none."""
    embedder = config.cache.semantic.embedder
    if embedder is None or embedder.type == "openai-compatible":
        return None
    return {**(shown_settings(config) or {}), "model": _model(embedder, folder)}


def judge_notes(config: Config) -> Iterator[str]:
    """Who judges answers of a valid configuration, and who pays for that."""
    judge = config.cache.semantic.judge
    if judge is None:
        return
    payer = next((key.id for key in config.keys if key.secret and key.secret == judge.key), None)
    paid = f"; its calls are those of the key {payer}" if payer is not None else ""
    yield (
        "cache.semantic.judge: where neither texts nor vectors tell whether two answers say the same, both and their"
        f" questions are sent to {judge.model} at {judge.base_url}{paid}"
    )


def _without_key(endpoint: Embedder | Judge | None) -> dict[str, Any] | None:
    if endpoint is None:
        return None
    return {name: getattr(endpoint, name) for name in endpoint.__struct_fields__ if name != "key"}


def _model(embedder: Embedder, folder: FilePath) -> str:
    """A folder that is there, from the configuration's own; else the name that it is."""
    path = (folder / embedder.model).absolute()
    is_folder = embedder.type == "onnx" or (embedder.type == "sentence-transformers" and path.is_dir())
    return str(path) if is_folder else embedder.model
