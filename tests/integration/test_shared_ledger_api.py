"""Two hosts and the ledger that they share: both answer alike, say of whom, and lose nothing while it is away."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner

from fastgate._core.price import Usage
from fastgate.cli.main import cli
from fastgate.wire.usage import Bucket
from tests.support.control_host import CONFIG, TOKEN, ControlHost, until
from tests.support.postgres import PASSWORD, PostgresServer

Hosts = tuple[ControlHost, ControlHost]


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer) -> Iterator[Hosts]:
    said = json.dumps({"url": postgres.url(postgres.fresh()), "configuration": False})
    found = [ControlHost(tmp_path_factory.mktemp("host"), f"{CONFIG}\npostgres: {said}\n") for _ in range(2)]
    yield (found[0], found[1])
    for host in found:
        host.close()


def usage(tokens: int) -> Usage:
    found = Usage()
    found[Bucket.INPUT] = tokens
    return found


def serve(host: ControlHost, count: int) -> None:
    for number in range(count):
        host.serve(usage(1000 + number), tags=f"n={number % 3}", user=f"u{number % 4}")


def requests(answer: Any) -> int:
    return int(answer["total"]["requests"])


def own(host: ControlHost) -> Any:
    """The sums of that host, as soon as all that it served is in its ledger."""
    return until(lambda: (found := host.get("spend", ("hosts", "own"))) and requests(found) == host.requests and found)


def spent(host: ControlHost, hosts: Hosts) -> Any:
    """The sums of all hosts, as soon as all that they served is in them."""
    count = sum(each.requests for each in hosts)
    told = ("all", count)
    return until(lambda: (found := host.get("spend")) and (found["hosts"], requests(found)) == told and found)


def test_every_host_answers_for_all(hosts: Hosts) -> None:
    one, two = hosts
    serve(one, 7)
    serve(two, 5)
    for host in hosts:
        spent(host, hosts)
    for path, pairs in (
        ("spend", [("by", "user,tag:n"), ("interval", "hour")]),
        ("spend", [("by", "key,model"), ("where", "user=u1"), ("limit", "1")]),
        ("requests", [("limit", "4"), ("tag:n", "1")]),
    ):
        answers = [host.get(path, *pairs) for host in hosts]
        assert answers[0] == answers[1]
        assert (answers[0]["hosts"], answers[0]["behind"], answers[0]["away"]) == ("all", 0, None)
    page, seen = one.get("requests", ("limit", "5")), []
    while True:
        seen += [row["id"] for row in page["items"]]
        if page["next"] is None:
            break
        page = two.get("requests", ("limit", "5"), ("cursor", page["next"]))
    assert len(seen) == len(set(seen)) == 12
    assert seen == sorted(seen, reverse=True)
    for id_ in seen:
        assert one.get(f"requests/{id_}") == two.get(f"requests/{id_}")
    assert one.get("requests", ("hosts", "own"))["hosts"] == "own"


def test_what_was_served_a_moment_ago_is_in_the_answer(hosts: Hosts) -> None:
    one, _ = hosts
    for _ in range(5):
        serve(one, 1)
        own(one)
        answer = one.get("spend")
        count = sum(each.requests for each in hosts)
        assert (answer["hosts"], answer["behind"], requests(answer)) == ("all", 0, count)


def test_while_the_database_is_away_a_host_answers_for_itself_and_says_so(
    hosts: Hosts, postgres: PostgresServer
) -> None:
    one, two = hosts
    serve(two, 2)
    spent(two, hosts)
    id_of_two = two.get("requests", ("hosts", "own"))["items"][0]["id"]
    sent = one.requests
    with postgres.away():
        serve(one, 4)
        own(one)
        answer = until(lambda: (found := one.get("spend"))["hosts"] == "own" and found)
        assert requests(answer) == one.requests
        assert "cannot be asked" in answer["away"]
        assert one.get("requests")["hosts"] == "own"
        for path in ("spend?hosts=all", f"requests/{id_of_two}"):
            refused = one.client.get(f"/api/v1/{path}")
            assert (refused.status_code, refused.json()["type"]) == (503, "urn:fastgate:problem:hosts_unavailable")
            assert "cannot be asked" in refused.json()["detail"]
        status = one.get("status")["shared_ledger"]
        assert (status["behind"], status["sent"]) == (4, sent)
        assert status["behind_seconds"] > 0
        assert "cannot be asked" in status["error"]
        metrics = one.client.get("/metrics").text
        assert "fastgate_shared_ledger_up 0.0" in metrics
        assert "fastgate_shared_ledger_behind_rows 4.0" in metrics
        where = ["--admin-url", str(one.client.base_url), "--admin-token", TOKEN]
        told = CliRunner().invoke(cli, ["report", "--by", "key", *where])
        assert told.exit_code == 0, told.output
        assert "of this host alone" in told.stderr
        one.end()
        one.start()  # knows nothing yet of how far it had come
        assert one.get("status")["shared_ledger"]["behind"] is None
    for host in hosts:
        spent(host, hosts)
    status = until(lambda: (found := one.get("status")["shared_ledger"])["error"] is None and found)
    assert (status["behind"], status["behind_seconds"], status["repeated"]) == (0, 0.0, 0)
    names = {host.get("status")["shared_ledger"]["host"] for host in hosts}
    until(lambda: {each["host"] for each in one.get("status")["shared_ledger"]["hosts"]} == names)
    for host in hosts:
        assert PASSWORD not in host.log.read_text()
        assert PASSWORD not in host.client.get("/api/v1/status").text


def test_what_is_left_goes_there_at_the_end(hosts: Hosts) -> None:
    one, two = hosts
    serve(one, 20)
    assert one.end() == 0
    spent(two, hosts)
