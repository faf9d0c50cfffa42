"""A strict hold against a second opinion: what the simulator, which shares no code with it, bills for the same bytes.

Bodies are made up in both APIs with all that bears on the bill, in forms that no library writes: escapes in names and
values, members that come twice, images and documents by address and inline, tools of the client and of the provider.
Each is refused, or held for at no less than any of the simulator's tokenizers makes of it.
"""

import json
import random
from decimal import Decimal
from types import ModuleType
from typing import Any, Final, NamedTuple

import pytest
from hypothesis import HealthCheck, event, example, given, settings
from hypothesis import strategies as st

from fastgate._core.arena import Arena
from fastgate._core.body import splice
from fastgate._core.learned import OutputRate, TokenRate
from fastgate._core.price import PriceTable
from fastgate.budgets.holds import Bound, Terms, asked_tier, why_unbounded
from fastgate.dialects.anthropic import ANTHROPIC
from fastgate.dialects.base import Dialect
from fastgate.dialects.openai_chat import OPENAI_CHAT
from fastgate.pricing.simulated import MODELS, find
from fastgate.pricing.table import build_table
from fastgate.simulator import anthropic, openai_chat
from fastgate.simulator.answer import Writer
from fastgate.simulator.ask import Refusal
from fastgate.simulator.prices import PRICES
from fastgate.simulator.script import NO_SCRIPT
from fastgate.simulator.tokens import TOKENIZERS, Tokenizer
from fastgate.wire.failure import Failure
from fastgate.wire.request import ChatRequest
from tests.support.json_text import Written

TABLE: Final = PriceTable(build_table([model for name in MODELS if (model := find(name)) is not None]))
SIMULATED: Final = {"openai-chat": openai_chat, "anthropic": anthropic}
AT_NS: Final = 1_790_000_000 * 10**9
MOST_OUTPUT: Final = 131_072


class Members(NamedTuple):
    """An object whose names may come twice; the last one counts."""

    pairs: tuple[tuple[str, Any], ...]


class Forms(Written):
    """JSON text in one of its many forms; numbers as they are, since the simulator takes no ``5E0`` for a cap."""

    def value(self, value: Any) -> str:
        if isinstance(value, Members):
            return self.members([(name, self.value(each)) for name, each in value.pairs])
        return super().value(value)

    def number(self, value: float) -> str:
        return str(value)


WORDS: Final = st.text(max_size=30)
ADDRESS: Final = st.sampled_from(["http://x/y", "data:image/png;base64,AAAA", ""])


def objects(**members: st.SearchStrategy[Any]) -> st.SearchStrategy[Members]:
    """An object of these members in any order, of which any may be left out or come twice."""
    some = st.lists(st.sampled_from(sorted(members)), max_size=len(members) + 1)
    return some.flatmap(lambda names: st.tuples(*(st.tuples(st.just(name), members[name]) for name in names))).map(
        Members
    )


def typed(kinds: list[str], **members: st.SearchStrategy[Any]) -> st.SearchStrategy[Members]:
    """As ``objects``, but with a type for sure."""
    kind = st.tuples(st.just("type"), st.sampled_from(kinds))
    return st.tuples(kind, objects(type=st.sampled_from(kinds), **members)).map(
        lambda made: Members((made[0], *made[1].pairs))
    )


def messages(block: st.SearchStrategy[Members]) -> st.SearchStrategy[list[Members]]:
    """A conversation of such blocks, or of plain text."""
    content = WORDS | st.lists(block, max_size=6)
    role = st.sampled_from(["user", "assistant"])
    message = st.tuples(role, content).map(lambda made: Members((("role", made[0]), ("content", made[1]))))
    return st.lists(message, min_size=1, max_size=4)


