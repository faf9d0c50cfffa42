"""An OpenAI-compatible endpoint as the embedder: ``POST {base_url}/embeddings``.

Where that is this very gateway, its calls are requests of the virtual key that it is given, held for, billed and in the
ledger like any others. They are no questions themselves, so nothing goes round in circles.
"""

import asyncio
from collections.abc import Sequence
from time import monotonic
from typing import Any, Final

import httpx
import msgspec
import numpy as np

from fastgate.semantic.embedder import Embedded, unit
from fastgate.semantic.errors import EmbedderFailed, EmbedderUnusable
from fastgate.semantic.settings import EmbedderSettings

_MOST_REPLY: Final = 8 << 20
"""Bytes: a batch of questions in the most dimensions takes less than half, however its numbers are written."""
_MOST_DIMENSIONS: Final = 16_384
PAUSE_SECONDS: Final = 1.0
"""After a failure, in which nothing is asked: a budget that is spent would refuse every question, with a row for each,
and an endpoint that hangs would have all of them wait for it."""
_OWN_FAULT: Final = frozenset({400, 413, 422})
"""Statuses by which an endpoint says that it is the texts: others may pass."""


class _Item(msgspec.Struct):
    index: int
    embedding: list[float]


class _Answer(msgspec.Struct):
    data: list[_Item]


class Endpoint:
    """Asks over HTTP; the number of dimensions is that of its first answer, and stays so."""

    def __init__(self, settings: EmbedderSettings) -> None:
        if not settings.base_url:
            raise EmbedderUnusable("the embedder is openai-compatible and has no base_url")
        self.identity = f"openai-compatible {settings.base_url} {settings.model}"
        self._model = settings.model
        self._seconds = settings.timeout_seconds
        self._dimensions = 0
        self._again_at = 0.0
        self._failure = ""
        headers = {"authorization": f"Bearer {settings.key}"} if settings.key else {}
        # Straight to the address that is configured, whatever proxies the environment names for other things.
        self._client = httpx.AsyncClient(
            base_url=settings.base_url.rstrip("/"),
            headers=headers,
            timeout=settings.timeout_seconds,  # of each step; of all together, see embed
            trust_env=False,
        )

    async def embed(self, texts: Sequence[str]) -> Embedded:
        """See Embedder. What the endpoint itself cuts off it does not tell, so all count as whole: its model has to
        take what is asked about (words.LONGEST)."""
        if monotonic() < self._again_at:
            raise EmbedderFailed(self._failure)
        asked = {"model": self._model, "input": list(texts), "encoding_format": "float"}
        try:
            async with asyncio.timeout(self._seconds):
                body = await self._answered(asked)
        except (httpx.HTTPError, TimeoutError) as error:
            raise self._failed(f"the embedder's endpoint: {type(error).__name__}") from error
        return Embedded(self._vectors(body, len(texts)), (True,) * len(texts))

    async def _answered(self, asked: dict[str, Any]) -> bytes:
        """The body of the answer. Raises EmbedderFailed, HTTPError."""
        async with self._client.stream("POST", "/embeddings", json=asked) as answer:
            if answer.status_code != 200:
                failure = f"the embedder's endpoint answered {answer.status_code}"
                raise EmbedderFailed(failure) if answer.status_code in _OWN_FAULT else self._failed(failure)
            body = bytearray()
            async for piece in answer.aiter_bytes():
                body += piece
                if len(body) > _MOST_REPLY:
                    raise self._failed("the embedder's endpoint answered too much")
            return bytes(body)

    async def close(self) -> None:
        """See Embedder."""
        await self._client.aclose()

    def _failed(self, failure: str) -> EmbedderFailed:
        """What fails so would fail likewise if it were asked again at once."""
        self._again_at, self._failure = monotonic() + PAUSE_SECONDS, failure
        return EmbedderFailed(failure)

    def _vectors(self, body: bytes, count: int) -> Any:
        try:
            items = sorted(msgspec.json.decode(body, type=_Answer).data, key=lambda item: item.index)
            with np.errstate(over="ignore"):
                rows = np.array([item.embedding for item in items], dtype=np.float32)
        except (msgspec.MsgspecError, ValueError) as error:
            raise EmbedderFailed(f"the embedder's endpoint answered no embeddings: {error}") from None
        if [item.index for item in items] != list(range(count)) or rows.ndim != 2:
            raise EmbedderFailed(f"the embedder's endpoint answered {len(items)} embeddings to {count} texts")
        if not 0 < rows.shape[1] <= _MOST_DIMENSIONS or (self._dimensions and rows.shape[1] != self._dimensions):
            raise EmbedderFailed(f"the embedder's endpoint answered vectors of {rows.shape[1]} dimensions")
        if not np.isfinite(rows).all():
            raise EmbedderFailed("the embedder's endpoint answered numbers that are none")
        self._dimensions = rows.shape[1]
        return unit(rows)
