"""What operators create on one host is the same on all, by a PostgreSQL: control processes alone, without workers."""

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from fastgate.state import audit
from fastgate.state.copies import opened
from tests.support.control_host import CONFIG, ControlHost, until
from tests.support.control_hosts import KEY, Hosts, create, has, standing
from tests.support.postgres import PASSWORD, PostgresServer

OTHER_KEY = "7a" * 32


@pytest.fixture
def hosts(tmp_path: Path, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hosts]:
    monkeypatch.setenv("FASTGATE_STATE_KEY", KEY)
    with ExitStack() as stack:
        yield Hosts(tmp_path, postgres, stack)


@pytest.fixture(scope="module")
def pair(
    tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer
) -> Iterator[tuple[ControlHost, ControlHost]]:
    """Of those who leave the database as it is, and use names of their own."""
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setenv("FASTGATE_STATE_KEY", KEY)
        yield Hosts(tmp_path_factory.mktemp("pair"), postgres, stack).pair()


def test_all_collections_and_the_audit_are_the_same_on_all_hosts(pair: tuple[ControlHost, ControlHost]) -> None:
    one, two = pair
    secret = {"name": "k", "value": "shown-to-nobody"}
    values: list[tuple[str, dict[str, Any]]] = [
        ("customers", {"id": "initech"}),
        ("teams", {"id": "red", "customer": "initech", "budgets": [{"limit_usd": "7", "window": "day"}]}),
        ("providers", {"id": "more", "type": "sim", "base_url": "http://127.0.0.1:9/v1", "keys": [secret]}),
        ("models", {"id": "fine", "targets": [{"provider": "more", "model": "sim-small"}]}),
        ("prices", {"provider": "more", "model": "own", "input_usd_per_million": "1", "output_usd_per_million": "2"}),
        ("keys", {"id": "laptop", "team": "red", "limits": [{"requests": 5, "window": "minute"}]}),
    ]  # fmt: skip
    for number, (collection, value) in enumerate(values):
        answer = create((one, two)[number % 2], collection, **value)  # each names what the other host has just made
        assert answer.status_code == 201, answer.text
    for collection, value in values:
        id_ = value.get("id", "more/own")
        assert until(lambda c=collection, i=id_: has(two, f"{c}/{i}")) == until(
            lambda c=collection, i=id_: has(one, f"{c}/{i}")
        )
    assert until(lambda: has(one, "budgets/team:red/day/default"))["limit_usd"] == "7.000000000"
    until(lambda: one.get("audit") == two.get("audit"))
    rows = one.get("audit")["items"]
    names = {standing(one)["host"], standing(two)["host"]}
    assert len(names) == 2
    assert {row["host"] for row in rows} == names
    assert one.client.delete("/api/v1/keys/laptop").status_code == 204
    until(lambda: has(two, "keys/laptop") is None)
    assert create(two, "keys", id="laptop").status_code == 201
    assert standing(one)["error"] is None
    for host in (one, two):
        assert PASSWORD not in host.log.read_text() + host.client.get("/api/v1/status").text


def test_of_two_that_change_one_object_at_once_one_wins(pair: tuple[ControlHost, ControlHost]) -> None:
    one, two = pair
    assert create(one, "teams", id="contested").status_code == 201
    until(lambda: has(two, "teams/contested"))

    def change(host: ControlHost, number: int) -> int:
        patch = {"budgets": [{"limit_usd": str(number), "window": "day"}]}
        return host.client.patch("/api/v1/teams/contested", json=patch, headers={"if-match": f'"{round_}"'}).status_code

    with ThreadPoolExecutor(2) as pool:
        for round_ in range(1, 9):
            codes = list(pool.map(change, (one, two), (2 * round_, 2 * round_ + 1)))
            assert sorted(codes) == [200, 412], codes
            codes = list(pool.map(lambda host, n=round_: create(host, "keys", id=f"k{n}").status_code, (one, two)))
            assert sorted(codes) == [201, 409], codes
    until(lambda: one.get("audit", ("limit", "100")) == two.get("audit", ("limit", "100")))
    assert has(one, "teams/contested") == has(two, "teams/contested")


def test_references_are_checked_against_what_others_have_just_done(pair: tuple[ControlHost, ControlHost]) -> None:
    one, two = pair
    assert create(one, "teams", id="named").status_code == 201
    assert create(two, "keys", id="phone", team="named").status_code == 201
    refused = one.client.delete("/api/v1/teams/named")
    assert refused.status_code == 409
    assert "key:phone" in refused.text
    assert two.client.delete("/api/v1/keys/phone").status_code == 204
    assert one.client.delete("/api/v1/teams/named").status_code == 204
    assert create(two, "keys", id="tablet", team="named").status_code == 409


