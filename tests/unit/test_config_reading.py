"""Reading configurations: scalars, references, bounds of the reader, and what never leaks."""

import json
import os
import re
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fastgate.config import Config, ConfigErrors, Problem, Secret, load, plain
from fastgate.config.addresses import parse_base_url
from fastgate.config.demo import demo
from fastgate.config.documents import admin_token, read_document
from fastgate.config.nodes import MAX_BYTES
from fastgate.config.scalars import INSTANT_SCHEMA, MAX_USD, NANO, parse_instant, parse_usd, show_instant, show_usd
from fastgate.config.variables import VariableError, Variables

PROVIDER = "providers:\n  openai: {type: openai, keys: [{name: main, value: sk-upstream}]}\n"


def read(text: str, env: dict[str, str] | None = None) -> Config:
    return read_document(PROVIDER + text, "fastgate.yaml", Variables(env or {}, Path("/nowhere"))).config


def problems(text: str, env: dict[str, str] | None = None) -> list[Problem]:
    with pytest.raises(ConfigErrors) as raised:
        read(text, env)
    return raised.value.problems


def test_what_is_not_set_has_its_default() -> None:
    config = read("")
    assert config.server.port == 8080
    assert config.server.max_body_mb == 64
    assert config.output_cap == 16_384
    assert config.providers["openai"].timeout_seconds.first_byte == 60
    assert config.admin.token == Secret("")
    assert config.admin.metrics_token is None


def test_amounts_are_integers_from_the_first_moment() -> None:
    config = read('keys: [{id: a, secret: sk-fg-aaaaaaaa, budgets: [{limit_usd: "0.1", window: day}]}]')
    assert config.keys[0].budgets[0].limit_usd == 100_000_000


@given(st.integers(0, MAX_USD * NANO))
def test_amounts_survive_being_shown_and_parsed(nano: int) -> None:
    assert parse_usd(show_usd(nano)) == nano


@pytest.mark.parametrize("text", ["", ".", "1.", ".5", "+1", "-0", "1_000", "0x1", "1e5", "NaN", "inf", "１", "1 "])
def test_amounts_of_another_form_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a decimal amount"):
        parse_usd(text)


@given(st.integers(0, 7_000_000_000_000_000))
def test_instants_survive_being_shown_and_parsed(microseconds: int) -> None:
    assert parse_instant(show_instant(microseconds * 1_000)) == microseconds * 1_000


def test_an_instant_keeps_its_zone_and_its_fraction() -> None:
    assert parse_instant("1970-01-01T02:00:00.000001+02:00") == 1_000
    assert parse_instant("2027-01-01t00:00:00z") == 1_798_761_600 * NANO
    assert parse_instant("1970-01-01T00:00:00.123456789Z") == 123_456_000
    assert parse_instant("1970-01-01T00:00:00+23:59") == 0


def _of_the_calendar(text: str) -> bool:
    """Whether the day exists: a pattern does not refuse the 30th of February."""
    with suppress(ValueError):
        return bool(datetime.fromisoformat(text.upper()))
    return False


@given(st.from_regex(INSTANT_SCHEMA["pattern"], fullmatch=True).filter(_of_the_calendar))
@example("2259-12-31T23:59:59.999999-23:59")
def test_what_the_schema_of_instants_admits_is_taken(text: str) -> None:
    assert 0 <= parse_instant(text) < 2**63


@pytest.mark.parametrize("text", ["1969-12-31T23:59:59Z", "2260-01-01T00:00:00Z", "8423-01-01T00:00:00Z"])
def test_a_moment_that_64_bits_do_not_hold_is_outside_of_the_schema_and_refused(text: str) -> None:
    assert not re.search(INSTANT_SCHEMA["pattern"], text)
    with pytest.raises(ValueError, match="out of range"):
        parse_instant(text)


def test_references_take_the_type_of_their_setting() -> None:
    config = read(
        "server: {port: '${PORT}', drain_seconds: '${DRAIN:-2.5}'}\n"
        "admin: {metrics_token: '${NONE:-}'}\n"
        "output_cap: ${CAP}",
        {"PORT": "9999", "CAP": "7"},
    )
    assert (config.server.port, config.server.drain_seconds, config.output_cap) == (9999, 2.5, 7)
    assert config.admin.metrics_token is None


def test_a_reference_may_stand_inside_of_text_and_be_escaped() -> None:
    variables = Variables({"A": "x${B}", "B": "y"}, Path())
    assert variables.expand("<${A}|${B}|$${B}|$B>") == ("<x${B}|y|${B}|$B>", True)
    assert variables.expand("plain $ text") == ("plain $ text", False)


def test_a_file_reference_starts_at_the_folder_of_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "token").write_bytes(b"sk-from-file\r\n")
    (tmp_path / "fastgate.yaml").write_text(PROVIDER + 'admin: {token: "${file:token}"}\n')
    assert load(tmp_path / "fastgate.yaml", {}).admin.token.reveal() == "sk-from-file"


def test_the_admin_token_has_a_variable_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "fastgate.yaml"
    env = {"FASTGATE_ADMIN_TOKEN": "of-the-environment", "OURS": "of-a-reference"}
    for said, expected in (
        ("", "of-the-environment"),
        ("token: ''", "of-the-environment"),
        ("token: ${OURS}", "of-a-reference"),
    ):
        path.write_text(f"{PROVIDER}admin:\n  {said}\n")
        assert load(path, env).admin.token.reveal() == admin_token(path, env) == expected
    path.write_text("admin: {token: of-the-file}\nproviders: ${NONE}\n")
    assert admin_token(path, {}) == "of-the-file"
    path.write_text("nothing: of that kind\n")
    assert admin_token(path, {}) == ""


