"""The two forms of an answer: any bytes are converted or are not, and what was converted can be converted back."""

import copy
import json
import random
from collections.abc import Callable
from typing import Any

from fastgate.dialects import forms, sse
from fastgate.dialects.anthropic import ANTHROPIC
from fastgate.dialects.base import Dialect
from fastgate.dialects.openai_chat import OPENAI_CHAT
from tests.fuzz.harness import TARGETS, change_tree, main, run, target
from tests.support import both_forms

USAGE = json.dumps(both_forms.USAGE).encode()
TOKENS = [
    b"null", b"[]", b"{}", b'""', b'"', b",", b"}", b"]", b"0", b"true", b"1e400", b"[" * 2000, b'"index":', b'"type":',
    b'"content":', b'"usage":', b'"logprobs":', b'"tool_calls":', b'"refusal":', b'"function":', b'"input":',
]  # fmt: skip
LINES = [b"data: ", b"event: ", b"\n\n", b"\r\n", b"data: [DONE]\n\n"]
VALUES = [None, "", [], {}, 0, 1, True, "x", ["x"], [{}], {"a": 1}, 1.5, "assistant", "function", "text", "fallback"]
NAMES = [
    "index", "type", "content", "delta", "message", "logprobs", "refusal", "tool_calls", "function", "custom", "usage",
    "id", "error", "text", "citations", "input", "object", "stop_reason", "obfuscation", "annotations",
]  # fmt: skip


def normal(body: Any) -> Any:
    """A body with what a stream cannot be silent about, and without what it has no place for."""
    for choice in body.get("choices", []):
        choice["message"] = {"role": "assistant", "content": None, **choice["message"]}
        for call in choice["message"].get("tool_calls") or []:
            call.pop("index", None)
    return body


def checks(dialect: Dialect) -> tuple[Callable[[bytes], None], Callable[[bytes], None]]:
    """Of a body, whose events are those of the same body; and of a stream."""

    def check_body(answer: bytes) -> None:
        told = dialect.events_of(answer, include_usage=False)
        if told is None:
            return
        body = forms.decode(answer)
        body["usage"] = body.get("usage") or both_forms.USAGE
        again = dialect.answer_of(b"".join(told), usage=forms.encode(body["usage"]))
        assert again is not None
        assert normal(body) == forms.decode(again)

    def check_stream(stream: bytes) -> None:
        answer = dialect.answer_of(stream, usage=USAGE)
        if answer is not None:
            assert dialect.events_of(answer, include_usage=True) is not None
            check_body(answer)
        for include_usage in (False, True):
            dialect.same_form(stream, include_usage=include_usage, usage=USAGE)

    return check_body, check_stream


def changed_body(rng: random.Random, pair: both_forms.Pair) -> bytes:
    """A body with its structure kept, so that the mutations reach every rule."""
    body = copy.deepcopy(pair.body)
    for _ in range(rng.randint(1, 3)):
        change_tree(rng, body, VALUES, NAMES)
    return json.dumps(body).encode()


def changed_stream(rng: random.Random, pair: both_forms.Pair) -> bytes:
    """The same of a stream; events are lost or come twice, too."""
    told = [(name, None if data == b"[DONE]" else json.loads(data)) for name, data in sse.split(pair.stream)]
    for _ in range(rng.randint(1, 3)):
        at, change = rng.randrange(len(told)), rng.randrange(4)
        if change == 0 and len(told) > 1:
            del told[at]
        elif change == 1:
            told.insert(rng.randrange(len(told) + 1), copy.deepcopy(told[at]))
        elif told[at][1] is not None:
            change_tree(rng, told[at][1], VALUES, NAMES)
    return b"".join(
        sse.event(b"[DONE]" if data is None else json.dumps(data).encode(), name.decode()) for name, data in told
    )


def altered(
    check: Callable[[bytes], None], change: Callable[[random.Random, both_forms.Pair], bytes], pairs: Any
) -> Callable[[bytes], None]:
    """A check of what the input, as a seed, makes of one of the pairs."""

    def check_altered(data: bytes) -> None:
        rng = random.Random(data)
        check(change(rng, rng.choice(list(pairs.values()))))

    return check_altered


for dialect, pairs in ((OPENAI_CHAT, both_forms.CHAT), (ANTHROPIC, both_forms.MESSAGES)):
    of_body, of_stream = checks(dialect)
    bodies = [json.dumps(pair.body).encode() for pair in pairs.values()]
    target(f"{dialect.name} body", seeds=bodies, tokens=TOKENS)(of_body)
    target(f"{dialect.name} events", seeds=[pair.stream for pair in pairs.values()], tokens=[*TOKENS, *LINES])(
        of_stream
    )
    numbers = [bytes([number]) for number in range(8)]
    target(f"{dialect.name} body tree", seeds=numbers)(altered(of_body, changed_body, pairs))
    target(f"{dialect.name} events tree", seeds=numbers)(altered(of_stream, changed_stream, pairs))
NAMED = [name for name in TARGETS if name.startswith((OPENAI_CHAT.name, ANTHROPIC.name))]


def test_for_a_short_while() -> None:
    assert len(NAMED) == 8
    for name in NAMED:
        assert run(TARGETS[name], seed=1, rounds=1500) == 1500


if __name__ == "__main__":
    main(NAMED)
