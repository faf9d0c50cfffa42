"""What differs between the services that a request may be sent to, one row each."""

from dataclasses import dataclass, field
from typing import Final

# Headers of a client that a provider may see. Everything else, credentials and cookies above all, ends here.
_COMMON: Final = ("content-type", "accept", "user-agent", "idempotency-key", "x-client-request-id")
_OPENAI: Final = (*_COMMON, "openai-beta")
_ANTHROPIC: Final = (
    *_COMMON,
    "anthropic-version",
    "anthropic-beta",
    "anthropic-user-profile-id",
    "anthropic-dangerous-direct-browser-access",
)

# Headers of an answer that a client may see, beside those of the limits, which start alike.
_ANSWER: Final = frozenset(
    {"content-type", "x-request-id", "request-id", "retry-after", "retry-after-ms", "x-should-retry"}
)
_ANSWER_PREFIXES: Final = ("openai-", "anthropic-", "x-ratelimit-")


@dataclass(frozen=True, slots=True)
class ProviderKind:
    """A row: how requests to this kind of service are addressed and authenticated."""

    name: str
    credentials: dict[str, tuple[str, str]]
    """By dialect: the header that carries the key, and what stands before the key in it."""
    forward: dict[str, tuple[str, ...]]
    """By dialect: request headers handed on."""
    cap_fields: tuple[str, ...] = ("max_tokens",)
    """Members by which its servers are known to take a cap on output; the first is put in where none of them is."""
    defaults: tuple[tuple[str, str], ...] = ()
    """Headers sent where the client gave none."""
    compatible: bool = False
    """Whether it stands for servers of any make that speak somebody else's API."""
    asking: dict[str, tuple[str, ...]] = field(init=False)
    """By dialect: those of ``forward`` that may change an answer."""

    def __post_init__(self) -> None:
        asking = {name: tuple(each for each in names if each not in _COMMON) for name, names in self.forward.items()}
        object.__setattr__(self, "asking", asking)


_BEARER: Final = ("authorization", "Bearer ")

KINDS: Final[dict[str, ProviderKind]] = {
    kind.name: kind
    for kind in (
        ProviderKind(
            "openai",
            {"openai-chat": _BEARER, "openai-embeddings": _BEARER},
            {"openai-chat": _OPENAI, "openai-embeddings": _OPENAI},
            cap_fields=("max_completion_tokens", "max_tokens"),
        ),
        ProviderKind(
            "openai-compatible",
            {"openai-chat": _BEARER, "openai-embeddings": _BEARER},
            {"openai-chat": _OPENAI, "openai-embeddings": _OPENAI},
            compatible=True,
        ),
        ProviderKind(
            "anthropic",
            {"anthropic": ("x-api-key", "")},
            {"anthropic": _ANTHROPIC},
            defaults=(("anthropic-version", "2023-06-01"),),
        ),
        ProviderKind(
            "sim",
            {"openai-chat": _BEARER, "openai-embeddings": _BEARER, "anthropic": ("x-api-key", "")},
            {"openai-chat": _OPENAI, "openai-embeddings": _OPENAI, "anthropic": _ANTHROPIC},
        ),
    )
}


def answer_header(name: str) -> bool:
    """Whether a header of the provider's answer is handed on to the client."""
    return name in _ANSWER or name.startswith(_ANSWER_PREFIXES)
