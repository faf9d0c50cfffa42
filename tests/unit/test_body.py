"""The scan of bodies: fields, types, errors with their places, and splices."""

import json

import pytest

from fastgate._core.body import BodyError, Fields, insert_members, scan, splice

FIELDS = Fields(
    ["model", "n", "stream", "stream_options", "stream_options.include_usage", "messages.*.content", "tools"]
)
MODEL, N, STREAM, OPTIONS, INCLUDE, CONTENT, TOOLS = range(7)


def fault(data: bytes, fields: Fields = FIELDS) -> BodyError:
    with pytest.raises(BodyError) as caught:
        scan(data, fields)
    return caught.value


def test_fields_are_found_with_their_offsets() -> None:
    data = b' { "stream" : true , "model":"gpt-4o","stream_options":{"include_usage":false},"tools":[] }'
    found = scan(data, FIELDS)
    assert found.text(MODEL) == "gpt-4o"
    assert found.boolean(STREAM) is True
    assert found.boolean(INCLUDE) is False
    start, end = found.span(MODEL)
    assert data[start:end] == b'"gpt-4o"'
    start, end = found.member_span(STREAM)
    assert data[start:end] == b'"stream" : true'
    assert found.raw(OPTIONS) == b'{"include_usage":false}'
    assert [found.kind(i) for i in range(-1, 7)] == [7, 5, 0, 3, 7, 2, 0, 6]
    assert not found.filled(TOOLS)
    assert found.filled(OPTIONS)


def test_what_is_absent_or_null_is_none() -> None:
    found = scan(b'{"model":null}', FIELDS)
    assert (found.text(MODEL), found.integer(N), found.boolean(STREAM)) == (None, None, None)
    assert (found.raw(MODEL), found.raw(N)) == (b"null", None)
    assert (found.span(N), found.member_span(N), found.count(N)) == ((0, 0), (0, 0), 0)


def test_whether_any_of_many_fields_is_there() -> None:
    found = scan(b'{"a":null,"d":[{"e":1}]}', Fields(["a", "b", "d.*.e", "d.*.f"]))
    assert [found.has_any(1 << field) for field in range(4)] == [True, False, True, False]
    assert found.has_any(0b0110)
    assert not found.has_any(0b1010)


def test_a_path_with_a_star_counts_and_adds_up() -> None:
    found = scan(b'{"messages":[{"content":"abc"},{"content":"\\u00e9"},{"content":null},{"content":[]}]}', FIELDS)
    assert found.count(CONTENT) == 4
    assert found.total(CONTENT) == 5


def test_a_condition_counts_only_its_value() -> None:
    fields = Fields(["tools.*.type", 'tools.*.type="custom"'])
    found = scan(b'{"tools":[{"type":"custom"},{"type":"web_search"},{"type":"custom"}]}', fields)
    assert (found.count(0), found.count(1)) == (3, 2)


@pytest.mark.parametrize(
    ("text", "count"),
    [("custom", 1), ("c\\u0075stom", 1), ("\\u0063\\u0075\\u0073\\u0074\\u006F\\u006d", 1), ("cust\\u00f6m", 0),
     ("cust\\nm", 0), ("c\\u0055stom", 0), ("custo\\u006d\\u006d", 0),
     ("cus\\ud83d", 0), ("\\u0063" * 400, 0), ("", 0)],
)  # fmt: skip
def test_a_condition_is_met_however_it_is_escaped(text: str, count: int) -> None:
    fields = Fields(['tools.*.type="custom"'])
    assert scan(f'{{"tools":[{{"type":"{text}"}}]}}'.encode(), fields).count(0) == count
    assert scan(b'{"tools":[{"type":["custom"]},{"type":true}]}', fields).count(0) == 0


@pytest.mark.parametrize("condition", ["true", "'custom'", '"', '"a\\u0062"', f'"{"x" * 65}"'])
def test_a_condition_is_a_short_string_in_quotes(condition: str) -> None:
    with pytest.raises(ValueError, match="no short string"):
        Fields([f"tools.*.type={condition}"])


def test_string_bytes_are_those_of_the_unescaped_text() -> None:
    document = {"k\n": ["aé模😀", "\ud800", '"\\/\t'], "n": [1, None]}
    for ascii_only in (True, False):
        text = (
            json.dumps(document, ensure_ascii=ascii_only)
            if ascii_only
            else json.dumps({"k\n": ["aé模😀"]}, ensure_ascii=False)
        )
        expected = 2 + (1 + 2 + 3 + 4) + (3 + 4 + 1 if ascii_only else 0)
        assert scan(text.encode(), FIELDS).string_bytes == expected


@pytest.mark.parametrize("name", ["model", "mod\\u0065l", "\\u006d\\u006f\\u0064\\u0065\\u006c"])
def test_escaped_names_are_the_same_names(name: str) -> None:
    assert scan(f'{{"{name}":"\\ud83d\\ude00\\n"}}'.encode(), FIELDS).text(MODEL) == "😀\n"


