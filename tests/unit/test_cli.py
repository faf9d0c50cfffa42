"""The command line's own logic: options, exit codes, forms of output, the first screen."""

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import click
import pytest
from click.testing import CliRunner, Result

from fastgate.cli import banner, quickstart
from fastgate.cli.duration import parse_time
from fastgate.cli.main import COMMANDS, cli
from fastgate.cli.tables import as_csv, as_table
from fastgate.config import load

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)

SPEND = {
    "groups": [
        {"team": "platform", "model": "smart", "requests": 1200, "cost_usd": "12.500000000", "input_tokens": 34000},
        {"team": "data, ops", "model": None, "requests": 3, "cost_usd": "0.000000001", "input_tokens": 7},
    ],
    "total": {"requests": 1203, "cost_usd": "12.500000001", "input_tokens": 34007},
}


def run(*arguments: str, env: Mapping[str, str] | None = None) -> Result:
    return CliRunner().invoke(cli, list(arguments), prog_name="fastgate", env=env)


class Admin(BaseHTTPRequestHandler):
    asked: ClassVar[list[tuple[str, dict[str, list[str]], str | None]]] = []
    answer: ClassVar[tuple[int, Any]] = (200, SPEND)

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        self.asked.append((url.path, parse_qs(url.query), self.headers["authorization"]))
        status, document = self.answer
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def admin() -> Iterator[str]:
    Admin.asked, Admin.answer = [], (200, SPEND)
    server = HTTPServer(("127.0.0.1", 0), Admin)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def leaves(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    if isinstance(command, click.Group):
        context = click.Context(command)
        for below in command.list_commands(context):
            child = command.get_command(context, below)
            assert child is not None
            yield from leaves(child, f"{name} {below}")
    else:
        yield name, command


@pytest.mark.parametrize(
    ("name", "command"), list(leaves(cli, "fastgate")), ids=lambda value: str(value).replace(" ", "-")
)
def test_every_option_has_its_environment_variable_and_shows_it(name: str, command: click.Command) -> None:
    shown = run(*name.split()[1:], "--help").output
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            long_name = next(one for one in parameter.opts if one.startswith("--"))
            variable = "FASTGATE_" + long_name[2:].replace("-", "_").upper()
            assert parameter.envvar == variable
            assert variable in re.sub(r"\s+", "", shown) or variable in shown
            assert parameter.help, long_name


@pytest.mark.parametrize(
    ("name", "command"), list(leaves(cli, "fastgate")), ids=lambda value: str(value).replace(" ", "-")
)
def test_every_command_shows_an_example_that_it_understands(name: str, command: click.Command) -> None:
    shown = run(*name.split()[1:], "--help").output
    found = re.findall(rf'^ +(?:eval "\$\()?({name}\b[^>|)\n]*)', shown, re.MULTILINE)
    assert found, shown
    for example in found:
        arguments = shlex.split(example)[len(name.split()) :]
        command.make_context(name, arguments)  # raises where it does not


def test_help_lists_every_command_without_loading_it() -> None:
    shown = run("--help")
    assert shown.exit_code == 0
    for name, (_, about) in COMMANDS.items():
        assert f"{name} " in shown.output
        assert about.split(".")[0][:40] in shown.output


@pytest.mark.parametrize(
    "arguments", [("nonsense",), ("report", "--nonsense"), ("serve", "--port", "70000"), ("report", "--where", "team")]
)
def test_misuse_ends_with_two(arguments: tuple[str, ...]) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""


def test_options_without_a_command_are_those_of_serve() -> None:
    assert "--with-simulator" in run("--port", "70000").stderr + run("serve", "--help").output
    assert "fastgate serve" in run("--port", "70000").stderr


def test_version() -> None:
    assert re.fullmatch(r"fastgate \d+\.\d+\.\d+\n", run("version").stdout)
    assert set(json.loads(run("version", "--json").stdout)) == {"fastgate", "python", "machine"}


def test_report_asks_for_what_was_wanted(admin: str) -> None:
    arguments = ("--by", "team,model", "--since", "2026-11-01", "--where", "team=platform", "--where", "tag:job=7")
    result = run("report", *arguments, "--admin-url", admin, "--admin-token", "t")
    assert result.exit_code == 0, result.stderr
    [(path, query, token)] = Admin.asked
    assert path == "/api/v1/spend"
    assert query == {"by": ["team,model"], "since": ["2026-11-01T00:00:00Z"], "where": ["team=platform", "tag:job=7"]}
    assert token == "Bearer t"


def test_report_finds_the_token_in_the_state_folder(admin: str, tmp_path: Path) -> None:
    (tmp_path / "admin-token").write_text("kept\n")
    env = {"FASTGATE_ADMIN_URL": admin, "FASTGATE_STATE_DIR": str(tmp_path)}
    assert run("report", env=env).exit_code == 0
    assert Admin.asked[0][2] == "Bearer kept"


def test_report_as_a_table(admin: str) -> None:
    lines = run("report", "--admin-url", admin, "--admin-token", "t").stdout.splitlines()
    assert lines[0].split() == ["team", "model", "requests", "cost_usd", "input_tokens"]
    assert lines[2].split() == ["platform", "smart", "1,200", "12.500000000", "34,000"]
    assert lines[-1].split() == ["total", "1,203", "12.500000001", "34,007"]
    assert (
        len({line.index("0.000000001") + 11 for line in lines if "0.000000001" in line} | {lines[2].index("12.5") + 12})
        == 1
    )


def test_report_as_csv_and_json(admin: str) -> None:
    csv = run("report", "--format", "csv", "--admin-url", admin, "--admin-token", "t").stdout.splitlines()
    assert csv[0] == "team,model,requests,cost_usd,input_tokens"
    assert csv[2] == '"data, ops",,3,0.000000001,7'
    assert json.loads(run("report", "--format", "json", "--admin-url", admin, "--admin-token", "t").stdout) == SPEND


def test_report_in_focus_is_not_there_yet() -> None:
    result = run("report", "--format", "focus")
    assert result.exit_code == 1
    assert "not supported yet" in result.stderr


def test_an_error_of_the_admin_api_is_shown(admin: str) -> None:
    Admin.answer = (400, {"title": "Bad Request", "detail": "unknown attribute 'colour'"})
    result = run("report", "--by", "colour", "--admin-url", admin, "--admin-token", "t")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "unknown attribute 'colour'" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("config", "init", "/proc/none/x.yaml"), 1, "cannot be written"),
        (("config", "show", "/proc/none/x.yaml"), 3, "cannot be read"),
        (("check", "/proc/none/x.yaml"), 3, "cannot be read"),
        (("keys", "list", "--admin-url", "http://[", "--admin-token", "t"), 4, "does not answer"),
        (("state", "backup", "/proc/none/x.tar.gz"), 1, "/proc/none/x.tar.gz cannot be written"),
        (("state", "restore", "/proc/none/x.tar.gz", "--force"), 1, "cannot be read"),
    ],
)
def test_what_cannot_be_done_is_said_with_its_exit_code(
    tmp_path: Path, arguments: tuple[str, ...], code: int, words: str
) -> None:
    (tmp_path / "admin-token").write_text("kept")
    state = {"FASTGATE_STATE_DIR": str(tmp_path), "FASTGATE_ADMIN_URL": "http://127.0.0.1:1"}
    result = run(*arguments, env=state)
    assert result.exit_code == code, result.output
    assert words in result.output
    assert not isinstance(result.exception, OSError)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("keys", "create", "a\udcff", "--admin-token", "t"), r"'\udcff' in an argument is not text"),
        (("keys", "show", "a\udcff", "--admin-token", "t"), r"'\udcff' in an argument is not text"),
        (("report", "--where", "user=\udcff", "--admin-token", "t"), r"'\udcff' in an argument is not text"),
        (("keys", "show", "", "--admin-token", "t"), "'' is no id"),
        (("keys", "show", "..", "--admin-token", "t"), "'..' is no id"),
        (("keys", "create", "", "--admin-token", "t"), "'' is no id"),
        (("keys", "create", "--tag", "a=1", "--tag", "a=2", "--admin-token", "t"), "a name is given twice"),
    ],
)
def test_what_cannot_be_asked_is_a_mistake_of_the_command_line(
    admin: str, arguments: tuple[str, ...], words: str
) -> None:
    result = run(*arguments, "--admin-url", admin)
    assert (result.exit_code, Admin.asked) == (2, [])
    assert words in result.stderr


