"""`fastgate embedder prepare`: from a model's folder, as it is published, to one that is served without torch."""

import hashlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np

from fastgate.cache.embedder_files import MANIFEST, MODEL, TOKENIZER, WEIGHTS, Manifest
from fastgate.semantic.errors import EmbedderUnusable
from fastgate.semantic.onnx_model import load_tokenizer, open_session, run
from fastgate.semantic.weights import (
    BertConfig,
    Tensors,
    check_digest,
    longest,
    pools_first,
    read_config,
    read_tensors,
    sha256_of,
)

LEAST_COSINE: Final = 0.98
"""Between the vectors of the quantised model and those of the original: below it, nothing is written."""
PROBES: Final = (
    "How do I reset my password?",
    "What is the capital of France, and how many people live there?",
    "Write a function that returns the n-th Fibonacci number in Python.",
    "Translate to German: the meeting was moved to Thursday at 10:30.",
    "Why is the sky blue?",
    "Is it safe to take ibuprofen and paracetamol together after a 5 km run?",
    "SELECT name FROM users WHERE id = 42;",
    "¿Cuál es la diferencia entre un contrato y un acuerdo?",
    "Summarise the plot of Hamlet in three sentences, without naming any of its characters, for a ten-year-old reader.",
    "no",
    "Thanks!",
    "Summarise this: " + "The committee met on Monday, discussed the budget of 3,400 USD and postponed the vote. " * 6,
)
"""Texts of several kinds and lengths, by which activations are measured and the result is compared."""


class Prepared(NamedTuple):
    """``cosine``: the least similarity between a probe's vectors before and after."""

    folder: Path
    dimensions: int
    longest: int
    bytes: int
    cosine: float


def prepare(source: Path, target: Path, *, sha256: str | None = None) -> Prepared:
    """Writes ``target`` from the weights in ``source``, which are checked first. Raises EmbedderUnusable.

    ``target`` is replaced as a whole or stays as it is.
    """
    digest = check_digest(source / WEIGHTS, sha256)
    config = read_config(source)
    tensors = read_tensors(source / WEIGHTS)
    first, most = pools_first(source), longest(source, config)
    padding = _padding(source / TOKENIZER)
    tokenizer = load_tokenizer(source / TOKENIZER, most, padding)
    original = open_session(_build(config, tensors, first=first), 1)
    quantised = _build(config, tensors, first=first, largest=_largest(original, tokenizer))
    cosine = _least_cosine(open_session(quantised, 1), original, tokenizer)
    if cosine < LEAST_COSINE:
        raise EmbedderUnusable(
            f"{source}: quantised, a text's vector has a cosine of {cosine:.4f} with the original one,"
            f" and {LEAST_COSINE} is wanted: this model cannot be served in 8 bits"
        )
    manifest = Manifest(
        dimensions=config.hidden_size,
        longest=most,
        padding=padding,
        source_sha256=digest,
        model_sha256=hashlib.sha256(quantised).hexdigest(),
        tokenizer_sha256=sha256_of(source / TOKENIZER),
    )
    _write(target, source / TOKENIZER, quantised, manifest)
    return Prepared(target, config.hidden_size, most, len(quantised), cosine)


def _build(config: BertConfig, tensors: Tensors, *, first: bool, largest: Sequence[Any] | None = None) -> bytes:
    try:
        from fastgate.semantic.bert_graph import build
    except ImportError as error:
        raise EmbedderUnusable(
            f"preparing needs {error.name}, which is not installed: pip install 'fastgate[semantic-onnx]'"
        ) from error
    try:
        return build(config, tensors, first=first, largest=largest)
    except KeyError as error:
        raise EmbedderUnusable(f"the weights have no tensor {error}: this is no BERT encoder") from error


def _padding(tokenizer: Path) -> int:
    """The token ``[PAD]``, which only has to be one: what it says is masked."""
    try:
        vocabulary = msgspec.json.decode(tokenizer.read_bytes())["model"]["vocab"]
        return int(vocabulary.get("[PAD]", 0))
    except OSError as error:
        raise EmbedderUnusable(f"cannot read {tokenizer}: {error.strerror}") from error
    except (msgspec.MsgspecError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise EmbedderUnusable(f"{tokenizer} is no tokenizer of words' pieces: {error!r}") from error


def _largest(original: Any, tokenizer: Any) -> list[Any]:
    """The largest activation of each channel, over all probes, before each product with weights."""
    found: list[Any] = []
    for probe in PROBES:  # each by itself, so that no padding is measured
        encoding = tokenizer.encode(probe)
        asked = {"ids": np.array([encoding.ids]), "mask": np.array([encoding.attention_mask])}
        _, *largest = original.run(None, asked)
        found = [np.maximum(*pair) for pair in zip(found, largest, strict=True)] if found else largest
    return found


def _least_cosine(quantised: Any, original: Any, tokenizer: Any) -> float:
    ours, theirs = (run(session, tokenizer, PROBES).vectors for session in (quantised, original))
    return float(np.sum(ours * theirs, axis=1).min())


def _write(target: Path, tokenizer: Path, model: bytes, manifest: Manifest) -> None:
    """All files beside the target first, then the target's name for them."""
    beside = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        beside.mkdir(parents=True)
        (beside / MODEL).write_bytes(model)
        shutil.copyfile(tokenizer, beside / TOKENIZER)
        (beside / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest)) + b"\n")
        if target.exists():
            _set_aside(target)
        beside.rename(target)
    except OSError as error:
        raise EmbedderUnusable(f"cannot write {target}: {error.strerror}") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _set_aside(target: Path) -> None:
    """Only what was prepared before is replaced: anything else may be somebody's own."""
    if not (target / MANIFEST).exists() and (not target.is_dir() or any(target.iterdir())):
        raise EmbedderUnusable(f"{target} exists and was not written by `fastgate embedder prepare`: name another one")
    shutil.rmtree(target)