@pytest.mark.parametrize(
    ("text", "value"),
    [("0", 0), ("-0", 0), ("128", 128), ("1e3", 1000), ("16.0", 16), ("-7", -7), ("9223372036854775807", 2**63 - 1),
     ("-9223372036854775808", -(2**63)), ("120e-1", 12)],
)  # fmt: skip
def test_integers(text: str, value: int) -> None:
    assert scan(f'{{"n":{text}}}'.encode(), FIELDS).integer(N) == value


@pytest.mark.parametrize(
    "text",
    ["1.5", "1e-1", "9223372036854775808", "1e999999999", "9e99999999999999999999", "9e-99999999999999999999",
     "1" * 70, '"1"', "true", "[1]", "-1e19"],
)  # fmt: skip
def test_not_integers(text: str) -> None:
    found = scan(f'{{"model":"m","n":{text}}}'.encode(), FIELDS)
    with pytest.raises(BodyError, match="'n' must be an integer") as caught:
        found.integer(N)
    assert (caught.value.code, caught.value.field, caught.value.offset) == ("wrong_type", "n", 17)


def test_other_wrong_types_name_the_field_and_the_kind() -> None:
    found = scan(b'{"model":[],\n "stream":"yes"}', FIELDS)
    with pytest.raises(BodyError, match="'model' must be a string, not an array"):
        found.text(MODEL)
    with pytest.raises(BodyError, match="'stream' must be a boolean, not a string") as caught:
        found.boolean(STREAM)
    assert (caught.value.line, caught.value.column) == (2, 11)


def test_half_a_surrogate_pair_passes_but_is_no_text() -> None:
    found = scan(b'{"model":"a\\ud800"}', FIELDS)
    with pytest.raises(BodyError, match="half of a surrogate pair"):
        found.text(MODEL)
    assert fault(b'{"a\\ud800":1}').code == "invalid_json"
    assert scan(b'{"x":{"a\\ud800":1}}', FIELDS).count(-1) == 1


@pytest.mark.parametrize(
    ("data", "code", "offset"),
    [
        (b"", "invalid_json", 0),
        (b" \n ", "invalid_json", 3),
        (b"{", "invalid_json", 1),
        (b'{"a"', "invalid_json", 4),
        (b'{"a":', "invalid_json", 5),
        (b'{"a":1', "invalid_json", 6),
        (b'{"a":1,}', "invalid_json", 7),
        (b"[1,]", "invalid_json", 3),
        (b"[1 2]", "invalid_json", 3),
        (b'{"a" 1}', "invalid_json", 5),
        (b"{a:1}", "invalid_json", 1),
        (b"{}x", "invalid_json", 2),
        (b"{}\0", "invalid_json", 2),
        (b"\0", "invalid_json", 0),
        (b'{"a":tru}', "invalid_json", 5),
        (b"[01]", "invalid_json", 3),
        (b"[1.]", "invalid_json", 3),
        (b"[1e]", "invalid_json", 3),
        (b"[-]", "invalid_json", 2),
        (b"[+1]", "invalid_json", 1),
        (b"[NaN]", "invalid_json", 1),
        (b"[.5]", "invalid_json", 1),
        (b'["\\x"]', "invalid_json", 2),
        (b'["\\u12g4"]', "invalid_json", 2),
        (b'["\\', "invalid_json", 3),
        (b'["\n"]', "invalid_json", 2),
        (b'["\0"]', "invalid_json", 2),
        (b'["abc', "invalid_json", 5),
        (b'["\x80"]', "invalid_utf8", 2),
        (b'["\xc0\xaf"]', "invalid_utf8", 2),
        (b'["\xed\xa0\x80"]', "invalid_utf8", 2),
        (b'["\xe0\x9f\xbf"]', "invalid_utf8", 2),
        (b'["\xf0\x8f\xbf\xbf"]', "invalid_utf8", 2),
        (b'["\xf4\x90\x80\x80"]', "invalid_utf8", 2),
        (b'["a\xe6\xa8"]', "invalid_utf8", 3),
        (b'["\xf0\x9f\x98', "invalid_utf8", 2),
        (b"\xef\xbb\xbf{}", "invalid_json", 0),
        (b"{'a':1}", "invalid_json", 1),
        (b"[1]]", "invalid_json", 3),
        (b"[1}", "invalid_json", 2),
    ],
)
def test_what_is_not_json_is_refused_at_its_place(data: bytes, code: str, offset: int) -> None:
    error = fault(data)
    assert (error.code, error.offset) == (code, offset)


@pytest.mark.parametrize("padding", range(70))
def test_a_fault_is_found_at_any_place_of_a_block(padding: int) -> None:
    text = b"x" * padding
    for bad, code in ((b"\n", "invalid_json"), (b"\\q", "invalid_json"), (b"\xff", "invalid_utf8")):
        for rest in (b"", b"y" * 80):
            error = fault(b'["' + text + bad + rest + b'"]')
            assert (error.code, error.offset) == (code, 2 + padding)
    assert scan(b'["' + text + b'"]', FIELDS).string_bytes == padding


