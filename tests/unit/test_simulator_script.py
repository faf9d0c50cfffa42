"""Scripts in a request's last message."""

import msgspec
import pytest

from fastgate.simulator.script import NO_SCRIPT, Script, ScriptError, find_script, read_script


def test_an_ordinary_message_has_none() -> None:
    assert read_script("tell me about sim: {}") is NO_SCRIPT


def test_every_field_is_read() -> None:
    script = read_script(
        'sim: {"text": "hi", "tokens": 3, "reasoning": 4, "tools": [{"name": "f", "arguments": {"a": [1, 2]}}],'
        '"finish": "length", "model": "sim-large", "tier": "flex", "usage": {"prompt_tokens": 5}, "usage_on": "every",'
        '"chunks": ["h", "i"], "latency_ms": 1, "ttft_ms": 2.5, "chunk_ms": [1, 2], "split": 7, "fail": "429",'
        '"after": 2, "headers": {"X-A": "b"}, "status": 418, "body_base64": "AP8=", "raw": "x"} and more words'
    )
    assert script.tools[0].text() == '{"a":[1,2]}'
    assert script.chunk_ms == [1, 2]
    assert script.header_bytes() == {b"x-a": b"b"}
    assert script.body_bytes() == b"\x00\xff"
    assert script.raw_bytes() == b"x"
    assert script.usage == {"prompt_tokens": 5}


def test_no_usage_and_a_usage_of_null_differ() -> None:
    assert read_script("sim: {}").usage is msgspec.UNSET
    assert read_script('sim: {"usage": null}').usage is None


def test_arguments_may_be_any_text() -> None:
    assert read_script('sim: {"tools": [{"name": "f", "arguments": "{broken"}]}').tools[0].text() == "{broken"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("sim:", "Expecting value"),
        ("sim: {", "property name"),
        ("sim: [1]", "object"),
        ('sim: {"tokesn": 3}', "tokesn"),
        ('sim: {"tokens": "3"}', "tokens"),
        ('sim: {"tokens": -1}', "between 0"),
        ('sim: {"tokens": 1000001}', "at most"),
        ('sim: {"chunk_ms": [1, -1]}', "between 0"),
        ('sim: {"chunk_ms": []}', "chunk_ms"),
        ('sim: {"chunks": 0}', "chunks"),
        ('sim: {"split": 0}', "split"),
        ('sim: {"status": 99}', "status"),
        ('sim: {"fail": "sometimes"}', "unknown failure"),
        ('sim: {"fail": "200"}', "unknown failure"),
        ('sim: {"raw_base64": "!"}', "cannot be played"),
        ('sim: {"headers": {"x": "\u20ac"}}', "cannot be played"),
        ("sim: " + "[" * 100_000, "cannot be played"),
        ('sim: {"turns": [{}], "text": "a"}', "inside its turns"),
        ('sim: {"turns": [{"turns": [{}]}]}', "turns of their own"),
        ('sim: {"turns": [{}, {"fail": "sometimes"}]}', "unknown failure"),
        ('sim: {"turns": [{"split": 0}]}', "split"),
    ],
)
def test_a_script_that_cannot_be_played_says_why(text: str, says: str) -> None:
    with pytest.raises(ScriptError, match=says):
        read_script(text)


def test_the_latest_script_is_found_among_what_agents_add() -> None:
    assert find_script([("user", ["<reminder>", "sim: {}"]), ("user", ["sim: old"])]) == ("sim: {}", 0)
    assert find_script([("system", ["sim: no"]), ("user", ["more"]), ("user", ["sim: {}"])]) == ("sim: {}", 0)
    assert find_script([("user", ["hello"]), ("assistant", ["sim: no"])]) == ("", 0)


def test_how_often_a_script_was_answered_is_counted() -> None:
    turns = [("tool", []), ("assistant", []), ("user", ["a result"]), ("assistant", []), ("user", ["sim: {}"])]
    assert find_script(turns) == ("sim: {}", 2)


def test_every_field_is_described() -> None:
    assert set(Script.__struct_fields__) >= {"usage", "model", "tier", "chunks", "tools", "fail", "raw", "body"}
