"""How a prompt becomes a number of tokens, and a number of tokens a text.

========= ==================================== ======================= ======================
tokenizer prompt                               images, each            an output token
========= ==================================== ======================= ======================
quarter   a token per 4 characters             85                      4 characters
byte      a token per UTF-8 byte               765                     1 byte
hostile   byte, and a token for each byte of   48,169                  1 byte; and the whole
          roles, names and ids; 4 a message;                           cap is used up by
          16 a request; 350 when tools are                             reasoning nobody sees
          given; 2 a text to be embedded
========= ==================================== ======================= ======================

Tool definitions and calls count as text, as they were written; what is given as tokens counts as so many.
What ``hostile`` asks for is the most that any provider has been seen to charge for what a request shows; a bound that
holds against it holds.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

HOSTILE_PER_MESSAGE: Final = 4
HOSTILE_PER_REQUEST: Final = 16
HOSTILE_TOOLS: Final = 350
HOSTILE_PER_INPUT: Final = 2
"""Where a text to be embedded begins and ends."""


class Prompt(msgspec.Struct):
    """What of a request is billed as input."""

    texts: list[str]
    """Every text of the conversation, tool definitions and calls among them."""
    names: list[str]
    """Roles, names and ids."""
    messages: int = 0
    images: int = 0
    has_tools: bool = False
    inputs: int = 0
    """Texts to be embedded."""
    tokens: int = 0
    """Given as such, by their numbers."""


class Tokenizer(msgspec.Struct, frozen=True):
    """One way to count."""

    name: str
    characters_per_token: int
    image: int
    uses_the_cap: bool = False

    def prompt(self, prompt: Prompt) -> int:
        """Tokens of a request; at least one."""
        size = self._quarters(prompt.texts) if self.characters_per_token > 1 else _bytes(prompt.texts)
        if self.uses_the_cap:
            size += _bytes(prompt.names) + HOSTILE_PER_MESSAGE * prompt.messages + HOSTILE_PER_REQUEST
            size += HOSTILE_TOOLS if prompt.has_tools else 0
            size += HOSTILE_PER_INPUT * prompt.inputs
        return max(size + self.image * prompt.images + prompt.tokens, 1)

    def text(self, text: str) -> int:
        """Tokens of an answer's text."""
        return self._quarters((text,)) if self.characters_per_token > 1 else _bytes((text,))

    def _quarters(self, texts: Sequence[str]) -> int:
        size = 0
        for text in texts:
            size += len(text)
        return -(-size // self.characters_per_token)


def _bytes(texts: Sequence[str]) -> int:
    size = 0
    for text in texts:
        size += len(text) if text.isascii() else len(text.encode())
    return size


TOKENIZERS: Final = {
    "quarter": Tokenizer("quarter", 4, 85),
    "byte": Tokenizer("byte", 1, 765),
    "hostile": Tokenizer("hostile", 1, 48_169, uses_the_cap=True),
}

# The words of every made-up answer: ASCII without quotes or escapes, so that a character is a byte in JSON too.
_WORDS = (
    "the quiet river keeps its own account of rain and every stone along the bank can read it back to the patient "
    "traveller who stops to listen while small boats carry grain and letters between towns that no map has ever named "
)
_RING: Final = _WORDS * 64


def sentence(seed: int, characters: int) -> str:
    """A text of exactly that many characters, the same for the same seed."""
    start = seed % len(_WORDS)
    if characters <= len(_RING) - len(_WORDS):
        return _RING[start : start + characters]
    return (_RING * (characters // len(_RING) + 2))[start : start + characters]
