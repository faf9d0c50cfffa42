"""Answers of any kind, as whole bodies."""

from typing import Any

from hypothesis import strategies as st

from fastgate.dialects.forms import PIECE
from tests.support.both_forms import token
from tests.support.json_text import values

Object = dict[str, Any]

TEXTS = st.text(max_size=3 * PIECE) | st.text(alphabet='ab"\\\n\r\u2028é😀', min_size=PIECE, max_size=3 * PIECE)
NAMES = st.text(min_size=1, max_size=12)
INPUTS = st.dictionaries(st.text(max_size=6), values, max_size=4)
CHAT_TEXTS = ("reasoning", "reasoning_content", "content", "refusal")


def function(arguments: st.SearchStrategy[str]) -> st.SearchStrategy[Object]:
    return st.fixed_dictionaries({"name": NAMES, "arguments": arguments})


CALLS = st.fixed_dictionaries(
    {"id": NAMES, "type": st.just("function"), "function": function(TEXTS)}, optional={"extra_content": INPUTS}
) | st.fixed_dictionaries(
    {"id": NAMES, "type": st.just("custom"), "custom": st.fixed_dictionaries({"name": NAMES, "input": TEXTS})}
)
SPOKEN = st.fixed_dictionaries(
    {"role": st.just("assistant"), "content": st.none() | TEXTS},
    optional={
        **{name: st.none() | TEXTS for name in CHAT_TEXTS if name != "content"},
        "tool_calls": st.none() | st.lists(CALLS, max_size=3),
        "function_call": st.none() | function(TEXTS),
        "annotations": st.lists(INPUTS, max_size=2),
        "audio": st.none(),
    },
)
USAGES = st.dictionaries(NAMES, values, min_size=1, max_size=4)


@st.composite
def logprobs(draw: st.DrawFn, text: str | None) -> Any:
    """Of tokens that spell a text, or of any."""
    cuts = sorted(draw(st.lists(st.integers(0, len(text or "")), max_size=6)))
    words = [(text or "")[a:b] for a, b in zip([0, *cuts], [*cuts, len(text or "")], strict=True)]
    tokens = draw(st.just(words) | st.lists(NAMES, max_size=3))
    return draw(
        st.none()
        | st.just({"content": [token(each) for each in tokens], "refusal": None})
        | st.just({"content": None})
        | st.just({})
    )


@st.composite
def completions(draw: st.DrawFn) -> Object:
    """Bodies of chat completions."""
    body = draw(
        st.fixed_dictionaries(
            {"id": NAMES, "object": st.just("chat.completion"), "created": st.integers(0, 2**40), "model": NAMES},
            optional={
                "service_tier": st.none() | NAMES,
                "system_fingerprint": st.none() | NAMES,
                "provider": values,
                "citations": values,
            },
        )
    )
    choices = []
    for index in range(draw(st.integers(1, 3))):
        choice: Object = {"index": index, "message": draw(SPOKEN), "finish_reason": draw(NAMES)}
        if draw(st.booleans()):
            choice["logprobs"] = draw(logprobs(choice["message"]["content"]))
        if draw(st.booleans()):
            choice["content_filter_results"] = draw(values)
        choices.append(choice)
    return {**body, "choices": choices, "usage": draw(USAGES)}


BLOCKS = st.one_of(
    st.fixed_dictionaries(
        {"type": st.just("text"), "text": TEXTS}, optional={"citations": st.none() | st.lists(INPUTS, max_size=2)}
    ),
    st.fixed_dictionaries({"type": st.just("thinking"), "thinking": TEXTS}, optional={"signature": TEXTS}),
    st.fixed_dictionaries(
        {"type": st.sampled_from(["tool_use", "server_tool_use", "mcp_tool_use"]), "id": NAMES, "name": NAMES,
         "input": INPUTS},
        optional={"caller": st.none() | INPUTS},
    ),
    st.fixed_dictionaries(
        {"type": st.sampled_from(["redacted_thinking", "web_search_tool_result", "container_upload"]), "data": values}
    ),
    st.fixed_dictionaries(
        {"type": st.just("compaction"), "content": st.none() | TEXTS}, optional={"encrypted_content": st.none() | TEXTS}
    ),
)  # fmt: skip
COUNTS = st.fixed_dictionaries(
    {"input_tokens": st.integers(0, 99), "output_tokens": st.integers(0, 99)},
    optional={
        name: st.none() | INPUTS | st.integers(0, 99)
        for name in ("cache_creation", "service_tier", "server_tool_use", "output_tokens_details", "iterations", "more")
    },
)
MESSAGES = st.fixed_dictionaries(
    {
        "id": NAMES,
        "type": st.just("message"),
        "role": st.just("assistant"),
        "model": NAMES,
        "content": st.lists(BLOCKS, max_size=4),
        "stop_reason": NAMES,
        "stop_sequence": st.none() | NAMES,
        "usage": COUNTS,
    },
    optional={name: st.none() | INPUTS for name in ("stop_details", "container", "context_management", "diagnostics")},
)
