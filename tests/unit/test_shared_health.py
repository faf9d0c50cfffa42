"""How long a Redis that fails is left alone, and what the log says of it."""

import pytest

from fastgate.gateway.shared_health import LEAST_PAUSE, LONGEST_PAUSE, TOLD_AFTER, Health


def test_pauses_grow_to_a_bound_and_end_with_what_was_served() -> None:
    health = Health("redis.test:6379")
    assert health.pause == 0
    pauses = []
    for _ in range(40):
        health.failed("no answer")
        pauses.append(health.pause)
    assert pauses[:4] == [LEAST_PAUSE, 2 * LEAST_PAUSE, 4 * LEAST_PAUSE, 8 * LEAST_PAUSE]
    assert pauses == sorted(pauses)
    assert pauses[-1] == LONGEST_PAUSE
    health.answers()
    assert health.pause == LONGEST_PAUSE, "a PING alone proves little"
    health.served()
    assert health.pause == 0


def test_each_state_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    health = Health("redis.test:6379")
    for _ in range(3):
        for _ in range(TOLD_AFTER + 5):
            health.failed("refused")
        for _ in range(5):
            health.answers()
            health.served()
    lines = [record.getMessage() for record in caplog.records]
    assert lines == 3 * [
        "Redis at redis.test:6379 does not answer, so answers of other hosts are not asked for until it does: refused",
        "Redis at redis.test:6379 answers again",
    ]


def test_one_that_is_late_now_and_then_is_not_told(caplog: pytest.LogCaptureFixture) -> None:
    health = Health("redis.test:6379")
    for _ in range(20):
        health.failed("no answer within 20 ms")
        health.answers()
        health.served()
    assert not caplog.records


def test_each_kind_of_refusal_is_told_once_and_on_one_line(caplog: pytest.LogCaptureFixture) -> None:
    health = Health("redis.test:6379")
    for text in ("WRONGTYPE of this", "WRONGTYPE of that", "MISCONF\nforged: line"):
        for _ in range(3):
            health.refused(RuntimeError(text))
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 2
    assert all(line.isprintable() for line in lines)
