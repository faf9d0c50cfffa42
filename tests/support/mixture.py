"""Requests of every sort that this version serves, made up by a seed: all differ, each is answered as it asks."""

import random
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from tests.support.house import compact, secret

MODELS = ("sim-small", "sim-large", "sim-reasoning", "sim-cached")
EMBEDDING = "sim-embedding"
EMBEDDINGS = 8
"""One in so many requests is for embeddings."""
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
CLAUDE_TOOL = {"name": "weather", "input_schema": {"type": "object", "properties": {}}}
CALL = {"name": "weather", "arguments": {"city": "Troms\u00f8"}}


class Asked(NamedTuple):
    """A request, and what is to be known of it later."""

    path: str
    headers: dict[str, str]
    body: bytes
    stream: bool


def mixture(seed: int, keys: Sequence[tuple[str, str]], count: int) -> Iterator[Asked]:
    """``count`` requests of these ``(virtual key, provider)``, in turn."""
    rng = random.Random(seed)
    for number in range(count):
        name, provider = keys[number % len(keys)]
        if number // len(keys) % EMBEDDINGS == EMBEDDINGS - 1:
            yield embeddings(random.Random(f"{seed} {number}"), number, name, f"{provider}/{EMBEDDING}")
            continue
        model = rng.choice(MODELS)
        stream = rng.random() < 0.5
        make = openai if rng.random() < 0.5 else anthropic
        path, more, document = make(rng, model)
        content = f"sim: {compact(document.pop('script')).decode()}" if "script" in document else "Tell me. "
        message = {"role": "user", "content": f"{content} {number} {'word ' * rng.randrange(200)}"}
        body = {"model": f"{provider}/{model}", "messages": [message], **document}
        if stream:
            body["stream"] = True
            if make is openai and rng.random() < 0.6:
                body["stream_options"] = {"include_usage": rng.random() < 0.5}
        headers = {"content-type": "application/json", **more(secret(name))}
        yield Asked(path, headers, compact(body), stream)


def embeddings(rng: random.Random, number: int, name: str, model: str) -> Asked:
    """Texts or tokens, in either form, of which some say what they shall be billed."""
    words = [f"{number} {'word ' * rng.randrange(60)}" for _ in range(rng.randrange(1, 9))]
    tokens = [[number, *(rng.randrange(100_000) for _ in range(rng.randrange(60)))] for _ in words]
    used = {"prompt_tokens": rng.randrange(100_000)}
    if rng.random() < 0.5:
        used["total_tokens"] = used["prompt_tokens"]
    script = {"usage": {"total_tokens": used["prompt_tokens"]} if rng.random() < 0.3 else used, **timing(rng)}
    scripted = [*words, f"sim: {compact(script).decode()}"]
    given = rng.choice([words[0], words, scripted, scripted, tokens[0], tokens])
    body = {"model": model, "input": given, "encoding_format": rng.choice(["base64", "float"]), "dimensions": 32}
    headers = {"content-type": "application/json", "authorization": f"Bearer {secret(name)}"}
    return Asked("/v1/embeddings", headers, compact(body), stream=False)


def timing(rng: random.Random) -> dict[str, Any]:
    """How the answer comes in pieces."""
    return rng.choice(({}, {}, {"chunks": 7}, {"split": 61}, {"chunks": 5, "chunk_ms": 2}, {"latency_ms": 5}))


def openai(rng: random.Random, model: str) -> tuple[str, Any, dict[str, Any]]:
    """A chat completion."""
    kinds = (plain, choices, tools, usage, usage, long_context, reasoning, tier)
    document = rng.choice(kinds)(rng, model)
    if "script" in document:
        document["script"] |= {**timing(rng), "usage_on": rng.choice(("end", "end", "finish", "every"))}
    if rng.random() < 0.5:
        document[rng.choice(("max_tokens", "max_completion_tokens"))] = rng.randrange(200, 4000)
    return "/v1/chat/completions", lambda key: {"authorization": f"Bearer {key}"}, document


def plain(_: random.Random, __: str) -> dict[str, Any]:
    return {}


def choices(rng: random.Random, _: str) -> dict[str, Any]:
    return {"n": rng.randrange(1, 4)}


def tools(rng: random.Random, _: str) -> dict[str, Any]:
    return {"tools": [TOOL], "script": {"tools": [CALL] * rng.randrange(1, 3), "text": rng.choice(("", "Well."))}}


