"""Users' scenarios without a load tool: what grows, what is spread, and what is found to be wrong."""

import json
from statistics import median
from typing import Any

import pytest

from loadtest.errors import RigError
from loadtest.rehearsal import check_dry
from loadtest.scenarios import Purse, Scenarios, Session, Spread, text
from loadtest.talk import DIALECTS, Answer, Call, Dialect, Stream, Wrong, read_refusal, read_whole

OPENAI, ANTHROPIC = DIALECTS["openai"], DIALECTS["anthropic"]
CALL = Call("call_1", "read_file", '{"path": "src/1.py"}')


def test_a_spread_has_its_median_and_its_end() -> None:
    drawn = [Spread(4, 1, 20).draw() for _ in range(2000)]
    assert 3.5 < median(drawn) < 4.5
    assert max(drawn) == 20
    assert min(drawn) > 0


def test_texts_have_their_size_and_are_never_the_same() -> None:
    texts = [text(2) for _ in range(100)]
    assert {len(one) for one in texts} == {2048}
    assert len({one[:64] for one in texts}) == 100


def test_models_and_apis_are_mixed_by_their_weights() -> None:
    scenarios = Scenarios()
    drawn = [scenarios.model(OPENAI) for _ in range(2000)]
    assert 0.7 < drawn.count("sim/sim-small") / 2000 < 0.8
    assert {scenarios.dialect().name for _ in range(100)} == {"openai", "anthropic"}


@pytest.mark.parametrize(
    ("dialect", "header", "roles"),
    [
        (OPENAI, "x-session-id", ["user", "assistant", "tool", "assistant", "user"]),
        (ANTHROPIC, "x-claude-code-session-id", ["user", "assistant", "user", "assistant", "user"]),
    ],
)
def test_a_session_sends_all_that_was_said_and_names_itself(
    dialect: Dialect, header: str, roles: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Scenarios, "dialect", lambda self: dialect)
    session = Session(Scenarios())
    first = len(json.dumps(session.body()))
    session.take(Answer("", [CALL], 100, 10))
    second = len(json.dumps(session.body()))
    session.take(Answer("It has been read.", [], 300, 10))
    body = session.body()
    assert first < second < len(json.dumps(body))
    assert [message["role"] for message in body["messages"]] == roles
    assert session.headers("key")[header] == session.id
    assert body["stream"]
    assert body["tools"]
    with pytest.raises(Wrong, match="did not grow"):
        session.take(Answer("", [CALL], 300, 10))


ANSWER = {"choices": [{"message": {"content": "Yes."}}], "usage": {"prompt_tokens": 1, "completion_tokens": 2}}
MESSAGE = {"content": [{"type": "text", "text": "Yes."}], "usage": {"input_tokens": 1, "output_tokens": 2}}


def test_whole_answers_of_both_apis_are_read() -> None:
    for dialect, document in ((OPENAI, ANSWER), (ANTHROPIC, MESSAGE)):
        assert read_whole(dialect, json.dumps(document).encode()) == Answer("Yes.", [], 1, 2)


@pytest.mark.parametrize(
    "wrong",
    [
        b"",
        b"[]",
        b"{}",
        json.dumps(MESSAGE).encode(),
        json.dumps({**ANSWER, "usage": None}).encode(),
        json.dumps({**ANSWER, "choices": [{"message": {"content": ""}}]}).encode(),
        json.dumps(ANSWER).encode()[:-1],
    ],
)
def test_what_is_no_whole_answer_is_wrong(wrong: bytes) -> None:
    with pytest.raises(Wrong):
        read_whole(OPENAI, wrong)


def chunk(**delta: Any) -> bytes:
    return b"data: " + json.dumps({"choices": [{"delta": delta}]}).encode() + b"\n"


