"""Spend by who a client says it is for: through a worker, the journal and the ledger, in filters and sums."""

from collections.abc import Iterator
from decimal import Decimal

import pytest

from tests.support.house import House, compact, key, secret
from tests.support.wire import Answer, exchange, head

CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    settings = {
        "teams": [{"id": "team", "environment": "prod"}],
        "keys": [
            key("one", team="team", tags={"product": "ide"}),
            key("poor", team="team", budgets=[{"limit_usd": "0.000000001", "window": "lifetime"}]),
        ],
    }
    with House(tmp_path_factory.mktemp("house"), settings, workers=1) as house:
        yield house


def ask(house: House, path: str, body: dict[str, object], name: str = "one", **headers: str) -> Answer:
    raw = compact({"model": "sim/sim-small", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}], **body})
    sent = {"x-api-key": secret(name), "anthropic-version": "2023-06-01", **headers}
    return exchange(house.port, head(path, sent, length=len(raw)) + raw)


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
@pytest.mark.parametrize("stream", [False, True])
def test_headers_reach_filters_and_sums(house: House, path: str, stream: bool) -> None:
    mark = f"{path.rpartition('/')[2]}-{stream}"
    headers = {
        "x-fastgate-user": f"ann-{mark}",
        "x-fastgate-session": f"ses-{mark}",
        "x-fastgate-operation": f"op-{mark}",
        "x-fastgate-tags": f"feature={mark}, product=fake, job=42",
    }
    costs = Decimal(0)
    for _ in range(3):
        assert ask(house, path, {"stream": stream}, **headers).status == 200
    house.settled()
    rows = house.requests(**{"tag:feature": mark})
    assert len(rows) == 3
    costs = sum((Decimal(row["cost_usd"]) for row in rows), Decimal(0))
    assert {(row["user"], row["session"], row["operation"], row["environment"]) for row in rows} == {
        (f"ann-{mark}", f"ses-{mark}", f"op-{mark}", "prod")
    }
    assert rows[0]["tags"] == {"feature": mark, "job": "42", "product": "ide"}
    [group] = house.admin("spend", by="user,session,tag:feature,environment", where=f"session=ses-{mark}")["groups"]
    assert (group["user"], group["tag:feature"], group["environment"]) == (f"ann-{mark}", mark, "prod")
    assert (group["requests"], Decimal(group["cost_usd"])) == (3, costs)


def test_what_the_bodies_of_the_apis_say(house: House) -> None:
    ask(house, CHAT, {"user": "body-user", "prompt_cache_key": "body-session", "metadata": {"feature": "body"}})
    claude = compact({"device_id": "d", "account_uuid": "claude-user", "session_id": "claude-session"}).decode()
    ask(house, MESSAGES, {"metadata": {"user_id": claude}}, **{"x-claude-code-agent-id": "sub-1"})
    house.settled()
    [chat] = house.requests(user="body-user")
    assert (chat["session"], chat["tags"]) == ("body-session", {"feature": "body", "product": "ide"})
    [message] = house.requests(session="claude-session")
    assert (message["user"], message["tags"]) == ("claude-user", {"agent": "sub-1", "product": "ide"})


def test_what_is_refused_is_attributed_too(house: House) -> None:
    """Before its body was read, after it, and by a budget."""
    said = {"x-fastgate-session": "refused"}
    assert ask(house, CHAT, {"model": "nowhere/x"}, **said).status == 404
    assert ask(house, CHAT, {"model": 7}, **said).status == 400
    assert ask(house, CHAT, {}, "poor", **said).status == 402
    house.settled()
    assert sorted(row["status"] for row in house.requests(session="refused")) == [400, 402, 404]
