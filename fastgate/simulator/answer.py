"""What a request is answered: decided here, neutral; put into words by the dialects."""

from typing import Literal

import msgspec

from fastgate.simulator.ask import Ask
from fastgate.simulator.prices import MAX_OUTPUT, Behaviour, Counts
from fastgate.simulator.script import Script
from fastgate.simulator.tokens import Tokenizer, sentence

Finish = Literal["stop", "length", "tools"]


class Answer(msgspec.Struct):
    """An answer before it is put into a dialect."""

    ask: Ask
    script: Script
    number: int
    """63 bits out of the seed and the request: the answer's id."""
    created: int
    """Unix seconds."""
    model: str
    """As the answer states it."""
    counts: Counts
    """Tokens by bucket, all choices together."""
    texts: list[str]
    """The text of each choice."""
    thinking: str
    """Reasoning that the answer shows; empty for none."""
    finish: Finish
    characters_per_token: int

    def pieces(self) -> list[list[str]]:
        """The text of each choice, split as a stream sends it."""
        chunks = self.script.chunks
        if isinstance(chunks, list):
            return [chunks for _ in self.texts]
        return [split(text, chunks, self.characters_per_token) for text in self.texts]


def split(text: str, chunks: int | None, characters_per_token: int) -> list[str]:
    """A text in ``chunks`` pieces of nearly one size, or in one for each token."""
    size = characters_per_token if chunks is None else max(-(-len(text) // chunks), 1)
    return [text[start : start + size] for start in range(0, len(text), size)]


class Writer(msgspec.Struct, frozen=True):
    """Decides answers, by the simulator's options."""

    tokenizer: Tokenizer
    tokens: tuple[int, int] = (16, 16)
    """Fewest and most output tokens of an answer that nobody scripted."""

    def write(self, ask: Ask, script: Script, number: int, created: int, behaves: Behaviour) -> Answer:
        """The answer to a request."""
        least, most = self.tokens
        wanted = least + number % (most - least + 1)
        text = script.text
        if text is not None or script.tools:
            text = text or ""
            calls = [call.name + call.text() for call in script.tools]
            wanted = sum(self.tokenizer.text(each) for each in (text, *calls))
        if script.tokens is not None:
            wanted = script.tokens
        visible, reasoning, cut = self._within_cap(ask, script, wanted, behaves)
        width = self.tokenizer.characters_per_token
        if text is None:
            texts = [sentence(number + choice, visible * width) for choice in range(ask.choices)]
        else:
            texts = [text[: visible * width] if cut else text] * ask.choices
        shown = sentence(number, min(reasoning, 256) * width) if ask.shows_thinking else ""
        fresh, read, write, write_1h = self._prompt(ask, behaves)
        outputs = ask.choices
        return Answer(
            ask=ask,
            script=script,
            number=number,
            created=created,
            model=script.model or ask.model,
            counts=(fresh, read, write, write_1h, visible * outputs, reasoning * outputs, 0, 0, 0),
            texts=texts,
            thinking=shown,
            finish="length" if cut else "tools" if script.tools else "stop",
            characters_per_token=width,
        )

    def _within_cap(self, ask: Ask, script: Script, wanted: int, behaves: Behaviour) -> tuple[int, int, bool]:
        """Visible tokens, reasoning tokens, and whether the cap cut the answer short; for one choice."""
        reasoning = script.reasoning
        if self.tokenizer.uses_the_cap and reasoning is None:
            cap = MAX_OUTPUT if ask.cap is None else ask.cap
            visible = min(wanted, cap)
            return visible, cap - visible, visible < wanted
        if reasoning is None:
            reasoning = 2 * wanted if behaves == "reasoning" else 0
            if ask.thinking is not None:
                reasoning = min(reasoning, ask.thinking)
        if ask.cap is None or reasoning + wanted <= ask.cap:
            return wanted, reasoning, False
        reasoning = min(reasoning, ask.cap)
        return min(wanted, ask.cap - reasoning), reasoning, True

    def _prompt(self, ask: Ask, behaves: Behaviour) -> tuple[int, int, int, int]:
        """Fresh, read, written for 5 minutes, written for an hour."""
        total = self.tokenizer.prompt(ask.prompt)
        if behaves != "cached":
            return total, 0, 0, 0
        read, write = total // 2, total // 4
        write_1h = write // 2 if ask.long_writes else 0
        return total - read - write, read, write - write_1h, write_1h
