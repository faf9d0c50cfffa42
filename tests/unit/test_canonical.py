"""The canonical spelling of a request's body."""

import pytest

from fastgate._core.canonical import canonical


@pytest.mark.parametrize(
    ("text", "spelt"),
    [
        (b' { "b" : [ 1 , 2 ] ,\n"a"\t:\r{ } } ', b'{"a":{},"b":[1,2]}'),
        (b'{"a":1,"A":2,"ab":3}', b'{"A":2,"a":1,"ab":3}'),
        (b'{"a":{"z":1,"y":2,"z":3}}', b'{"a":{"z":1,"y":2,"z":3}}'),
        (b'["\\u0041\\/\\u00e9\\u000A\\u0001\\u007f"]', '["A/é\\n\\u0001\x7f"]'.encode()),
        (b'["\\ud83d\\ude00\\u0022\\u005C\\"\\\\"]', '["😀\\"\\\\\\"\\\\"]'.encode()),
        (b'["\\uD83D","\\ud83dx","\\uDE00\\uD83D","\\ud83d\\uD83D\\uDE00"]',
         '["\\ud83d","\\ud83dx","\\ude00\\ud83d","\\ud83d😀"]'.encode()),
        (b'["\\u001F\\b\\f\\r\\t"]', b'["\\u001f\\b\\f\\r\\t"]'),
        (b"[1.0,1,1e0,1E0,-0,true , false,null ]", b"[1.0,1,1e0,1E0,-0,true,false,null]"),
        (b"{}", b"{}"),
        (b" 12 ", b"12"),
        (b' "a b" ', b'"a b"'),
        (b"null", b"null"),
    ],
)  # fmt: skip
def test_one_spelling(text: bytes, spelt: bytes) -> None:
    assert canonical(text) == spelt
    assert canonical(spelt) == spelt


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b'{"a":1,}', b"NaN", b'{"a":1}x', b'"\xff"', b"[" * 257 + b"]" * 257, b'{"a":1,"b":2,"\\u0061":1}'],
)
def test_what_has_no_spelling(text: bytes) -> None:
    assert canonical(text) is None
    assert canonical(text, ("a",)) is None


def test_members_are_left_out_however_they_are_written() -> None:
    text = '{"stream":true,"m\\u006fdel":"m","é":1,"\\u00e9\\u00e9":2,"x":{"stream":1}}'.encode()
    assert canonical(text, ("stream", "é")) == '{"model":"m","x":{"stream":1},"éé":2}'.encode()
    assert canonical(text, ("stream", "model", "é", "éé", "x")) == b"{}"
    assert canonical(text, ("strea", "streams", "", "mod")) == canonical(text)


def test_a_document_has_so_many_members() -> None:
    members = [b'"%d":%d' % (number, number) for number in range(257)]
    text = b"{" + b",".join(members[:256]) + b"}"
    assert canonical(text) == b"{" + b",".join(sorted(members[:256])) + b"}"
    assert canonical(b"{" + b",".join(members) + b"}") is None
