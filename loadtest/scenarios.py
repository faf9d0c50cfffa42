"""What users do, drawn from the distributions of ``scenarios.json``; of the standard library alone, as ``talk.py``.

``k6.js`` reads the same file and does the same.
"""

import json
import math
import random
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from loadtest.talk import DIALECTS, TOOL, Answer, Dialect, Message, Wrong

FILE: Final = Path(__file__).with_name("scenarios.json")
WORDS: Final = "the quick brown fox jumps over the lazy dog and writes a test that fails without its change "
_FIGURES: Final = re.compile(
    r"limit \$([\d.]+), spent \$([\d.]+), held by open requests \$([\d.]+), "
    r"and this request may cost up to \$([\d.]+\d)"
)


@dataclass(frozen=True)
class Spread:
    """A log-normal distribution, cut off at ``most``: half is below the median, and few are far above it."""

    median: float
    sigma: float
    most: float

    def draw(self) -> float:
        return min(self.most, random.lognormvariate(math.log(self.median), self.sigma))


@dataclass(frozen=True)
class Habit:
    """How somebody asks."""

    max_tokens: int
    prompt_kb: Spread
    think_seconds: Spread

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "Habit":
        spreads = {name: Spread(**document[name]) for name in ("prompt_kb", "think_seconds")}
        return cls(document["max_tokens"], **spreads)


class Scenarios:
    """A file of scenarios."""

    def __init__(self, path: Path = FILE) -> None:
        document: dict[str, Any] = json.loads(path.read_text())
        self._models: Mapping[str, Mapping[str, int]] = document["models"]
        self.users: Mapping[str, int] = document["users"]
        self.asking = Habit.of(document["asking"])
        self.spending = Habit.of(document["spending"])
        self.turns = Spread(**document["turns"])
        self.tool_result_kb = Spread(**document["tool_result_kb"])
        self.scripted: bool = document["scripted"]
        self.thresholds_ms: Mapping[str, float] = document["thresholds_ms"]

    def dialect(self) -> Dialect:
        """One of those that have models."""
        return DIALECTS[random.choice([name for name, models in self._models.items() if models])]

    def model(self, dialect: Dialect) -> str:
        """One of a dialect's, by their weights."""
        models = self._models[dialect.name]
        return random.choices(list(models), list(models.values()))[0]

    def ask(self, dialect: Dialect, habit: Habit, *, stream: bool) -> Message:
        """A request of one turn, with a prompt that nobody sent before."""
        messages = [{"role": "user", "content": text(habit.prompt_kb.draw())}]
        return dialect.body(self.model(dialect), messages, habit.max_tokens, stream=stream, tools=False)


def text(kb: float) -> str:
    """Words of so many KB, unlike any other such text."""
    size = max(40, round(kb * 1024))
    return f"{uuid.uuid4()} {WORDS * (size // len(WORDS) + 1)}"[:size]


class Session:
    """A coding agent's session: each turn sends all that was said before, and what a tool gave."""

    def __init__(self, scenarios: Scenarios) -> None:
        self._scenarios = scenarios
        self.dialect = scenarios.dialect()
        self.id = str(uuid.uuid4())
        self.turns = max(2, round(scenarios.turns.draw()))
        self._model = scenarios.model(self.dialect)
        self._prompt_tokens = 0
        task = text(scenarios.asking.prompt_kb.draw())
        self._messages: list[Message] = [{"role": "user", "content": f"{self._script()}{task}"}]

    def _script(self) -> str:
        """Has the simulator call a tool in each turn but the last; any other model is free to."""
        if not self._scenarios.scripted:
            return ""
        called = [
            {"tools": [{"name": TOOL, "arguments": {"path": f"src/{turn}.py"}}]} for turn in range(self.turns - 1)
        ]
        return f"sim: {json.dumps({'turns': called})}\n"

    def headers(self, key: str) -> dict[str, str]:
        return {**self.dialect.headers(key), self.dialect.session_header: self.id}

    def body(self) -> Message:
        """The next request."""
        return self.dialect.body(
            self._model, self._messages, self._scenarios.asking.max_tokens, stream=True, tools=True
        )

    def take(self, answer: Answer) -> None:
        """What came of it. Raises Wrong where the reported prompt is not longer than that of the turn before."""
        if answer.prompt_tokens <= self._prompt_tokens:
            raise Wrong(
                f"{answer.prompt_tokens} tokens of prompt after {self._prompt_tokens}: the context did not grow"
            )
        self._prompt_tokens = answer.prompt_tokens
        self._messages += self.dialect.next(answer, text(self._scenarios.tool_result_kb.draw()))


class Purse:
    """What the only client of a key knows of the key's one budget; USD, exact.

    Each of its requests is answered before the next, so what is left is what was left less what the answer cost.
    """

    def __init__(self) -> None:
        self._left: Decimal | None = None

    def pay(self, headers: Mapping[str, str]) -> None:
        """An answer came. Raises Wrong where it did not cost what is missing since the one before."""
        try:
            cost, left = Decimal(headers["x-fastgate-cost-usd"]), Decimal(headers["x-fastgate-budget-left-usd"])
        except KeyError as missing:
            raise Wrong(f"it has no {missing}") from None
        if self._left is not None and self._left - cost != left:
            raise Wrong(f"${self._left} were left, the answer cost ${cost}, and ${left} are left")
        self._left = left

    def refuse(self, message: str, code: str | None) -> None:
        """A 402 came, with ``x-fastgate-error``. Raises Wrong unless what was left does not cover the request."""
        found = _FIGURES.search(message)
        if code != "budget_exceeded" or found is None:
            raise Wrong(f"402 with x-fastgate-error {code}: {message}")
        limit, spent, held, needed = map(Decimal, found.groups())
        if self._left is not None and limit - spent != self._left:
            raise Wrong(f"${self._left} were left, and the refusal says: {message}")
        if held or spent + needed <= limit:
            raise Wrong(f"refused though what is left covers it: {message}")
