"""Light traffic for the demo: people and jobs of the sample organisation that ask now and then.

Runs as a child of the supervisor, which tells it through the environment where the API and the configuration are, and
ends with it. What it asks is answered by the simulator: no real money is spent.
"""

import asyncio
import os
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpx

PAUSE_SECONDS = 0.6
"""Mean time between two requests of one key."""

QUESTIONS = (
    "Summarise the incident of last night in three sentences.",
    "Write a regular expression that matches an ISO 8601 date.",
    "Why does this query scan the whole table?",
    "Translate the release notes into French.",
    "Name three risks of this migration plan.",
    "Explain the failing test and propose a fix.",
)
PEOPLE = ("ada", "grace", "linus", "margaret", "ken")
FEATURES = ("search", "review", "support", "nightly")


async def ask_forever(client: "httpx.AsyncClient", secret: str, models: list[str], chance: random.Random) -> None:
    """One key's requests, for as long as the process lives; refusals and errors are part of the picture."""
    import httpx

    while True:
        await asyncio.sleep(chance.expovariate(1 / PAUSE_SECONDS))
        try:
            await client.post(
                "/v1/chat/completions",
                headers={
                    "authorization": f"Bearer {secret}",
                    "x-fastgate-user": chance.choice(PEOPLE),
                    "x-fastgate-tags": f"feature={chance.choice(FEATURES)}",
                },
                json=request(chance.choice(models), chance),
            )
        except httpx.HTTPError:
            # The gateway restarts or drains; the supervisor ends this process when it is time.
            continue


def request(model: str, chance: random.Random) -> dict[str, Any]:
    """A chat request of a modest, random size; two in five are streamed."""
    question = chance.choice(QUESTIONS)
    return {
        "model": model,
        "max_tokens": chance.choice((64, 128, 256)),
        "stream": chance.random() < 0.4,
        "messages": [
            {"role": "system", "content": "You are brief. " * chance.randint(1, 40)},
            {"role": "user", "content": question},
        ],
    }


async def run(url: str, config_path: Path) -> None:
    """Traffic from every key of the configuration whose secret it holds."""
    import httpx

    from fastgate.config import load
    from fastgate.wire.snapshot import matches

    config = load(config_path, os.environ)
    chance = random.Random(7)
    async with httpx.AsyncClient(base_url=url, timeout=60, trust_env=False) as client, asyncio.TaskGroup() as tasks:
        for key in config.keys:
            models = [name for name in (*config.models, "sim/sim-small") if matches(key.models, name)]
            if key.secret and models:
                tasks.create_task(ask_forever(client, key.secret.reveal(), models, random.Random(chance.random())))


if __name__ == "__main__":
    host = {"0.0.0.0": "127.0.0.1"}.get(os.environ["FASTGATE_HOST"], os.environ["FASTGATE_HOST"])
    asyncio.run(run(f"http://{host}:{os.environ['FASTGATE_PORT']}", Path(os.environ["FASTGATE_CONFIG"])))
