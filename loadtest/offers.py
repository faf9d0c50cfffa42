"""What is offered to a subject: a request, each time with another number, and what has to come back."""

from dataclasses import dataclass

from loadtest import nginx, prompts, streamed
from loadtest._answers import Expected


@dataclass(frozen=True)
class Offer:
    """A request is ``before``, a number of ``prompts.NUMBER`` digits, and ``after``."""

    before: bytes
    after: bytes
    expected: Expected


def constant(size: int) -> Offer:
    """A prompt, in a body of so many bytes, for the constant upstream."""
    return Offer(*prompts.constant(size), Expected(nginx.ANSWER.encode()))


def streams(chunks: int, path: str = prompts.PATH) -> Offer:
    """A stream of the source, with its usage at the end."""
    event, tail = streamed.text(chunks, wants_usage=True)
    expected = Expected(tail.encode(), event=event.encode(), stamp=event.index("@") + 1, count=chunks)
    return Offer(*prompts.stream(chunks, path, include_usage=True), expected)