SOURCE: Final = objects(type=st.sampled_from(["base64", "url", "file", "text"]), data=WORDS, url=ADDRESS)
BLOCKS: Final = typed(
    ["text", "image", "document", "container_upload", "thinking", "tool_use"], text=WORDS, thinking=WORDS,
    source=SOURCE, id=WORDS, name=WORDS, input=objects(a=WORDS),
)  # fmt: skip
RESULTS: Final = typed(["tool_result"], tool_use_id=WORDS, content=WORDS | st.lists(BLOCKS, max_size=3))
PARTS: Final = typed(
    ["text", "image_url", "file", "video_url"], text=WORDS, image_url=objects(url=ADDRESS) | ADDRESS | st.none(),
    file=objects(file_id=WORDS), video_url=objects(url=ADDRESS),
)  # fmt: skip
CAPS: Final = st.integers(1, 5000) | st.none()
CHAT_TOOLS: Final = typed(["function", "custom", "web_search", "mcp", "builtin_function"], function=objects(name=WORDS))
CLAUDE_TOOLS: Final = typed(["custom", "web_search_20250305", "code_execution_20250825"], name=WORDS, description=WORDS)
CHAT: Final = {
    "messages": messages(PARTS),
    "max_tokens": CAPS,
    "max_completion_tokens": CAPS,
    "n": st.integers(1, 4),
    "tools": st.none() | st.lists(CHAT_TOOLS, max_size=3),
    "service_tier": st.sampled_from(["auto", "flex", "priority", "fast", "ultrafast"]),
    "reasoning_effort": st.sampled_from(["none", "high"]),
}
MESSAGES: Final = {
    "messages": messages(BLOCKS | RESULTS),
    "max_tokens": st.integers(0, 5000),
    "system": WORDS | st.lists(typed(["text"], text=WORDS), max_size=2),
    "thinking": st.fixed_dictionaries(
        {"type": st.sampled_from(["enabled", "disabled", "adaptive"])}, optional={"budget_tokens": st.integers(0, 4000)}
    ),
    "tools": st.none() | st.lists(CLAUDE_TOOLS, max_size=3),
    "speed": st.sampled_from(["fast", "standard"]),
    "inference_geo": st.sampled_from(["us", "global"]),
    "fallbacks": st.lists(st.sampled_from([{"model": "sim-large"}]), max_size=1),
}


@st.composite
def bodies(draw: st.DrawFn, members: dict[str, st.SearchStrategy[Any]]) -> bytes:
    """A request's body; most have the members without which no provider answers."""
    needed = [name for name in ("messages", "max_tokens") if name in members]
    names = draw(st.permutations(sorted({*needed, *draw(st.lists(st.sampled_from(sorted(members)), max_size=4))})))
    pairs = [(name, draw(members[name])) for name in names]
    model = ("model", draw(st.sampled_from(MODELS)))
    forms = Forms(random.Random(draw(st.integers(0, 2**32))))
    return forms.value(Members((model, *pairs))).encode("utf-8")


def billed(module: ModuleType, body: bytes, tokenizer: Tokenizer) -> tuple[int, Decimal] | None:
    """Tokens of the prompt and nano-USD of the answer; None: refused, which costs nothing."""
    try:
        ask = module.read(body, {b"anthropic-version": b"2023-06-01"})
    except Refusal:
        return None
    answer = Writer(tokenizer).write(ask, NO_SCRIPT, 0, 0, PRICES[ask.model].behaves)
    usd = Decimal(0)
    for charge in module.charges(answer, PRICES):
        price = PRICES[charge.model]
        usd += price.usd(charge.counts, charge.tier, charge.geo, price.is_long(charge.counts))
    return tokenizer.prompt(ask.prompt), usd * 10**9


def is_hidden(document: dict[str, Any]) -> bool:
    """Whether a decoded body asks for what it does not show: documents but plain text, files, tools of the provider."""
    tools = document.get("tools") or []
    if any(tool["type"] not in ("function", "custom") for tool in tools):
        return True
    blocks = [block for message in document["messages"] for block in listed(message["content"])]
    blocks += [inner for block in blocks for inner in listed(block.get("content"))]
    return any(
        block["type"] in ("file", "video_url", "container_upload")
        or (block["type"] == "document" and mapped(block.get("source")).get("type") not in (None, "text"))
        for block in blocks
    )


def listed(value: Any) -> list[dict[str, Any]]:
    return value if isinstance(value, list) else []


