"""What turns texts into vectors, and how the one that is configured is opened."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from fastgate.semantic.settings import EmbedderSettings

Vectors = NDArray[np.float32]
"""A row per text, each of length 1."""


class Embedded(NamedTuple):
    """``whole``: of which texts all words were read. Those that were cut off or not known could have said anything."""

    vectors: Vectors
    whole: tuple[bool, ...]


class Embedder(Protocol):
    """``identity`` names model and method: vectors of two identities have nothing to do with each other."""

    identity: str

    async def embed(self, texts: Sequence[str]) -> Embedded:
        """A vector for each text. Raises EmbedderFailed."""

    async def close(self) -> None:
        """Lets go of what it holds."""


class Model(Protocol):
    """An embedder that computes in the thread that calls it."""

    identity: str

    def embed(self, texts: Sequence[str]) -> Embedded:
        """A vector for each text."""


class Threaded:
    """A model of this process in a thread of its own, so that the loop goes on."""

    def __init__(self, model: Model) -> None:
        self.identity = model.identity
        self._model = model
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="embedder")

    async def embed(self, texts: Sequence[str]) -> Embedded:
        """See Embedder."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._model.embed, texts)

    async def close(self) -> None:
        """See Embedder."""
        self._thread.shutdown()


def open_embedder(settings: EmbedderSettings) -> Embedder:
    """The embedder that is configured; a model is loaded meanwhile. Raises EmbedderUnusable."""
    if settings.type == "openai-compatible":
        from fastgate.semantic.endpoint import Endpoint

        return Endpoint(settings)
    if settings.type == "onnx":
        from fastgate.semantic.onnx_model import OnnxModel

        return Threaded(OnnxModel(settings))
    from fastgate.semantic.sentence_model import SentenceModel

    return Threaded(SentenceModel(settings))


def has_word(text: str) -> bool:
    """Whether there is more in it than signs: those are compared by themselves (signs.py), whoever embeds them."""
    return any(letter.isalnum() for letter in text)


def unit(vectors: Vectors) -> Vectors:
    """The same directions with length 1; what has no direction stays zero."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: Vectors = (vectors / np.maximum(lengths, 1e-12)).astype(np.float32)
    return scaled
