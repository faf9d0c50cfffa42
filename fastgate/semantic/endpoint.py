"""An OpenAI-compatible endpoint as the embedder: ``POST {base_url}/embeddings``.

Its calls are that endpoint's to bill: the gateway does not serve embeddings yet, so none of them is in the ledger.
"""

from collections.abc import Sequence
from typing import Any, Final

import httpx
import msgspec
import numpy as np

from fastgate.semantic.embedder import Embedded, unit
from fastgate.semantic.errors import EmbedderFailed, EmbedderUnusable
from fastgate.semantic.settings import EmbedderSettings

_MOST_REPLY: Final = 64 << 20
_MOST_DIMENSIONS: Final = 16_384


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
        self._dimensions = 0
        headers = {"authorization": f"Bearer {settings.key}"} if settings.key else {}
        # Straight to the address that is configured, whatever proxies the environment names for other things.
        self._client = httpx.AsyncClient(
            base_url=settings.base_url.rstrip("/"),
            headers=headers,
            timeout=settings.timeout_seconds,
            trust_env=False,
        )

    async def embed(self, texts: Sequence[str]) -> Embedded:
        """See Embedder. What the endpoint itself cuts off it does not tell, so all count as whole."""
        asked = {"model": self._model, "input": list(texts), "encoding_format": "float"}
        try:
            answer = await self._client.post("/embeddings", json=asked)
        except httpx.HTTPError as error:
            raise EmbedderFailed(f"the embedder's endpoint: {type(error).__name__}") from error
        if answer.status_code != 200:
            raise EmbedderFailed(f"the embedder's endpoint answered {answer.status_code}")
        if len(answer.content) > _MOST_REPLY:
            raise EmbedderFailed("the embedder's endpoint answered too much")
        return Embedded(self._vectors(answer.content, len(texts)), (True,) * len(texts))

    async def close(self) -> None:
        """See Embedder."""
        await self._client.aclose()

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
