"""Headers by which budgets go: one that is there and cannot be used never gives way to what else says a name."""

from collections.abc import Iterator

import pytest

from tests.support.house import House, compact, key, secret
from tests.support.wire import Answer, exchange

BUDGETS = {"budgets": [{"limit_usd": "1", "window": "day"}]}
ALL = ("user", "session", "tag:job", "tag:agent")
BODY = compact(
    {
        "model": "sim/sim-small",
        "user": "victim",
        "prompt_cache_key": "their-session",
        "metadata": {"job": "theirs"},
        "messages": [{"role": "user", "content": "hi"}],
    }
)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    keys = [
        key("bound", trusted_identity=True, each=dict.fromkeys(ALL, BUDGETS)),
        key("models", trusted_identity=True, each={"model": BUDGETS}),
        key("own", tags={"job": "nightly"}, each={"tag:job": BUDGETS}),
    ]
    with House(tmp_path_factory.mktemp("identity"), {"keys": keys}, workers=1) as house:
        yield house


def ask(house: House, *lines: bytes, name: str = "bound") -> Answer:
    """A request with these lines in its head, as they are."""
    head = [
        b"POST /v1/chat/completions HTTP/1.1",
        b"host: gateway",
        b"authorization: Bearer " + secret(name).encode(),
        b"content-length: %d" % len(BODY),
        *lines,
    ]
    return exchange(house.port, b"\r\n".join(head) + b"\r\n\r\n" + BODY)


@pytest.mark.parametrize(
    ("named", "lines"),
    [
        ("x-fastgate-user", ["x-fastgate-user: José".encode()]),
        ("x-fastgate-user", ["x-fastgate-user: José".encode("latin-1")]),
        ("x-fastgate-user", [b"x-fastgate-user:"]),
        ("x-fastgate-user", [b"x-fastgate-user: ,"]),
        ("x-fastgate-user", [b"x-fastgate-user: one", b"x-fastgate-user: two"]),
        ("x-fastgate-session", [b"x-fastgate-session:", b"session-id: s"]),
        ("session-id", ["session-id: é".encode(), b"x-session-id: s"]),
        ("x-fastgate-tags", [b"x-fastgate-tags:"]),
        ("x-fastgate-tags", [b"x-fastgate-tags: job=1", b"x-fastgate-tags: job=9"]),
        ("x-fastgate-tags", [b"x-fastgate-tags: job=1,job=9"]),
        ("x-fastgate-tags", [b"x-fastgate-tags: a=1,job="]),
        ("x-fastgate-tags", [b"x-fastgate-tags: " + b",".join(b"t%d=1" % n for n in range(16)) + b",job=1"]),
        ("x-claude-code-agent-id", [b"x-claude-code-agent-id:", b"x-fastgate-tags: agent=a"]),
    ],
)
def test_a_header_that_cannot_be_used_is_refused(house: House, named: str, lines: list[bytes]) -> None:
    answer = ask(house, *lines)
    assert (answer.status, answer.headers["x-fastgate-error"]) == (400, "invalid_request"), answer.body
    assert f"The header {named} " in answer.body.decode()
    house.settled()
    assert not [budget for budget in house.admin("budgets", limit=1000)["items"] if "victim" in budget["id"]]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([b"x-fastgate-user: ann", b"x-fastgate-user: ann"], {"user": "ann"}),
        ([b"x-fastgate-user: Jos%C3%A9"], {"user": "Jos%C3%A9"}),
        ([b"x-fastgate-session: s1", "session-id: é".encode()], {"session": "s1"}),
        ([b"x-fastgate-user: ann", b"x-fastgate-tags: job=1, other=2,job=1"], {"user": "ann"}),
        ([b"x-openai-subagent: a", b"x-fastgate-user: ann"], {"user": "ann"}),
    ],
)
def test_a_clear_header_counts(house: House, lines: list[bytes], said: dict[str, str]) -> None:
    answer = ask(house, *lines, b"x-fastgate-operation:")
    assert answer.status == 200, answer.body
    house.settled()
    row = house.admin(f"requests/{answer.headers['x-fastgate-request-id']}")
    assert {name: row[name] for name in said} == said


@pytest.mark.parametrize("name", ["models", "own"])
def test_headers_by_which_no_budget_goes_refuse_nothing(house: House, name: str) -> None:
    """The model is nobody's claim, and a key's own tag wins over its clients'."""
    lines = ["x-fastgate-user: José".encode(), b"x-fastgate-session:", b"x-fastgate-tags: job=1", b"x-fastgate-tags:"]
    assert ask(house, *lines, name=name).status == 200
