"""What a stream of the source is: its text, as who reads it can know it beforehand."""

import json
from typing import Final

MODEL: Final = "stream-1"
PROMPT_TOKENS: Final = 250
_EVENT: Final = (
    'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"stream-1","choices":'
    '[{"index":0,"delta":{%s},"finish_reason":%s}]%s}\n\n'
)


def text(chunks: int, *, wants_usage: bool) -> tuple[str, str]:
    """So many times the first text, and then the second."""
    return event(wants_usage=wants_usage), "".join(last(chunks, wants_usage=wants_usage))


def event(*, wants_usage: bool) -> str:
    """A chunk's event; the digits behind its ``@`` are its time."""
    return _EVENT % (f'"content":"@{0:020d}"', "null", ',"usage":null' if wants_usage else "")


def last(chunks: int, *, wants_usage: bool) -> list[str]:
    """The events behind the chunks."""
    pieces = [_EVENT % ("", '"stop"', ',"usage":null' if wants_usage else "")]
    if wants_usage:
        usage = {"prompt_tokens": PROMPT_TOKENS, "completion_tokens": chunks, "total_tokens": PROMPT_TOKENS + chunks}
        head = (
            '{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"stream-1","choices":[],"usage":'
        )
        pieces.append(f"data: {head}{json.dumps(usage)}}}\n\n")
    return [*pieces, "data: [DONE]\n\n"]