def test_a_stream_is_measured_from_its_first_output() -> None:
    stream = Stream(OPENAI, 10.0)
    for line, at in (
        (chunk(role="assistant"), 10.1),
        (b"\n", 10.2),
        (chunk(content="a"), 10.5),
        (chunk(content="b"), 10.6),
    ):
        stream.line(line, at)
    stream.line(chunk(content="c"), 11.0)
    stream.line(b"data: [DONE]\n", 13.0)
    assert stream.end().text == "abc"
    assert stream.first_token == pytest.approx(0.5)
    assert stream.longest_gap == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ([chunk(content="a")], "breaks off after 1 char"),
        ([b"data: [DONE]\n"], "says nothing"),
        ([chunk(content="a"), b'data: {"error": {"message": "cut"}}\n'], "ends with an error"),
        ([b"data: {]\n"], "no event"),
        ([b'data: {"type": "message_stop"}\n'], "no event"),
    ],
)
def test_a_stream_that_is_not_whole_is_wrong(lines: list[bytes], why: str) -> None:
    with pytest.raises(Wrong, match=why):
        read_to_the_end(lines)


def read_to_the_end(lines: list[bytes]) -> Answer:
    stream = Stream(OPENAI, 0.0)
    for line in lines:
        stream.line(line, 1.0)
    return stream.end()


REFUSED = (
    "The key budget 'key:dry/lifetime/default' does not cover this request: limit $0.02, spent $0.015, held by open"
    " requests ${held}, and this request may cost up to ${needed}. It does not reset."
)


def paid(cost: str, left: str) -> dict[str, str]:
    return {"x-fastgate-cost-usd": cost, "x-fastgate-budget-left-usd": left}


def test_a_budget_is_spent_when_what_is_left_does_not_cover_a_request() -> None:
    purse = Purse()
    purse.pay(paid("0.010000000", "0.010000000"))
    purse.pay(paid("0.005000000", "0.005000000"))
    with pytest.raises(Wrong, match="covers it"):
        purse.refuse(REFUSED.format(held="0.00", needed="0.005"), "budget_exceeded")
    purse.refuse(REFUSED.format(held="0.00", needed="0.005000001"), "budget_exceeded")


@pytest.mark.parametrize(
    ("held", "needed", "code"),
    [("0.00", "0.005", "budget_exceeded"), ("0.001", "0.01", "budget_exceeded"), ("0.00", "0.01", None)],
    ids=["what is left covers it", "nobody else is there to hold anything", "somebody else says so"],
)
def test_a_refusal_that_is_not_justified_is_wrong(held: str, needed: str, code: str | None) -> None:
    with pytest.raises(Wrong):
        Purse().refuse(REFUSED.format(held=held, needed=needed), code)


def test_money_that_is_missing_is_wrong() -> None:
    purse = Purse()
    purse.pay(paid("0.010000000", "0.010000000"))
    with pytest.raises(Wrong, match=r"\$0\.010000000 were left"):
        purse.pay(paid("0.005000000", "0.004999999"))
    with pytest.raises(Wrong, match="the refusal says"):
        purse.refuse(REFUSED.format(held="0.00", needed="0.01"), "budget_exceeded")


def test_a_refusal_is_read_in_its_own_dialect_alone() -> None:
    openai = {"error": {"message": "spent", "type": "insufficient_quota", "code": "insufficient_quota"}}
    anthropic = {"type": "error", "error": {"type": "billing_error", "message": "spent"}}
    assert read_refusal(OPENAI, json.dumps(openai).encode()) == "spent"
    assert read_refusal(ANTHROPIC, json.dumps(anthropic).encode()) == "spent"
    for dialect, document in ((OPENAI, anthropic), (ANTHROPIC, openai)):
        with pytest.raises(Wrong, match="no refusal"):
            read_refusal(dialect, json.dumps(document).encode())


@pytest.mark.parametrize(
    ("left", "held", "spent"),
    [
        ("0.000000000", "0", True),
        ("0.008", "0", True),
        ("-0.000000001", "0", False),
        ("0.009", "0", False),
        ("0", "0.1", False),
    ],
)
def test_a_dry_key_has_less_left_than_a_request_costs_and_not_less_than_nothing(
    left: str, held: str, spent: bool
) -> None:
    budget = {"id": "key:dry/lifetime/default", "limit_usd": "2", "left_usd": left, "held_usd": held}
    if spent:
        check_dry(budget, Scenarios())
    else:
        with pytest.raises(RigError, match="are left"):
            check_dry(budget, Scenarios())