def test_line_and_column_count_characters() -> None:
    error = fault('{"a": 1,\n "é模": tru}'.encode())
    assert (error.line, error.column) == (2, 8)
    assert "line 2, column 8" in str(error)


def test_depth_is_bounded() -> None:
    assert scan(b"[" * 256 + b"]" * 256, FIELDS).kind(-1) == 6
    assert fault(b"[" * 257 + b"]" * 257).code == "too_deep"
    assert fault(b'{"a":' * 100_000).code == "too_deep"


@pytest.mark.parametrize(
    "data",
    [
        b'{"model":1,"model":2}',
        b'{"model":1,"mod\\u0065l":2}',
        b'{"mod\\u0065l":1,"mode\\u006c":2}',
        b'{"other":1,"other":2}',
        b'{"":1,"":2}',
        b'{"stream_options":{"x":1,"x":2}}',
        b'{"messages":[],"stream_options":{"include_usage":true,"include\\u005fusage":false}}',
    ],
)
def test_names_that_come_twice_are_refused(data: bytes) -> None:
    assert fault(data).code == "duplicate_name"


def test_names_may_come_twice_where_nobody_looks() -> None:
    assert scan(b'{"x":{"a":1,"a":2},"messages":[{"content":1,"content":2}],"tools":1}', FIELDS).integer(TOOLS) == 1
    same = b'{"stream_options":{"model":1},"model":"m"}'
    assert scan(same, FIELDS).text(MODEL) == "m"


def test_without_unique_the_last_value_wins() -> None:
    found = scan(b'{"n":1,"n":2,"n":null}', Fields(["n"], unique=False))
    assert (found.integer(0), found.count(0)) == (2, 3)


def test_many_names_are_told_apart() -> None:
    members = [f'"name{i}":{i}' for i in range(9_998)]
    data = "{" + ",".join(members) + ',"n":7}'
    assert scan(data.encode(), FIELDS).integer(N) == 7
    error = fault(("{" + ",".join([*members, '"name123":0']) + "}").encode())
    assert error.code == "duplicate_name"
    members += ['"x":1', '"y":1']
    assert scan(("{" + ",".join(members) + "}").encode(), FIELDS).kind(-1) == 7
    error = fault(("{" + ",".join([*members, '"z":1']) + "}").encode())
    assert error.code == "too_many_names"
    unlooked = '{"x":{' + ",".join(f'"{i}":1' for i in range(20_000)) + "}}"
    assert scan(unlooked.encode(), FIELDS).kind(-1) == 7


def test_long_escaped_names_are_compared() -> None:
    long = "\\u0061" * 500
    assert fault(f'{{"{long}":1,"{"a" * 500}":2}}'.encode()).code == "duplicate_name"
    assert scan(f'{{"{long}":1,"{"a" * 499}":2,"n":3}}'.encode(), FIELDS).integer(N) == 3


def test_long_field_names_share_a_slot() -> None:
    names = ["a" * 31, "a" * 40, "b" * 40, "a" * 64]
    found = scan(json.dumps({name: i for i, name in enumerate(names)}).encode(), Fields(names))
    assert [found.integer(i) for i in range(4)] == [0, 1, 2, 3]


def test_splice_replaces_and_inserts() -> None:
    assert splice(b"abcdef", [(0, 0, b"<"), (1, 3, b"X"), (6, 6, b">")]) == b"<aXdef>"
    assert splice(b"abc", []) == b"abc"
    assert splice(b"", [(0, 0, b"x")]) == b"x"


@pytest.mark.parametrize("edits", [[(2, 1, b"")], [(0, 4, b"")], [(1, 2, b""), (1, 2, b"")], [(-1, 0, b"")]])
def test_splice_refuses_edits_that_make_no_sense(edits: list[tuple[int, int, bytes]]) -> None:
    with pytest.raises(ValueError, match="sorted"):
        splice(b"abc", edits)


def test_members_are_inserted_into_empty_and_filled_objects() -> None:
    members = [("a", b"1"), ("b", b"[]")]
    for data, expected in ((b" {} ", b' {"a":1,"b":[]} '), (b'{ "n":1}', b'{"a":1,"b":[], "n":1}')):
        found = scan(data, FIELDS)
        assert splice(data, [insert_members(found, members)]) == expected
    found = scan(b'{"stream_options":{"x":1}}', FIELDS)
    assert splice(found.data, [insert_members(found, [("y", b"2")], OPTIONS)]) == b'{"stream_options":{"y":2,"x":1}}'
    with pytest.raises(BodyError, match="the body must be an object, not an array"):
        insert_members(scan(b"[]", FIELDS), members)


def test_misuse_is_refused() -> None:
    with pytest.raises(ValueError, match="at most 63"):
        Fields([str(i) for i in range(64)])
    with pytest.raises(ValueError, match="named once"):
        Fields(["a", "a"])
    with pytest.raises(IndexError):
        scan(b"{}", FIELDS).kind(7)
    with pytest.raises(TypeError):
        scan(bytearray(b"{}"), FIELDS)  # type: ignore[arg-type]