def test_while_the_database_is_away_nothing_changes_anywhere(hosts: Hosts) -> None:
    one, two = hosts.pair()
    assert create(one, "teams", id="red").status_code == 201
    until(lambda: has(two, "teams/red"))
    with hosts.postgres.away():
        for answer in (
            create(one, "teams", id="blue"),
            two.client.patch("/api/v1/teams/red", json={"environment": "prod"}),
            two.client.delete("/api/v1/teams/red"),
        ):
            assert answer.status_code == 503, answer.text
            assert answer.json()["type"] == "urn:fastgate:problem:shared_configuration_unavailable"
            assert answer.headers["retry-after"]
            assert PASSWORD not in answer.text
        until(lambda: not standing(two)["reachable"])
        two.end()
        two.start()  # as of its copy
        assert has(two, "teams/red")["version"] == 1
        assert has(two, "teams/blue") is None
        assert standing(two)["change"] == 1
        metrics = two.client.get("/metrics").text
        assert "fastgate_shared_configuration_up 0.0" in metrics
    until(lambda: create(one, "teams", id="blue").status_code == 201)
    until(lambda: has(two, "teams/blue"))
    until(lambda: not standing(one)["error"] and not standing(two)["error"])
    assert "fastgate_shared_configuration_up 1.0" in two.client.get("/metrics").text
    assert len(one.get("audit")["items"]) == 2


def test_changes_are_found_without_notifications(hosts: Hosts) -> None:
    one, two = hosts.pair()
    ours = "application_name LIKE 'fastgate%%' AND datname = %s"
    cut = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {ours}"
    with hosts.postgres.client(hosts.database) as client:
        for number in range(3):
            client.execute(cut, (hosts.database,))
            assert create(one, "teams", id=f"t{number}").status_code == 201  # nor does the end of an idle one matter
            until(lambda n=number: has(two, f"teams/t{n}"), 5)
        # A change of which nobody tells.
        client.execute("UPDATE fastgate.objects SET change = 4, gone = true WHERE id = 't0'")
        client.execute("UPDATE fastgate.head SET change = 4")
    until(lambda: has(two, "teams/t0") is None, 5)


def test_what_a_host_had_before_goes_into_an_empty_database_and_else_stays_its_own(hosts: Hosts) -> None:
    one, two = hosts.host(CONFIG), hosts.host(CONFIG)
    assert create(one, "teams", id="red").status_code == 201
    keys = [{"name": "k", "value": "shown-to-nobody"}]
    provider = {"id": "more", "type": "sim", "base_url": "http://127.0.0.1:9/v1", "keys": keys}
    assert create(one, "providers", **provider).status_code == 201
    assert create(two, "teams", id="blue").status_code == 201
    for host in (one, two):
        host.end()
        host.config.write_text(hosts.shared)
        host.start()
    three = hosts.host()
    assert has(three, "teams/red")
    assert [row["host"] for row in three.get("audit")["items"]] == [None, None]
    with hosts.postgres.client(hosts.database) as client:
        everything = client.execute("SELECT objects::text FROM fastgate.objects").fetchall()
    assert not any(text in str(everything) for text in ("shown-to-nobody", b"shown-to-nobody".hex()))
    assert has(two, "teams/red") is None
    assert has(two, "teams/blue")  # it is served on, and nothing of it is lost
    told = standing(two)["error"]
    assert "teams/blue" in told
    refused = create(two, "teams", id="green")
    assert refused.status_code == 503
    assert refused.json()["detail"] == told
    two.end()
    for name in ("state.db", "state.db-wal", "state.db-shm"):
        (two.state_dir / name).unlink(missing_ok=True)
    two.start()
    assert (bool(has(two, "teams/red")), has(two, "teams/blue"), standing(two)["error"]) == (True, None, None)


def test_a_host_that_had_nothing_of_its_own_comes_and_goes_and_comes_back(hosts: Hosts) -> None:
    one, two = hosts.pair()
    assert create(one, "teams", id="red").status_code == 201
    until(lambda: has(two, "teams/red"))
    two.end()
    assert one.client.patch("/api/v1/teams/red", json={"environment": "prod"}).status_code == 200
    two.start()
    assert has(two, "teams/red")["version"] == 2
    two.end()
    two.config.write_text(CONFIG)
    two.start()  # by itself it may change what it has: it is no copy any more
    assert create(two, "teams", id="own").status_code == 201
    two.end()
    two.config.write_text(hosts.shared)
    two.start()
    assert "teams/own" in standing(two)["error"]


