"""Objects of the admin API as tests make them, and how soon requests follow."""

import time
from typing import Any

import httpx

from tests.support.house import House, compact
from tests.support.wire import exchange, head

CHAT = "/v1/chat/completions"
LATE_SECONDS = 5.0
"""A machine that was busy elsewhere may delay a change so long."""

Answer = tuple[int, str | None]
"""Status, and the stable code of an error."""
OK: Answer = (200, None)
UNKNOWN: Answer = (401, "invalid_api_key")


def client(house: House) -> httpx.Client:
    """Of a house's admin API."""
    headers = {"authorization": f"Bearer {house.admin_token}"}
    return httpx.Client(base_url=f"{house.admin_url}/api/v1", headers=headers, trust_env=False, timeout=30)


def created(api: httpx.Client, collection: str, **document: Any) -> dict[str, Any]:
    """The API's answer to the creation of an object, which has to work."""
    answer = api.post(f"/{collection}", json=document)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    assert answer.headers["location"] == f"/api/v1/{collection}/{found['id']}"
    return found


def status(house: House, secret: str, model: str = "sim/sim-small", **more: Any) -> Answer:
    """What a request with this key gets, each on a connection of its own, so that any worker may answer."""
    message = {"role": "user", "content": "hello"}
    body = compact({"model": model, "max_tokens": 8, "messages": [message], **more})
    headers = {"authorization": f"Bearer {secret}", "content-type": "application/json"}
    answer = exchange(house.port, head(CHAT, headers, length=len(body)) + body)
    return answer.status, answer.headers.get("x-fastgate-error")


def soon(house: House, secret: str, expected: Answer, model: str = "sim/sim-small") -> float:
    """Every worker answers as expected, and goes on to; returns after how many seconds."""
    began = last = time.monotonic()
    in_a_row = 0
    while in_a_row < 8 * house.workers:
        found = status(house, secret, model)
        if found == expected:
            in_a_row += 1
            continue
        last = time.monotonic()
        assert last - began < LATE_SECONDS, found
        in_a_row = 0
    return last - began
