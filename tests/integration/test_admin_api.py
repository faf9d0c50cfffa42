"""The admin API over real sockets: a control process; this one writes what a worker would."""

import json
import signal
import socket
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import httpx
import pytest

from fastgate._core.price import Usage
from fastgate.control.collections import COLLECTIONS
from fastgate.ledger.attributes import NAMES
from fastgate.wire.usage import Bucket
from tests.support.control_host import BUDGETS, CONFIG, TOKEN, ControlHost, until

USAGE = Usage(input=1000, cache_read=300, cache_write=20, output=77, reasoning=33)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlHost]:
    host = ControlHost(tmp_path_factory.mktemp("host"))
    host.cost = sum(host.serve(USAGE, tags=f"feature=f{i % 3},n={i}", user=f"u{i % 2}") for i in range(30))  # type: ignore[attr-defined]
    host.cost += host.serve(Usage(input=7), key="free")  # type: ignore[attr-defined]
    host.reject("budget_exceeded")
    host.settled()
    yield host
    host.close()


@pytest.fixture
def own_host(tmp_path: Path) -> Iterator[ControlHost]:
    host = ControlHost(tmp_path)
    yield host
    host.close()


def nano(text: str) -> int:
    assert len(text.partition(".")[2]) == 9, text
    return int(Decimal(text) * 10**9)


