"""An OpenAI-compatible endpoint as the judge: ``POST {base_url}/chat/completions``."""

from typing import Final

import httpx
import msgspec

from fastgate.semantic.errors import JudgeFailed
from fastgate.semantic.judge import request_of
from fastgate.semantic.settings import JudgeSettings

_MOST_REPLY: Final = 256 << 10
"""Bytes: a word, and what an API puts around it."""
_HEADERS: Final = {
    "content-type": "application/json",
    "accept-encoding": "identity",
    # Where the endpoint is a fastgate: a judgement is neither kept nor taken from what is kept.
    "x-fastgate-cache": "no-store, no-cache",
}


class _Message(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    message: _Message


class _Answer(msgspec.Struct):
    choices: list[_Choice]


class JudgeEndpoint:
    """Asks over HTTP, as long as it takes: the deadline is its caller's."""

    def __init__(self, settings: JudgeSettings) -> None:
        self._model = settings.model
        key = {"authorization": f"Bearer {settings.key}"} if settings.key else {}
        # Straight to the address that is configured, whatever proxies the environment names for other things.
        self._client = httpx.AsyncClient(
            base_url=settings.base_url.rstrip("/"), headers={**_HEADERS, **key}, timeout=None, trust_env=False
        )

    async def said(self, line: str) -> str:
        """What it answers about a line of ``judge.material``. Raises JudgeFailed, with nothing in it of what was
        sent or answered."""
        body = msgspec.json.encode(request_of(self._model, line))
        received = bytearray()
        try:
            async with self._client.stream("POST", "/chat/completions", content=body) as answer:
                if answer.status_code != 200:
                    raise JudgeFailed(f"the judge answered {answer.status_code}")
                async for piece in answer.aiter_bytes():
                    received += piece
                    if len(received) > _MOST_REPLY:
                        raise JudgeFailed("the judge answered too much")
        except httpx.HTTPError as error:
            raise JudgeFailed(f"the judge's endpoint: {type(error).__name__}") from None
        try:
            choices = msgspec.json.decode(received, type=_Answer).choices
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise JudgeFailed("the judge answered no chat completion") from None
        return (choices[0].message.content or "") if len(choices) == 1 else ""

    async def close(self) -> None:
        """Lets go of its connections."""
        await self._client.aclose()
