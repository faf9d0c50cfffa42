"""Journal columns as the drain hands them to the ledger, made up from a seed."""

import random
from array import array
from typing import Any

from fastgate.ledger.schema import EVENT_NUMBERS, EVENT_TEXTS, ORIGIN_NUMBERS, ORIGIN_TEXTS

START_US = 1_795_000_000_000_000
STEP_US = 977_777
CHOICES: dict[str, list[str]] = {
    "key": ["ide", "batch", "a'; DROP TABLE events; --", 'quo"te'],
    "team": ["platform", "search", ""],
    "customer": ["acme", ""],
    "provider": ["sim", "openai"],
    "provider_key": ["main"],
    "model": ["smart", "sim/sim-small", "模型"],
    "upstream_model": ["sim-small", "sim-large"],
    "route": ["models.smart", "direct"],
    "dialect": ["openai-chat", "anthropic"],
    "environment": ["prod", ""],
    "error": ["", "budget_exceeded", "upstream_error"],
    "settlement": ["exact", "exact", "exact", "estimated", "unsettled", "none"],
    "outcome": ["ok", "rejected", "client_gone"],
    "tier": ["standard", "flex"],
    "cache": ["", "", "miss", "exact", "bypass"],
    "semantic": ["", "", "miss", "explore"],
    "cache_entry": ["", "00065a1b2c3d4e5f"],
    "user": ["", "ann", "bob", "o'brien"],
    "session": ["", "s1", "s2"],
    "operation": ["", "op-1"],
    "tags": [
        "",
        "feature=search",
        "feature=chat,job=1",
        "job=2,features=search",
        "feature=,x=y=z",
        "sub=feature=no,feature=yes",
    ],
}


def columns(count: int, seed: int = 0, *, start: int = 0, most: int = 10**12, big: bool = False) -> dict[str, Any]:
    """``count`` events, the first with sequence ``start + 1``; amounts up to ``most`` (``big``: near 2**63)."""
    dice = random.Random(f"{seed}/{start}")
    found: dict[str, Any] = {
        name: array("q", (dice.randrange(5000) for _ in range(count))) for name in (*EVENT_NUMBERS, *ORIGIN_NUMBERS)
    }
    low, high = (2**63 - 1000, 2**63 - 1) if big else (0, most)
    for name in ("cost_nano", "saved_nano"):
        found[name] = array("q", (dice.randint(low, high) for _ in range(count)))
    found["status"] = array("q", (dice.choice([200, 402, 502]) for _ in range(count)))
    found["stream"] = array("q", (dice.randrange(2) for _ in range(count)))
    found["seq"] = array("q", range(start + 1, start + count + 1))
    found["started_us"] = array("q", (START_US + (start + i) * STEP_US for i in range(count)))
    for name in (*ORIGIN_TEXTS, *EVENT_TEXTS):
        found[name] = [dice.choice(CHOICES[name]) for _ in range(count)]
    found["request_id"] = [f"{us * 1000:016x}{dice.getrandbits(64):016x}" for us in found["started_us"]]
    return found


def rows(found: dict[str, Any]) -> list[dict[str, Any]]:
    """The same as one mapping per event."""
    return [dict(zip(found, values, strict=True)) for values in zip(*found.values(), strict=True)]