@pytest.mark.parametrize("token", ["ü", "a\nb", "t\udcff"])
def test_a_token_that_no_header_may_have_is_said_to_be_one(admin: str, token: str) -> None:
    result = run("keys", "list", "--admin-url", admin, "--admin-token", token)
    assert (result.exit_code, Admin.asked) == (1, [])
    assert "only visible ASCII" in result.stderr
    assert token not in result.stderr


def test_what_the_admin_api_advises_is_shown(admin: str) -> None:
    problems = [{"message": "'fortnight' is not a possible value", "hint": "one of day, week"}]
    Admin.answer = (422, {"detail": "budgets[0].window: 'fortnight' is not a possible value", "problems": problems})
    result = run("report", "--admin-url", admin, "--admin-token", "t")
    assert "is not a possible value (one of day, week)" in result.stderr


def test_nothing_to_ask_ends_with_four(tmp_path: Path) -> None:
    unreachable = run("report", "--admin-url", "http://127.0.0.1:1", "--admin-token", "t")
    assert unreachable.exit_code == 4
    assert "does not answer" in unreachable.stderr
    no_token = run("report", "--state-dir", str(tmp_path))
    assert no_token.exit_code == 4
    assert "admin-token" in no_token.stderr


def test_one_port_cannot_be_both(tmp_path: Path) -> None:
    state = {"FASTGATE_STATE_DIR": str(tmp_path / "state")}
    result = run("serve", "--port", "18640", "--admin-port", "18640", env=state)
    assert result.exit_code == 2
    assert "18640 is to be the port of the API and of the admin API" in result.stderr