def test_a_host_without_a_copy_does_not_start_where_it_gets_none(
    hosts: Hosts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told(exit_code: int) -> str:
        (config := tmp_path / "fastgate.yaml").write_text(hosts.shared)
        options = ["--config", config, "--state-dir", tmp_path, "--arena-dir", tmp_path, "--admin-port", "0"]
        command = [sys.executable, "-m", "fastgate.control.process", *map(str, options)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stderr is not None
            said = process.stderr.read().decode()
            assert process.wait(20) == exit_code, said
        return said

    with hosts.postgres.away():
        assert "no copy yet of what hosts share, and cannot get it" in told(4)
    hosts.host()
    monkeypatch.setenv("FASTGATE_STATE_KEY", OTHER_KEY)
    assert "give the FASTGATE_STATE_KEY of the others" in told(1)


def test_a_database_that_lost_changes_is_followed(hosts: Hosts) -> None:
    one, two = hosts.pair()
    for id_ in ("red", "blue"):
        assert create(one, "teams", id=id_).status_code == 201
    until(lambda: has(two, "teams/blue"))
    with hosts.postgres.client(hosts.database) as client:  # as an older copy of it
        client.execute("DELETE FROM fastgate.objects WHERE id = 'blue'")
        client.execute("DELETE FROM fastgate.audit WHERE seq = 2")
        client.execute("UPDATE fastgate.head SET change = 1")
    assert create(two, "teams", id="green").status_code == 201
    for host in (one, two):
        until(lambda h=host: has(h, "teams/green"))
        assert (bool(has(host, "teams/red")), has(host, "teams/blue")) == (True, None)
    assert "has lost changes" in two.log.read_text()


def test_what_was_confirmed_stays_whatever_is_killed(hosts: Hosts) -> None:
    both = hosts.pair()
    confirmed: list[str] = []
    over = threading.Event()

    def work(number: int) -> None:
        count = 0
        while not over.is_set():
            count += 1
            id_ = f"h{number}-{count}"
            with suppress(httpx.HTTPError, RuntimeError):  # its host is being killed
                answer = create(both[number], "keys", id=id_)
                assert answer.status_code in {201, 503}, answer.text
                if answer.status_code == 201:
                    confirmed.append(id_)

    def more(count: int = 15) -> None:
        wanted = len(confirmed) + count
        until(lambda: len(confirmed) >= wanted)

    with ThreadPoolExecutor(2) as pool:
        workers = [pool.submit(work, number) for number in range(2)]
        try:
            for host in both:
                more()
                hosts.postgres.kill()
                hosts.postgres.start()
                more()
                host.end(signal.SIGKILL)
                host.start()
            more()
        finally:
            over.set()
        for worker in workers:
            worker.result()
    until(lambda: not any(standing(host)["error"] or standing(host)["behind"] for host in both))
    until(lambda: both[0].get("audit", ("limit", "1000")) == both[1].get("audit", ("limit", "1000")))
    stored = [host.get("keys", ("limit", "1000"))["items"] for host in both]
    assert stored[0] == stored[1]
    assert {each["id"] for each in stored[0]} >= set(confirmed)
    for host in both:
        with opened(host.state_dir / "state.db") as db:
            assert not list(audit.broken_links(db))


def test_what_a_later_version_wrote_stays_as_it_was_but_for_secrets_that_end(hosts: Hosts) -> None:
    one, two = hosts.pair()
    assert create(one, "keys", id="laptop").status_code == 201
    until(lambda: has(two, "keys/laptop"))
    with hosts.postgres.client(hosts.database) as client:
        client.execute(
            "UPDATE fastgate.objects SET change = 2, version = 2, secrets = '[]',"
            " document = '{\"of_a_later_version\": 1, ' || substr(document, 2) WHERE id = 'laptop'"
        )
        client.execute("INSERT INTO fastgate.objects SELECT 'later', 'x', 3, false, '{}', 1, 1, 1, '', ''")
        client.execute("UPDATE fastgate.head SET change = 3")
    until(lambda: standing(two)["unread"] == ["keys/laptop", "later/x"])
    assert has(two, "keys/laptop")["version"] == 1
    assert has(two, "keys/laptop")["secrets"] == []
    for refused in (create(two, "keys", id="laptop"), two.client.patch("/api/v1/keys/laptop", json={"team": None})):
        assert (refused.status_code, "later version" in refused.text) == (409, True), refused.text
    assert create(two, "teams", id="red").status_code == 201
    two.end()
    two.start()
    assert standing(two)["unread"] == ["keys/laptop", "later/x"]
