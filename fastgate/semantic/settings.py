"""What the semantic process is told when it starts: JSON in the variable ``FASTGATE_SEMANTIC``.

It is in the environment and not on the command line, where other users could read the keys of endpoints.
"""

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

VARIABLE: Final = "FASTGATE_SEMANTIC"

Embedding = Literal["sentence-transformers", "onnx", "openai-compatible"]


class EmbedderSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What turns a text into a vector."""

    type: Embedding = "onnx"
    model: str
    """A folder (of `fastgate embedder prepare`: ``onnx``; of a model: ``sentence-transformers``), else a name."""
    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")] | None = None
    """Of the folder's ``model.safetensors``, checked before it is read."""
    download: bool = False
    """Whether a model that is not there may be fetched by its name when the process starts."""
    base_url: str | None = None
    """Of an OpenAI-compatible endpoint, with ``/v1``."""
    key: str | None = None
    timeout_seconds: Annotated[float, Meta(gt=0, le=60)] = 2.0
    threads: Annotated[int, Meta(ge=1, le=64)] = 1
    """Cores that embedding may use."""


class JudgeSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The model that says whether two answers say the same, behind an OpenAI-compatible endpoint."""

    base_url: str
    """With ``/v1``."""
    model: str
    key: str | None = None
    deadline_ms: Annotated[int, Meta(ge=1, le=60_000)] = 10_000
    """For one of its words, from when it is asked."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of them."""

    embedder: EmbedderSettings
    judge: JudgeSettings | None = None
    """None: answers of which nothing else tells whether they say the same count as different."""
    max_error: Annotated[float, Meta(gt=0, lt=1)] = 0.02
    """Share of all requests that may be answered wrongly."""
    shadow: bool = False
    """Decide and measure, and serve nothing."""
    max_entries: Annotated[int, Meta(ge=1, le=10_000_000)] = 100_000
    queue: Annotated[int, Meta(ge=1, le=10_000)] = 64
    """Questions that wait at once; who asks beyond them is told so immediately."""


def settings_of(text: str | bytes) -> Settings:
    """The settings in a JSON text. Raises ``msgspec.MsgspecError``."""
    return msgspec.json.decode(text, type=Settings)