def mapped(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


@pytest.fixture(scope="module")
def rates(tmp_path_factory: pytest.TempPathFactory) -> tuple[TokenRate, OutputRate, OutputRate]:
    arena = Arena(str(tmp_path_factory.mktemp("arena") / "arena"), create=True)
    return TokenRate(arena, "p/m"), OutputRate(arena, "p/m answers"), OutputRate(arena, "p/m thoughts")


Rates = tuple[TokenRate, OutputRate, OutputRate]


def held(dialect: Dialect, body: bytes, rates: Rates) -> tuple[bytes, Bound, int] | None:
    """What is sent for a body, its bound, and nano-USD that are held; None: it is refused."""
    try:
        found, request = dialect.parse(body)
    except Failure:
        return None
    if why_unbounded(request, None):
        return None
    terms = Terms(TABLE, MODELS.index(request.model), *rates, capped=True, strict=True, default_cap=16_384,
                  max_output=MOST_OUTPUT)  # fmt: skip
    bound = terms.bound(request, len(body))
    amount = terms.amount(bound, bound.output_tokens, request, asked_tier(request), AT_NS)
    edits = dialect.edits(found, request, output_cap=bound.cap, cap_field="max_tokens")
    return splice(body, edits), bound, amount


def check(dialect: Dialect, body: bytes, rates: Rates) -> None:
    taken = held(dialect, body, rates)
    if taken is None:
        event("refused")
        return
    sent, bound, amount = taken
    for tokenizer in TOKENIZERS.values():
        bill = billed(SIMULATED[dialect.name], sent, tokenizer)
        if bill is None:
            event("refused by the provider")
            return
        tokens, nano = bill
        assert tokens <= bound.input_tokens, tokenizer.name
        assert nano <= amount, tokenizer.name
    event("held for")
    assert not is_hidden(json.loads(sent))


TEXT: Final = '{"type":"text","text":"x"}'


def crowd(block: str, more: str = "") -> bytes:
    """A request with many of these blocks, and members beside them."""
    return b'{"model":"sim-small","max_tokens":1,%b"messages":[{"role":"user","content":[%b]}]}' % (
        more.encode(), ",".join([block] * 40).encode()
    )  # fmt: skip


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(body=bodies(CHAT))
@example(body=crowd('{"type":"image_url","image_url":{"url":"http://x"}}'))
@example(body=crowd('{"type":"image\\u005furl","image_url":"http://x"}'))
@example(body=crowd('{"type":"image_url"}'))
@example(body=crowd(TEXT, '"tools":[{"type":"web_search"}],'))
def test_a_chat_completion_is_refused_or_held_for(rates: Rates, body: bytes) -> None:
    check(OPENAI_CHAT, body, rates)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(body=bodies(MESSAGES))
@example(body=crowd('{"type":"im\\u0061ge","source":{"type":"url","url":"http://x"}}'))
@example(body=crowd('{"type":"text","type":"image"}'))
@example(body=crowd('{"type":"docum\\u0065nt","source":{"type":"url","url":"http://x"}}'))
@example(body=crowd(TEXT, '"thinking":{"type":"en\\u0061bled","budget_tokens":1024},'))
def test_a_message_is_refused_or_held_for(rates: Rates, body: bytes) -> None:
    check(ANTHROPIC, body, rates)


@pytest.mark.parametrize("strict", [True, False])
def test_an_image_is_bounded_by_the_most_that_one_is_billed(rates: Rates, strict: bool) -> None:
    """gpt-4o-mini in high detail: 2,833 tokens, and 5,667 for each of 2 by 4 tiles. Half of it where it is learned."""
    terms = Terms(TABLE, 0, *rates, capped=True, strict=strict, default_cap=1)
    plain, shown = (terms.bound(ChatRequest("m", images=images), 1000).input_tokens for images in (0, 3))
    assert shown - plain >= 3 * (2_833 + 8 * 5_667) / (1 if strict else 2)


def test_most_bodies_tell_something(rates: Rates) -> None:
    """Neither refused by us nor by the provider: else the tests above would say little."""
    told = {dialect.name: 0 for dialect in (OPENAI_CHAT, ANTHROPIC)}

    @settings(max_examples=200, database=None, derandomize=True, deadline=None)
    @given(chat=bodies(CHAT), message=bodies(MESSAGES))
    def count(chat: bytes, message: bytes) -> None:
        for dialect, body in ((OPENAI_CHAT, chat), (ANTHROPIC, message)):
            taken = held(dialect, body, rates)
            told[dialect.name] += taken is not None and billed(SIMULATED[dialect.name], taken[0], tokenizer) is not None

    tokenizer = TOKENIZERS["hostile"]
    count()
    assert min(told.values()) > 60, told
