"""How many tokens a request can come to, before anyone has counted them.

The strict bound holds for every tokenizer that makes at most one token of a byte. The learned bound follows what a
model's answers reported, so that a hold is close to what the request will cost. Bytes are those that the provider makes
text tokens of: the body's, less those of images and files that it embeds and that are counted by ``images``.
"""

from typing import Final

STRICT_OVERHEAD: Final = 256
"""Tokens that a provider may add to any prompt: roles, separators, the model's own preamble."""
TOOL_PROMPT: Final = 2_048
"""Tokens of the hidden prompt that explains tools to the model; a few hundred where providers state it."""
IMAGE: Final = 16_384
"""Tokens of one image that is only referred to, at the highest resolution that providers bill."""

PRIOR_PERMILLE: Final = 600
"""Tokens per thousand bytes before anything was seen; English text has about 250, dense JSON and Chinese under 500."""
SAFETY_PERMILLE: Final = 1_250
"""By how much the highest ratio that was seen is exceeded."""
_MIN_BYTES: Final = 512
_MIN_PERMILLE: Final = 50
_FIXED: Final = 64


def strict_input(body_bytes: int, *, tools: bool = False, images: int = 0) -> int:
    """An upper bound of the prompt's tokens: one per byte, and constants for what the bytes do not show."""
    return body_bytes + STRICT_OVERHEAD + TOOL_PROMPT * tools + IMAGE * images


def output_cap(client: int | None, model: int | None, gateway: int, *, choices: int = 1) -> tuple[int, int]:
    """``(cap, total)``: the cap to send upstream, and the output tokens that all choices can come to under it.

    The cap is the smallest of the client's, the model's and, where the client gave none, the gateway's.
    """
    cap = gateway if client is None else client
    if model is not None:
        cap = min(cap, model)
    return cap, cap * max(choices, 1)


class LearnedInput:
    """The highest number of tokens per byte that one model was seen to make of request bodies.

    One object per worker and model; integers only. It never learns less than it saw, so one dense language raises the
    holds of all requests to that model, and never lowers another's.
    """

    __slots__ = ("_permille", "seen")

    def __init__(self) -> None:
        self._permille = 0
        self.seen = 0
        """How many answers it learned from."""

    def observe(self, body_bytes: int, prompt_tokens: int) -> None:
        """Takes in what an answer reported for a body. Small bodies, which are mostly fixed overhead, say nothing."""
        if body_bytes < _MIN_BYTES:
            return
        self.seen += 1
        permille = -(-max(prompt_tokens - _FIXED, 0) * 1_000 // body_bytes)
        self._permille = max(self._permille, permille)

    def tokens(self, body_bytes: int, *, tools: bool = False, images: int = 0) -> int:
        """Tokens to hold for a body; never more than the strict bound."""
        permille = PRIOR_PERMILLE
        if self.seen:
            permille = max(self._permille, _MIN_PERMILLE) * SAFETY_PERMILLE // 1_000 + 1
        learned = _FIXED + TOOL_PROMPT * tools + IMAGE * images + -(-body_bytes * permille // 1_000)
        return min(learned, strict_input(body_bytes, tools=tools, images=images))
