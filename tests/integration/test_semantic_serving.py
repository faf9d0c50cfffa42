"""The semantic cache serves: questions that mean the same, in either API, whole and streamed, for nothing."""

from collections.abc import Iterator

import pytest

from tests.integration.test_semantic_cache import CHAT, MESSAGES, connected, counts, metric, post, settings
from tests.support.house import House, wait_for
from tests.support.wire import Answer

SAID = "Paris is the capital of France."
CAPITAL = [
    "What is the capital of France?", "Which city is the capital of France?", "What's the capital city of France?",
    "What is France's capital?", "Name the capital of France.", "What is the capital city of France?",
]  # fmt: skip


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    # Little traffic has to be enough: much may be wrong.
    with House(tmp_path_factory.mktemp("serving"), settings(max_error=0.3), workers=2) as house:
        connected(house, 2)
        yield house


def ask(house: House, text: str, path: str, *, stream: bool = False) -> Answer:
    """A question behind a script that makes one answer to whatever is asked last."""
    turns = [f'sim: {{"text": "{SAID}"}}', text]
    return post(house, "one", text, path, messages=[{"role": "user", "content": each} for each in turns], stream=stream)


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_is_given_to_a_question_that_means_the_same(house: House, path: str, stream: bool) -> None:
    served = None
    for text in CAPITAL * 6:
        before = counts(house).get("kept", 0)
        answer = ask(house, text, path, stream=stream)
        assert SAID.encode() in answer.body or stream
        if answer.headers["x-fastgate-cache"] == "semantic":
            served = answer
            break
        wait_for(lambda before=before: counts(house).get("kept", 0) > before, 10, "the answer to be kept")
    assert served is not None, counts(house)
    assert 0.7 <= float(served.headers["x-fastgate-similarity"]) <= 1
    assert served.headers["x-fastgate-attempts"] == "0"
    assert float(served.headers["x-fastgate-saved-usd"]) > 0
    assert served.headers["x-fastgate-cache-entry"]
    if not stream:
        assert served.headers["x-fastgate-cost-usd"] == "0.000000000"
    asked = int(house.bill()["total"]["requests"])
    forms = {ask(house, text, path, stream=not stream).headers["x-fastgate-cache"] for text in CAPITAL * 2}
    assert "semantic" in forms
    assert int(house.bill()["total"]["requests"]) - asked < 2 * len(CAPITAL)
    [row, *_] = wait_for(lambda: house.requests(cache="semantic"), 10, "rows of what was served")
    assert (row["cost_usd"], float(row["saved_usd"]) > 0) == ("0.000000000", True)


def test_in_shadow_mode_nothing_is_served_and_what_would_be_is_measured(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with House(tmp_path_factory.mktemp("shadow"), settings(max_error=0.3, shadow=True), workers=1) as house:
        connected(house, 1)
        for text in CAPITAL * 4:
            before = counts(house).get("kept", 0)
            assert ask(house, text, CHAT).headers["x-fastgate-cache"] == "miss"
            wait_for(lambda before=before: counts(house).get("kept", 0) > before, 10, "the answer to be kept")
        said = counts(house)
        assert said["shadow"] > 0
        assert "serve" not in said
        compared = metric(house, "fastgate_semantic_hits_compared_total")
        assert compared == said["shadow"] + said.get("audit", 0)
        assert metric(house, "fastgate_semantic_hits_wrong_total") == 0
        upper = metric(house, 'fastgate_semantic_error{bound="upper",of="hits"}')
        assert upper is not None
        assert 0 < upper < 1
        assert metric(house, "fastgate_semantic_saved_usd_total") == 0
        assert (metric(house, "fastgate_semantic_shadow_saved_usd_total") or 0) > 0
        assert metric(house, 'fastgate_semantic_scope_error{bound="estimate",scope="key:one"}') == 0