@pytest.mark.parametrize("name", ["token", "metrics_token"])
@pytest.mark.parametrize(
    ("text", "words"),
    [("a", "8 to 4096 characters"), ("two\nlines", "visible ASCII"), ("schl\u00fcssel", "visible ASCII")],
)
def test_a_token_is_one_that_a_header_can_carry(tmp_path: Path, name: str, text: str, words: str) -> None:
    path = tmp_path / "fastgate.yaml"
    path.write_text(f"{PROVIDER}admin:\n  {name}: ${{OURS}}\n")
    with pytest.raises(ConfigErrors, match=words) as raised:
        load(path, {"OURS": text})
    assert f"admin.{name}" in str(raised.value)
    assert len(text) < 3 or text not in str(raised.value)


@pytest.mark.parametrize("kind", ["folder", "fifo", "large", "binary", "nul"])
def test_files_that_are_no_secrets_are_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "token"
    if kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path.write_bytes({"large": b"a" * 70_000, "binary": b"\xff\xfe", "nul": b"a\0b"}[kind])
    with pytest.raises(VariableError):
        Variables({}, tmp_path).expand("${file:token}")


def test_secrets_do_not_show() -> None:
    config = read(
        'admin: {token: top-secret}\nkeys: [{id: a, secret: sk-fg-top-secret, expires: "2027-01-01T00:00:00Z"}]'
    )
    shown = json.dumps(plain(config)) + repr(config) + str(config) + f"{config.admin.token}"
    assert "top-secret" not in shown
    assert "sk-upstream" not in shown
    assert plain(config)["admin"]["token"] == "***"
    assert plain(config)["keys"][0]["expires"] == "2027-01-01T00:00:00Z"


def test_what_is_shown_could_be_read_again() -> None:
    config = read_document(demo(9000), "demo.yaml", Variables({}, Path())).config
    shown = plain(config)
    for key in shown["keys"]:
        key["secret"] = f"sk-fg-again-{key['id']}"  # three stars are no secret
    for key in shown["providers"]["sim"]["keys"]:
        key["value"] = "again"  # nor a credential
    again = read_document(json.dumps(shown), "again.yaml", Variables({}, Path())).config
    assert plain(again) == plain(config)


def test_problems_come_in_the_order_of_the_file_and_once() -> None:
    found = problems("output_cap: x\nserver: {port: y, host: 1}\nstate_dir: []")
    assert [problem.line for problem in found] == [3, 4, 4, 5]
    assert len(set(found)) == 4


def test_very_many_problems_end_early() -> None:
    found = problems("".join(f"unknown{number}: 1\n" for number in range(5_000)))
    assert 200 <= len(found) < 210


def test_what_could_not_be_read_is_still_known_to_references() -> None:
    found = problems(
        "customers: [{id: acme, budgets: 1}, {id: other, name: [], zebra: 1}]\n"
        "teams: [{id: a, customer: acme, environment: 'a b'}, {id: b, customer: other}, {id: c, customer: nobody}]\n"
        "keys: [{id: k, team: a, secret: sk-fg-kkkkkkkk}]\n"
    )
    assert [
        problem.message for problem in found if "no customer" in problem.message or "no team" in problem.message
    ] == ["teams[2].customer: no customer nobody"]


def test_places_of_later_entries_stay_right_when_earlier_ones_are_broken() -> None:
    (first, second) = problems(
        "keys:\n  - {secret: sk-fg-aaaaaaaa}\n  - {id: b, secret: sk-fg-bbbbbbbb, team: nobody}\n"
    )
    assert (first.line, second.line) == (4, 5)
    assert second.message == "keys[1].team: no team nobody"


@pytest.mark.parametrize("kind", ["absent", "folder", "fifo", "large", "latin1"])
def test_files_that_are_no_configuration_are_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "fastgate.yaml"
    if kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "large":
        path.write_bytes(b"#" * (MAX_BYTES + 1))
    elif kind == "latin1":
        path.write_bytes(b"a: b\nc: \xe9\n")
    with pytest.raises(ConfigErrors) as raised:
        load(path, {})
    (problem,) = raised.value.problems
    assert (problem.line, problem.column) == ((2, 4) if kind == "latin1" else (1, 1))


def test_a_byte_order_mark_is_no_character_of_the_text(tmp_path: Path) -> None:
    path = tmp_path / "fastgate.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + PROVIDER.encode())
    assert list(load(path, {}).providers) == ["openai"]


def test_base_urls_are_taken_apart() -> None:
    assert parse_base_url("HTTPS://Api.Example.com/v1/") == ("https", "api.example.com", 443, "/v1")
    assert parse_base_url("http://[::1]:9000") == ("http", "::1", 9000, "")
    for bad in (
        "http://a b",
        "http://a/%0d%0a\r\nx",
        "http://a\\b",
        "http://a/../b",
        "http://exa mple.com",
        "http://a:b",
    ):
        with pytest.raises(ValueError, match=r"\w"):
            parse_base_url(bad)


def test_ten_thousand_keys_are_read_in_seconds() -> None:
    lines = "".join(
        f'  - {{id: key-{number}, secret_sha256: "{number:064x}", budgets: [{{limit_usd: "1", window: day}}]}}\n'
        for number in range(10_000)
    )
    assert len(read(f"keys:\n{lines}").keys) == 10_000
