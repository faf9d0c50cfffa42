"""The OpenAI embeddings API: ``/v1/embeddings``.

A vector is the sum of one for each word, so that texts which share words have vectors that are near each other, and the
same text has the same vector always. It costs what was read.
"""

from base64 import b64encode
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from math import sqrt
from re import findall
from struct import pack, unpack
from typing import Any, Final, Literal

import msgspec

from fastgate.simulator.answer import Answer
from fastgate.simulator.ask import Ask, Embed, Refusal, decode_body
from fastgate.simulator.bill import Charge
from fastgate.simulator.dialect import Stream, billed_model, count
from fastgate.simulator.openai_chat import error, model, models, request_id_header
from fastgate.simulator.prices import Counts, Price
from fastgate.simulator.script import find_script
from fastgate.simulator.tokens import Prompt

__all__ = ["charges", "error", "model", "models", "name", "read", "request_id_header", "stream", "whole"]

name = "openai-embeddings"

DIMENSIONS: Final = 256
MOST_DIMENSIONS: Final = 3072
MOST_INPUTS: Final = 2048
_PLACES: Final = 16
"""Dimensions that a word is in, one up or down in each."""

_encode = msgspec.json.Encoder().encode


class _Body(msgspec.Struct):
    model: str
    input: str | list[str | int | list[int]]
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: int | None = None
    stream: bool | None = None


_DECODER = msgspec.json.Decoder(_Body)


def read(body: bytes, headers: Mapping[bytes, bytes]) -> Ask:
    """The request in neutral form."""
    asked = decode_body(_DECODER, body)
    if asked.stream:
        raise not_streamed()
    dimensions = DIMENSIONS if asked.dimensions is None else asked.dimensions
    if not 1 <= dimensions <= MOST_DIMENSIONS:
        raise Refusal(400, f"Invalid value for 'dimensions' = {dimensions}. Must be between 1 and {MOST_DIMENSIONS}.")
    texts, tokens = _inputs(asked.input)
    script, _ = find_script([("user", reversed(texts))])
    words = [_words(text) for text in texts] + [[str(number) for number in each] for each in tokens]
    return Ask(
        model=asked.model,
        prompt=Prompt(texts, [], inputs=len(words), tokens=sum(map(len, tokens))),
        script=script,
        choices=0,
        embed=Embed(words, dimensions, asked.encoding_format == "base64"),
    )


def not_streamed() -> Refusal:
    """The refusal of whoever wants vectors as a stream."""
    return Refusal(400, "Unrecognized request argument supplied: stream")


def _inputs(given: str | list[str | int | list[int]]) -> tuple[list[str], list[list[int]]]:
    """Texts, or lists of tokens: all are one or the other. Raises Refusal."""
    each = [given] if isinstance(given, str) else given
    numbers = [item for item in each if isinstance(item, int)]
    texts = [item for item in each if isinstance(item, str)]
    lists = [numbers] if numbers else [item for item in each if isinstance(item, list)]
    if len(each) not in {len(numbers), len(texts), len(lists)} or not each:
        raise Refusal(400, "'$.input' is invalid. Please check the API reference: https://platform.openai.com/docs.")
    if len(texts) + len(lists) > MOST_INPUTS:
        raise Refusal(400, f"Invalid 'input': array too long. Expected an array with maximum length {MOST_INPUTS}.")
    if not all(texts) or not all(lists) or any(number < 0 for numbers in lists for number in numbers):
        raise Refusal(400, "Invalid 'input': input cannot be an empty string, an empty array, or a negative token.")
    return texts, lists


def _words(text: str) -> list[str]:
    return findall(r"\w+", text.lower()) or [text]


def whole(answer: Answer) -> bytes:
    """The body of a ``list`` of embeddings."""
    embed = answer.ask.embed
    assert embed is not None
    data = [
        {"object": "embedding", "index": index, "embedding": _written(vector(words, embed.dimensions), embed.base64)}
        for index, words in enumerate(embed.words)
    ]
    body: dict[str, Any] = {"object": "list", "data": data, "model": answer.model, "usage": _usage(answer)}
    if body["usage"] is None:
        del body["usage"]
    return _encode(body)


def vector(words: Iterable[str], dimensions: int) -> bytes:
    """Little-endian single precision, of length 1."""
    sums = [0.0] * dimensions
    for word in words:
        digest = blake2b(word.encode("utf-8", "surrogatepass"), digest_size=2 * _PLACES).digest()
        for at in range(0, len(digest), 2):
            number = digest[at] << 8 | digest[at + 1]
            sums[(number >> 1) % dimensions] += 1.0 if number & 1 else -1.0
    length = sqrt(sum(each * each for each in sums))
    if not length:  # words can cancel each other out
        sums[0] = length = 1.0
    return pack(f"<{dimensions}f", *(each / length for each in sums))


def _written(packed: bytes, base64: bool) -> str | tuple[float, ...]:
    return b64encode(packed).decode() if base64 else unpack(f"<{len(packed) // 4}f", packed)


def _usage(answer: Answer) -> dict[str, Any] | None:
    """The usage as it is reported; None for none."""
    if answer.script.usage is not msgspec.UNSET:
        return answer.script.usage
    prompt = answer.counts[0]
    return {"prompt_tokens": prompt, "total_tokens": prompt}


def charges(answer: Answer, prices: Mapping[str, Price]) -> list[Charge]:
    """What the answer is billed: the input, as its usage states it, else as it was counted."""
    usage = answer.script.usage
    prompt = answer.counts[0]
    if isinstance(usage, dict):
        prompt = count(usage, "prompt_tokens" if "prompt_tokens" in usage else "total_tokens")
    counts: Counts = (prompt, 0, 0, 0, 0, 0, 0, 0, 0)
    return [Charge(billed_model(answer.model, answer.ask.model, prices), counts)]


def stream(answer: Answer) -> Stream:
    """Vectors are not streamed."""
    raise not_streamed()