def problem(answer: httpx.Response, status: int, kind: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = answer.json()
    assert document["status"] == status
    assert document["type"] == f"urn:fastgate:problem:{kind}"
    assert document["title"]
    assert document["detail"]
    return document


def test_what_no_host_shares_is_not_answered_for_all(host: ControlHost) -> None:
    assert "share no ledger" in problem(host.client.get("/api/v1/spend?hosts=all"), 409, "conflict")["detail"]


def test_spend_is_what_was_booked(host: ControlHost) -> None:
    found = host.get("spend", ("by", "team,key"))
    assert nano(found["total"]["cost_usd"]) == host.cost  # type: ignore[attr-defined]
    assert found["total"]["requests"] == 32
    assert found["total"]["saved_usd"] == found["total"]["unsettled_usd"] == "0.000000000"
    assert [(group["team"], group["key"], group["requests"]) for group in found["groups"]] == [
        ("platform", "ide", 31), ("", "free", 1),
    ]  # fmt: skip
    assert found["groups"][0]["output_tokens"] == 30 * 110
    assert found["groups"][0]["cache_read_tokens"] == 30 * 300


def test_spend_by_tag_user_status_and_hour_with_conditions(host: ControlHost) -> None:
    found = host.get("spend", ("by", "tag:feature"), ("where", "status=200"), ("where", "key=ide"))
    assert {group["tag:feature"]: group["requests"] for group in found["groups"]} == {"f0": 10, "f1": 10, "f2": 10}
    found = host.get("spend", ("by", "user,status"), ("interval", "year"))
    assert sum(group["requests"] for group in found["groups"]) == 32
    assert all(group["time"].endswith("-01-01T00:00:00Z") for group in found["groups"])
    assert host.get("spend", ("since", "2099-01-01"))["total"]["requests"] == 0
    assert host.get("spend", ("since", "2020-01-01"), ("until", "2099-01-01T00:00:00Z"))["total"]["requests"] == 32
    cut = host.get("spend", ("by", "tag:n"), ("limit", "4"))
    assert cut["truncated"]
    assert len(cut["groups"]) == 4
    assert cut["total"]["requests"] == 32


def test_requests_page_by_cursor_and_filter_both_ways(host: ControlHost) -> None:
    found: list[str] = []
    after: list[tuple[str, str]] = []
    while True:
        page = host.get("requests", ("limit", "7"), *after)
        found += [item["id"] for item in page["items"]]
        if page["next"] is None:
            break
        after = [("cursor", page["next"])]
    assert len(found) == len(set(found)) == 32
    assert found == sorted(found, reverse=True)
    for parameters in ([("tag:feature", "f1"), ("user", "u1")], [("where", "tag:feature=f1"), ("where", "user=u1")]):
        items = host.get("requests", *parameters)["items"]
        assert [item["tags"]["feature"] for item in items] == ["f1"] * 5
    assert len(host.get("requests", ("status", "402"))["items"]) == 1


def test_one_request_with_lines_that_sum_to_its_cost(host: ControlHost) -> None:
    (listed,) = host.get("requests", ("where", "tag:n=4"))["items"]
    one = host.get(f"requests/{listed['id']}")
    lines = one.pop("cost_lines")
    assert one == listed
    assert {line["bucket"]: line["count"] for line in lines} == {
        "input": 1000, "cache_read": 300, "cache_write": 20, "output": 77, "reasoning": 33,
    }  # fmt: skip
    assert sum(nano(line["cost_usd"]) for line in lines) == nano(one["cost_usd"]) > 0
    assert one["settlement"] == "exact"
    assert one["stream"] is False
    assert one["duration_us"] == 2500


def test_every_unit_that_is_billed_has_a_line_and_a_sum(tmp_path: Path) -> None:
    prices = {
        "input_usd_per_million": "1", "output_usd_per_million": "2", "cache_read_usd_per_million": "0.1",
        "cache_read_audio_usd_per_million": "0.4", "cache_read_image_usd_per_million": "0.5",
        "file_search_usd_per_thousand": "2.5", "audio_usd_per_hour": "0.04", "character_usd_per_million": "15",
    }  # fmt: skip
    url = 'base_url: "http://127.0.0.1:9/v1"'
    host = ControlHost(tmp_path, CONFIG.replace(url, f"{url}, prices: {{every: {json.dumps(prices)}}}"))
    try:
        media = Usage(input=10, cache_read=20, cache_read_audio=30, cache_read_image=40)
        media[Bucket.FILE_SEARCH], media[Bucket.AUDIO_TIME], media[Bucket.CHARACTER] = 3, 7_000_000, 1234
        host.serve(media, model="every")
        total = host.settled()["total"]
        (row,) = host.get("requests")["items"]
        units = {
            "cache_read_tokens": 90, "cache_read_audio_tokens": 30, "cache_read_image_tokens": 40, "file_searches": 3,
            "audio_us": 7_000_000, "characters": 1234,
        }  # fmt: skip
        assert units.items() <= row.items()
        assert units.items() <= total.items()
        lines = {line.pop("bucket"): line for line in host.get(f"requests/{row['id']}")["cost_lines"]}
    finally:
        host.close()
    # 7 s at 0.04 USD an hour are 77,777.7 nano-USD.
    assert {bucket: nano(line["cost_usd"]) for bucket, line in lines.items()} == {
        "input": 10_000, "cache_read": 2_000, "cache_read_audio": 12_000, "cache_read_image": 20_000,
        "file_search": 7_500_000, "audio_time": 77_778, "character": 18_510_000,
    }  # fmt: skip
    assert sum(nano(line["cost_usd"]) for line in lines.values()) == nano(row["cost_usd"]) == nano(total["cost_usd"])
    assert lines["audio_time"]["usd_per_hour"] == "0.040000000"
    assert lines["file_search"]["usd_per_million"] == "2500.000000000"


def test_budgets_show_where_they_stand(host: ControlHost) -> None:
    found = {item["id"]: item for item in host.get("budgets")["items"]}
    assert set(found) == set(BUDGETS)
    team = found["team:platform/day/default"]
    spent = sum(nano(item["cost_usd"]) for item in host.get("requests", ("key", "ide"))["items"])
    assert nano(team["spent_usd"]) == nano(team["burn_usd_per_hour"]) == spent > 0
    assert nano(team["left_usd"]) == nano(team["limit_usd"]) - spent
    assert (team["level"], team["owner"], team["window"]) == ("team", "team:platform", "day")
    assert team["held_usd"] == team["overrun_usd"] == "0.000000000"
    assert team["resets_at"].endswith("Z")
    assert [item["id"] for item in host.get("budgets", ("level", "key"))["items"]] == [BUDGETS[0]]
    assert [item["id"] for item in host.get("budgets", ("owner", "customer:acme"))["items"]] == [BUDGETS[2]]


def test_budgets_page_by_cursor(host: ControlHost) -> None:
    found, after = [], []
    while True:
        page = host.get("budgets", ("limit", "1"), *after)
        found += [item["id"] for item in page["items"]]
        if page["next"] is None:
            break
        after = [("cursor", page["next"])]
    assert found == sorted(BUDGETS)


def test_status_names_processes_and_stores(host: ControlHost) -> None:
    found = host.get("status")
    assert [worker["alive"] for worker in found["workers"]] == [True]
    assert {owner["kind"] for owner in found["owners"]} == {"worker", "control"}
    assert found["ledger"]["open"]
    assert found["ledger"]["rows_added"] == 32
    assert 0 < found["ledger"]["memory_bytes"] < 512 << 20
    assert found["journals"]["lag_bytes"] == 0
    assert found["config"]["generation"] == 1
    assert found["config"]["error"] is None


def test_the_configuration_masks_its_secrets(host: ControlHost) -> None:
    text = host.client.get("/api/v1/config").text
    assert "***" in text
    for secret in ("virtual-secret", "other-secret", "provider-secret", TOKEN):
        assert secret not in text


def test_the_schema_has_every_operation_and_its_parameters(host: ControlHost) -> None:
    answer = httpx.get(f"{host.client.base_url}/api/v1/openapi.json")
    assert answer.status_code == 200
    paths = answer.json()["paths"]
    assert {
        "/api/v1/spend", "/api/v1/requests", "/api/v1/requests/{request_id}", "/api/v1/requests/live",
        "/api/v1/budgets", "/api/v1/budgets/events", "/api/v1/limits", "/api/v1/status",
        "/api/v1/hosts", "/api/v1/hosts/{host}/forget",
        *(
            f"/api/v1/budgets/{{owner}}{at}/{{window}}/{{name}}{do}"
            for at in ("", "/{provider}")
            for do in ("", "/reset")
        ),
        "/api/v1/config", "/api/v1/config/reload", "/metrics", "/healthz", "/api/v1/audit", "/api/v1/state/backup",
        "/api/v1/state/accept-loss", "/api/v1/cache/entries", "/api/v1/cache/entries/{entry_id}",
        "/api/v1/cache/statistics", "/api/v1/cache/semantic",
        "/api/v1/keys/{object_id}/rotate", "/api/v1/keys/{object_id}/revoke",
        *(f"/api/v1/{each}{one}" for each in COLLECTIONS for one in ("", "/{object_id}")),
    } == set(paths)  # fmt: skip
    [body] = paths["/api/v1/keys"]["post"]["requestBody"]["content"].values()
    assert body["schema"]["properties"]["team"]["anyOf"][0]["type"] == "string"
    assert "each" in body["schema"]["properties"]
    named = {each["name"] for each in paths["/api/v1/spend"]["get"]["parameters"]}
    assert named == {"by", "interval", "since", "until", "where", "limit", "hosts"}
    named = {each["name"] for each in paths["/api/v1/requests"]["get"]["parameters"]}
    assert named == {*NAMES, "since", "until", "where", "cursor", "limit", "hosts", "tags"}


@pytest.mark.parametrize(
    ("path", "parameter"),
    [
        ("spend?nonsense=1", "nonsense"), ("spend?by=nonsense", "by"), ("spend?by=team&by=key", "by"),
        ("spend?where=team", "where"), ("spend?where=x=1", "where"), ("spend?interval=eon", "interval"),
        ("spend?since=yesterday", "since"), ("spend?since=2026-01-01T00:00:00", "since"),
        ("spend?hosts=some", "hosts"), ("spend?by=", "by"), ("spend?limit=0", "limit"), ("spend?limit=x", "limit"),
        ("requests?limit=1001", "limit"), ("requests?status=ok", "status"),
        ("requests?tag:=1", "where"), ("requests/nonsense", "id"), ("budgets?level=galaxy", "level"),
        ("audit?cursor=x", "cursor"), ("status?x=1", "x"), ("config?x=1", "x"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_names_its_parameter(host: ControlHost, path: str, parameter: str) -> None:
    document = problem(host.client.get(f"/api/v1/{path}"), 400, "bad_parameter")
    assert document["parameter"] == parameter


def test_what_does_not_go_together_or_is_not_there(host: ControlHost) -> None:
    document = problem(host.client.get("/api/v1/spend?since=2026-01-02&until=2026-01-01"), 409, "conflict")
    assert document["parameter"] == "until"
    document = problem(host.client.get("/api/v1/requests?cursor=x"), 404, "bad_parameter")
    assert document["parameter"] == "cursor"


def test_unknown_paths_and_methods(host: ControlHost) -> None:
    for path in ("/nothing", "/api/v1/nothing", "/api/v1/nothing/at/all", "/api/v2/spend"):
        problem(host.client.get(path), 404, "not_found")
        problem(host.client.post(path), 404, "not_found")
    answer = host.client.delete("/api/v1/spend")
    problem(answer, 405, "method_not_allowed")
    assert "GET" in answer.headers["allow"]
    problem(host.client.get("/api/v1/config/reload"), 405, "method_not_allowed")
    problem(host.client.get(f"/api/v1/requests/{'0' * 32}"), 404, "not_found")


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer wrong", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x", "Bearer \xe9"]
)
def test_nothing_under_the_api_is_shown_without_the_token(host: ControlHost, header: str | None) -> None:
    headers = {} if header is None else {"authorization": header.encode("latin-1")}
    for path in ("spend", "requests", f"requests/{'0' * 32}", "budgets", "status", "config"):
        answer = httpx.get(f"{host.client.base_url}/api/v1/{path}", headers=headers)
        problem(answer, 401, "unauthorized")
        assert answer.headers["www-authenticate"].startswith("Bearer")
    problem(httpx.post(f"{host.client.base_url}/api/v1/config/reload", headers=headers), 401, "unauthorized")
    problem(httpx.get(f"{host.client.base_url}/api/v1/spend?token={TOKEN}", headers=headers), 401, "unauthorized")


def test_sql_in_every_place_that_takes_text_does_nothing(host: ControlHost) -> None:
    evil = "x') OR 1=1; DROP TABLE events; --"
    for path in ("spend", "requests"):
        for where in (f"team={evil}", f"tag:a={evil}"):
            assert host.get(path, ("where", where)).get("items", []) == []
        for name in (evil, f"tag:{evil}", f"tag:{evil.replace('=', '')}"):
            problem(host.client.get(f"/api/v1/{path}", params={"where": f"{name}=1"}), 400, "bad_parameter")
            problem(host.client.get(f"/api/v1/{path}", params={f"tag:{name}": "1"}), 400, "bad_parameter")
    for by in (evil, f"tag:{evil.replace('=', '')}"):
        problem(host.client.get("/api/v1/spend", params={"by": by}), 400, "bad_parameter")
    assert host.get("spend")["total"]["requests"] == 32


def test_metrics_and_health_need_no_token_on_this_host(host: ControlHost) -> None:
    text = httpx.get(f"{host.client.base_url}/metrics").text
    labels = 'cache="",key="ide",model="smart",provider="sim",status="200",team="platform"'
    assert f"fastgate_requests_total{{{labels}}} 30.0" in text
    assert 'fastgate_rejections_total{level="",reason="budget_exceeded"} 1.0' in text
    assert f'fastgate_tokens_total{{{labels},type="reasoning"}} 990.0' in text
    assert 'fastgate_request_seconds_count{model="smart",provider="sim"} 31.0' in text
    assert "fastgate_workers 1.0" in text
    assert httpx.get(f"{host.client.base_url}/healthz").json() == {"status": "ok"}


def test_a_one_time_link_opens_the_page_once(host: ControlHost) -> None:
    link = host.state_dir / "dashboard-token"
    assert link.stat().st_mode & 0o777 == 0o600
    token = link.read_text().strip()
    with httpx.Client(base_url=host.client.base_url) as browser:
        assert browser.get("/").status_code == 401
        entered = browser.get("/", params={"token": token})
        assert (entered.status_code, entered.headers["location"]) == (303, "/")
        cookie = entered.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        page = browser.get("/")
        assert page.status_code == 200
        assert "default-src 'none'" in page.headers["content-security-policy"]
        for shown in ("platform", "ide", "smart", *BUDGETS, "402", "budget_exceeded"):
            assert shown in page.text
        # The cookie is for looking at the page, never for the API.
        problem(browser.get("/api/v1/spend"), 401, "unauthorized")
        assert browser.post("/sign-out").status_code == 303
        assert browser.get("/").status_code == 401
    assert httpx.get(f"{host.client.base_url}/", params={"token": token}).status_code == 401
    assert link.read_text().strip() != token
    assert httpx.get(f"{host.client.base_url}/", params={"token": ""}).status_code == 401


def test_the_admin_token_signs_in(host: ControlHost) -> None:
    with httpx.Client(base_url=host.client.base_url) as browser:
        assert browser.post("/sign-in", data={"token": "wrong"}).status_code == 401
        assert browser.post("/sign-in", data={"token": TOKEN}).status_code == 303
        assert browser.get("/").status_code == 200
    problem(
        host.client.post(
            "/sign-in", content=b"x" * 100_000, headers={"content-type": "application/x-www-form-urlencoded"}
        ),
        413,
        "bad_parameter",
    )


def test_the_page_escapes_what_clients_wrote(own_host: ControlHost) -> None:
    own_host.serve(Usage(input=1), user="<script>alert(1)</script>")
    own_host.reject("<img src=x>")
    own_host.settled()
    with httpx.Client(base_url=own_host.client.base_url) as browser:
        browser.post("/sign-in", data={"token": TOKEN})
        text = browser.get("/").text
    assert "<img" not in text
    assert "<script" not in text
    assert "&lt;img src=x&gt;" in text


def test_a_reload_publishes_and_a_bad_one_keeps_what_is(own_host: ControlHost) -> None:
    good = own_host.config.read_text()
    own_host.config.write_text(good.replace('limit_usd: "20"', 'limit_usd: "30"').replace("{port: 1,", "{port: 3,"))
    answer = own_host.client.post("/api/v1/config/reload").json()
    assert answer == {"generation": 2, "keys": 2, "budgets": 3, "restart_needed": ["server.port"]}
    assert own_host.arena.snapshot_generation == 2
    own_host.config.write_text(good.replace('limit_usd: "20"', 'limit_usd: "30"'))
    assert own_host.client.post("/api/v1/config/reload").json()["restart_needed"] == []
    assert own_host.get("budgets", ("level", "team"))["items"][0]["limit_usd"] == "30.000000000"
    own_host.config.write_text(good + "nonsense: 1\nkeys: []\n")
    document = problem(own_host.client.post("/api/v1/config/reload"), 422, "bad_configuration")
    assert document["problems"]
    assert all({"file", "line", "column", "message"} <= set(each) for each in document["problems"])
    found = own_host.get("status")["config"]
    assert found["generation"] == own_host.arena.snapshot_generation == 3
    assert found["error"]
    assert found["problems"]
    assert "stays in force" in own_host.log.read_text()
    own_host.config.write_text(good)
    assert own_host.client.post("/api/v1/config/reload").json()["generation"] == 4
    assert own_host.get("status")["config"]["error"] is None


def test_sighup_reloads(own_host: ControlHost) -> None:
    assert own_host.process is not None
    own_host.config.write_text(own_host.config.read_text().replace('limit_usd: "20"', 'limit_usd: "30"'))
    own_host.process.send_signal(signal.SIGHUP)
    until(lambda: own_host.arena.snapshot_generation == 2)
    until(lambda: own_host.get("budgets", ("level", "team"))["items"][0]["limit_usd"] == "30.000000000")
    own_host.config.write_text("nonsense: 1")
    own_host.process.send_signal(signal.SIGHUP)
    until(lambda: own_host.get("status")["config"]["error"])
    assert own_host.arena.snapshot_generation == 2


def test_sigterm_drains_what_is_left(own_host: ControlHost) -> None:
    for _ in range(5000):
        own_host.reject("budget_exceeded")
    assert own_host.end() == 0
    with duckdb.connect(str(own_host.state_dir / "ledger.duckdb"), read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM requests").fetchone() == (5000,)
    assert "leaked" not in own_host.log.read_text()
    assert "Traceback" not in own_host.log.read_text()


def test_the_end_of_standard_input_ends_it(own_host: ControlHost) -> None:
    assert own_host.process is not None
    assert own_host.process.stdin is not None
    own_host.process.stdin.close()
    assert own_host.process.wait(20) == 1


def test_kill_and_restart_lose_nothing(own_host: ControlHost) -> None:
    cost = 0
    for _ in range(4):
        cost += sum(own_host.serve(USAGE) for _ in range(100))
        own_host.end(signal.SIGKILL)
        cost += sum(own_host.serve(USAGE) for _ in range(100))
        own_host.start()
    found = own_host.settled()
    assert found["total"]["requests"] == 800
    assert nano(found["total"]["cost_usd"]) == cost
    team = own_host.get("budgets", ("level", "team"))["items"][0]
    assert nano(team["spent_usd"]) == cost


def test_a_lost_arena_is_rebuilt_from_the_ledger(own_host: ControlHost) -> None:
    cost = sum(own_host.serve(USAGE) for _ in range(50))
    own_host.settled()
    before = own_host.get("budgets")["items"]
    assert own_host.end() == 0
    for path in own_host.arena_dir.iterdir():
        path.unlink()
    own_host.start()
    after = own_host.get("budgets")["items"]
    assert after == before
    assert {nano(item["spent_usd"]) for item in after} == {cost}


def test_a_locked_ledger_is_shown_and_the_rest_works(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    with duckdb.connect(str(tmp_path / "state" / "ledger.duckdb")):
        (tmp_path / "state").rename(tmp_path / "kept")
        (tmp_path / "kept").rename(tmp_path / "state")
        host = LockedHost(tmp_path)
        try:
            found = host.get("status")
            assert not found["ledger"]["open"]
            assert "lock" in found["ledger"]["error"]
            problem(host.client.get("/api/v1/spend"), 503, "ledger_unavailable")
            assert len(host.get("budgets")["items"]) == 3
            assert "fastgate_ledger_up 0.0" in host.client.get("/metrics").text
            with httpx.Client(base_url=host.client.base_url) as browser:
                browser.post("/sign-in", data={"token": TOKEN})
                assert "lock" in browser.get("/").text
            host.serve(USAGE)
        except BaseException:
            host.close()
            raise
    try:
        until(lambda: host.get("status")["ledger"]["open"])
        assert host.settled()["total"]["requests"] == 1
    finally:
        host.close()


class LockedHost(ControlHost):
    """Its state folder exists already."""

    def __init__(self, folder: Path) -> None:
        (folder / "state").rename(folder / "elsewhere")
        self._elsewhere = folder / "elsewhere"
        super().__init__(folder)

    def start(self) -> None:
        if self._elsewhere.exists():
            self.state_dir.rmdir()
            self._elsewhere.rename(self.state_dir)
        super().start()


def test_metrics_with_a_token_of_their_own(tmp_path: Path) -> None:
    from tests.support.control_host import CONFIG

    host = ControlHost(tmp_path, CONFIG.replace(f'token: "{TOKEN}"', f'token: "{TOKEN}", metrics_token: scraper-token'))
    try:
        problem(httpx.get(f"{host.client.base_url}/metrics"), 401, "unauthorized")
        problem(host.client.get("/metrics"), 401, "unauthorized")
        answer = httpx.get(f"{host.client.base_url}/metrics", headers={"authorization": "Bearer scraper-token"})
        assert answer.status_code == 200
    finally:
        host.close()


def test_a_port_in_use_and_a_bad_configuration_have_exit_codes(tmp_path: Path) -> None:
    import subprocess
    import sys

    (tmp_path / "f.yaml").write_text("nonsense: 1\n")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for given, code, said in ((port, 1, "cannot listen"), (0, 3, "nonsense")):
            run = subprocess.run(
                [sys.executable, "-m", "fastgate.control.process", "--config", tmp_path / "f.yaml", "--state-dir",
                 tmp_path, "--arena-dir", tmp_path, "--admin-port", str(given)],
                capture_output=True, text=True, stdin=subprocess.PIPE, timeout=60, check=False,
            )  # fmt: skip
            assert run.returncode == code, run.stderr
            assert said in run.stderr
            assert "Traceback" not in run.stderr
