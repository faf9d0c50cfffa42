"""JSON text as no library writes it: any spacing, any escapes, any order, members that come twice."""

import json
import random
from typing import Any

from hypothesis import strategies as st

scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=12)
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)


class Written:
    """JSON text of a value in one of its many forms."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng

    def gap(self) -> str:
        return self.rng.choice(("", "", " ", "\n\t", "\r\n  "))

    def string(self, text: str) -> str:
        """Each character as it is, or escaped in a way that it may be."""
        return '"' + "".join(map(self.character, text)) + '"'

    def character(self, c: str) -> str:
        short = {'"': '\\"', "\\": "\\\\", "/": "\\/", "\n": "\\n", "\t": "\\t", "\b": "\\b", "\f": "\\f", "\r": "\\r"}
        units = c.encode("utf-16-be", "surrogatepass")
        escaped = "".join(
            f"\\u{units[i] << 8 | units[i + 1]:04{self.rng.choice('xX')}}" for i in range(0, len(units), 2)
        )
        forms = [escaped]
        if c in short:
            forms.append(short[c])
        if c >= " " and c not in '"\\' and not "\ud800" <= c <= "\udfff":
            forms += [c] * 4
        return self.rng.choice(forms)

    def number(self, value: float) -> str:
        if isinstance(value, int):
            return self.rng.choice((str(value), f"{value}", f"{value}.0", f"{value}E0", f"{value}e+00"))
        return repr(value)

    def value(self, value: Any) -> str:
        if value is None or isinstance(value, bool):
            return json.dumps(value)
        if isinstance(value, str):
            return self.string(value)
        if isinstance(value, int | float):
            return self.number(value)
        if isinstance(value, list):
            return self.joined("[", [self.value(each) for each in value], "]")
        members = [(name, self.value(each)) for name, each in value.items()]
        if members and self.rng.random() < 0.2:
            members.append(self.rng.choice(members))  # nested objects that are not ours may repeat a name
        return self.members(members)

    def members(self, members: list[tuple[str, str]]) -> str:
        return self.joined("{", [f"{self.string(name)}{self.gap()}:{self.gap()}{text}" for name, text in members], "}")

    def joined(self, opening: str, parts: list[str], closing: str) -> str:
        inner = ",".join(f"{self.gap()}{part}{self.gap()}" for part in parts)
        return f"{opening}{inner or self.gap()}{closing}"


OURS = frozenset(
    [
        "audio",
        "functions",
        "inference_geo",
        "max_completion_tokens",
        "max_tokens",
        "mcp_servers",
        "messages",
        "metadata",
        "model",
        "n",
        "prediction",
        "prompt_cache_key",
        "safety_identifier",
        "service_tier",
        "speed",
        "stream",
        "stream_options",
        "thinking",
        "tools",
        "user",
        "web_search_options",
    ]
)
"""Members that the gateway reads: each has to be there once, and of its type."""


@st.composite
def bodies(draw: st.DrawFn, model: str, fixed: dict[str, Any]) -> tuple[bytes, Written]:
    """A body with the members ``fixed`` somewhere among others, its text made up at random."""
    extra = draw(st.dictionaries(st.text(max_size=8).filter(lambda name: name not in OURS), values, max_size=5))
    writer = Written(random.Random(draw(st.integers(0, 2**32))))
    content = draw(st.text(max_size=40) | st.lists(st.fixed_dictionaries({"type": st.just("text"), "text": st.text()})))
    members = {"model": model, "messages": [{"role": "user", "content": content}], **fixed, **extra}
    plain = {"model", *fixed}
    order = draw(st.permutations(list(members)))
    written = [(name, json.dumps(members[name]) if name in plain else writer.value(members[name])) for name in order]
    text = writer.gap() + writer.members(written) + writer.gap()
    return text.encode("utf-8"), writer