@pytest.mark.parametrize("name", ['we"ird', "br}ace", "back\\slash", "d$ollar", "plain"])
def test_a_state_folder_may_have_any_name(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    config = load(quickstart.write(folder, [], 9000), {})
    assert config.keys[0].secret is not None
    assert config.keys[0].secret.reveal() == (folder / "quickstart-key").read_text().strip()


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("7d", "2026-11-14T12:00:00+00:00"),
        ("36h", "2026-11-20T00:00:00+00:00"),
        ("90m", "2026-11-21T10:30:00+00:00"),
        ("2w", "2026-11-07T12:00:00+00:00"),
        ("2026-11-01", "2026-11-01T00:00:00+00:00"),
        ("2026-11-01T10:00:00+02:00", "2026-11-01T08:00:00+00:00"),
    ],
)
def test_times_as_people_type_them(text: str, instant: str) -> None:
    assert parse_time(text, NOW).isoformat() == instant


@pytest.mark.parametrize("text", ["", "7", "d", "-7d", "yesterday", "2026-13-01"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="neither a span"):
        parse_time(text, NOW)


@pytest.mark.parametrize("text", ["nope", "team:platform", "team:platform/month", "a/b/c/d/e"])
def test_what_is_no_budget_s_id_is_told_what_one_is(text: str) -> None:
    said = CliRunner().invoke(cli, ["budgets", "reset", text])
    assert said.exit_code == 2
    assert "owner/window/name, as team:platform/month/default" in said.stderr


def test_an_empty_table_has_its_head() -> None:
    assert as_table(["team", "cost_usd"], [], {"cost_usd": "0.000000000"}).splitlines()[0].split() == [
        "team",
        "cost_usd",
    ]
    assert as_csv(["a", "b"], []) == "a,b"


def test_a_spreadsheet_calculates_nothing_that_a_client_said() -> None:
    rows = [{"user": "=1+1", "n": "-1.5"}, {"user": "@x", "n": -2}, {"user": "+a", "n": 3}, {"user": "a=1", "n": "0"}]
    assert as_csv(["user", "n"], rows).split("\r\n") == ["user,n", "'=1+1,-1.5", "'@x,-2", "'+a,3", "a=1,0"]


# The first screen


def screen(providers: int = 2, secret: str | None = "sk-fg-secret", anthropic: bool = False) -> banner.Screen:
    line = banner.ProviderLine("gemini", "gemini", "GEMINI_API_KEY", None)
    access = banner.Access(secret, Path("/state/quickstart-key"), "sim/sim-small", anthropic)
    return banner.Screen(
        "fastgate.yaml", 2, "http://127.0.0.1:8080", "http://127.0.0.1:8081", "the-token", Path("/state"),
        [line] * providers, access,
    )  # fmt: skip


@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize("providers", [0, 1, 5, 8, 9, 40])
def test_the_first_screen_has_at_most_fifteen_lines(providers: int, terminal: bool) -> None:
    lines = screen(providers).lines(terminal)
    assert len(lines) <= 15
    more = [int(found[1]) for line in lines if (found := re.match(r"  and (\d+) more providers", line))]
    assert sum(line.startswith("  provider ") for line in lines) + sum(more) == providers


def test_secrets_are_shown_on_a_terminal_only() -> None:
    shown, piped = "\n".join(screen().lines(True)), "\n".join(screen().lines(False))
    assert "sk-fg-secret" in shown
    assert "the-token" in shown
    assert "sk-fg-secret" not in piped
    assert "the-token" not in piped
    assert "/state/quickstart-key" in piped
    assert "/state/dashboard-token" in piped
    assert "/state/admin-token" in piped


def test_the_screen_names_no_file_that_has_no_token() -> None:
    assert "  admin token  in the configuration" in replace(screen(), token_configured=True).lines(False)


def test_a_key_known_by_its_digest_alone_is_left_to_the_operator() -> None:
    assert "Bearer $FASTGATE_KEY" in screen(secret=None).lines(True)[-1]


def test_the_curl_of_an_anthropic_model_asks_its_api() -> None:
    assert "/v1/messages" in screen(anthropic=True).lines(True)[-1]


def test_a_provider_that_refuses_connections_is_said_to() -> None:
    assert banner.reachability("http://127.0.0.1:1/v1") == "not reachable (Connection refused)"


# Serving without a configuration


def test_providers_are_found_by_their_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quickstart, "_answers", lambda host, port: False)
    found = quickstart.find_providers(
        {"ANTHROPIC_API_KEY": "a", "OPENAI_API_KEY": "", "GEMINI_API_KEY": "g", "GOOGLE_API_KEY": "g"}
    )
    assert found == [
        quickstart.Found("anthropic", "ANTHROPIC_API_KEY"),
        quickstart.Found("gemini", "GEMINI_API_KEY", supported=False),
    ]


def test_the_quick_start_key_is_kept_and_the_file_holds_no_secret(tmp_path: Path) -> None:
    first = quickstart.write(tmp_path, [quickstart.Found("openai", "OPENAI_API_KEY")], 9000)
    key = (tmp_path / "quickstart-key").read_text()
    assert re.fullmatch(r"sk-fg-[0-9A-Za-z]{43}\n", key)
    assert key.strip() not in first.read_text()
    assert "${OPENAI_API_KEY}" in first.read_text()
    quickstart.write(tmp_path, [], 9000)
    assert (tmp_path / "quickstart-key").read_text() == key
    assert first.stat().st_mode & 0o777 == 0o600