def reported(prompt: int, completion: int, details: dict[str, int], output: dict[str, int]) -> dict[str, Any]:
    """OpenAI's usage object."""
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": details,
        "completion_tokens_details": output,
    }


def usage(rng: random.Random, _: str) -> dict[str, Any]:
    prompt, completion = rng.randrange(1, 100_000), rng.randrange(3000)
    read = rng.randrange(prompt + 1)
    written = rng.choice((0, rng.randrange(prompt - read + 1)))
    details = {"cached_tokens": read, "cache_write_tokens": written}
    if rng.random() < 0.2:
        details["audio_tokens"] = prompt - read - written
    return {"script": {"usage": reported(prompt, completion, details, {"reasoning_tokens": completion // 3})}}


def long_context(rng: random.Random, _: str) -> dict[str, Any]:
    prompt = rng.choice((200_000, 200_001, rng.randrange(200_001, 900_000)))
    return {"script": {"usage": reported(prompt, 77, {"cached_tokens": rng.randrange(prompt)}, {})}}


def reasoning(rng: random.Random, _: str) -> dict[str, Any]:
    return {"script": {"tokens": rng.randrange(40), "reasoning": rng.randrange(500)}, "reasoning_effort": "high"}


def tier(rng: random.Random, _: str) -> dict[str, Any]:
    name = rng.choice(("flex", "priority", "default"))
    return {"service_tier": name, "script": {"tier": name, "tokens": rng.randrange(1, 50)}}


def anthropic(rng: random.Random, model: str) -> tuple[str, Any, dict[str, Any]]:
    """A message."""
    kinds = (
        claude_plain,
        claude_tools,
        claude_cached,
        claude_cached,
        claude_long,
        claude_thinking,
        claude_class,
        claude_search,
    )
    document = {"max_tokens": rng.randrange(1500, 4000), **rng.choice(kinds)(rng, model)}
    if "script" in document:
        document["script"] |= timing(rng)
    return "/v1/messages", lambda key: {"x-api-key": key, "anthropic-version": "2023-06-01"}, document


def claude_plain(_: random.Random, __: str) -> dict[str, Any]:
    return {"system": [{"type": "text", "text": "Be brief."}]}


def claude_tools(rng: random.Random, _: str) -> dict[str, Any]:
    return {"tools": [CLAUDE_TOOL], "script": {"tools": [CALL] * rng.randrange(1, 3)}}


def claude_cached(rng: random.Random, _: str) -> dict[str, Any]:
    short, long = rng.randrange(5000), rng.randrange(5000)
    split = {"ephemeral_5m_input_tokens": short, "ephemeral_1h_input_tokens": long}
    used = {
        "input_tokens": rng.randrange(50_000),
        "cache_read_input_tokens": rng.randrange(90_000),
        "cache_creation_input_tokens": short + long,
        "cache_creation": split,
        "output_tokens": rng.randrange(2000),
    }
    return {"script": {"usage": used}}


def claude_long(rng: random.Random, _: str) -> dict[str, Any]:
    fresh = rng.randrange(100_000)
    read = rng.choice((200_000 - fresh, 200_001 - fresh, 500_000))
    return {"script": {"usage": {"input_tokens": fresh, "cache_read_input_tokens": read, "output_tokens": 99}}}


def claude_thinking(rng: random.Random, _: str) -> dict[str, Any]:
    return {"thinking": {"type": "enabled", "budget_tokens": 1024}, "script": {"reasoning": rng.randrange(900)}}


def claude_class(rng: random.Random, _: str) -> dict[str, Any]:
    return rng.choice(
        (
            {"inference_geo": "us", "script": {"geo": "us"}},
            {"speed": "fast", "script": {"speed": "fast"}},
            {"service_tier": "auto", "script": {"tier": "priority"}},
            {"inference_geo": "us", "service_tier": "auto", "script": {"tier": "priority", "geo": "us"}},
        )
    )


def claude_search(rng: random.Random, _: str) -> dict[str, Any]:
    searches = {"web_search_requests": rng.randrange(4)}
    used = {"input_tokens": 500, "output_tokens": 50, "server_tool_use": searches}
    return {"tools": [{"type": "web_search_20250305", "name": "web_search"}], "script": {"usage": used}}
