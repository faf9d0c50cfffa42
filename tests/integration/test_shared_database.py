"""What hosts that share a database do where somebody else had his hands in it, and that it goes on by itself."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.support.control_host import until
from tests.support.control_hosts import KEY, Hosts, create, has, standing
from tests.support.postgres import PostgresServer


@pytest.fixture
def hosts(tmp_path: Path, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hosts]:
    monkeypatch.setenv("FASTGATE_STATE_KEY", f"{KEY}\n")  # as a file that became a variable
    with ExitStack() as stack:
        yield Hosts(tmp_path, postgres, stack)


@contextmanager
def read_only(postgres: PostgresServer) -> Iterator[None]:
    """Also for whoever is connected."""
    with postgres.client("postgres") as client:
        try:
            client.execute("ALTER SYSTEM SET default_transaction_read_only = on")
            client.execute("SELECT pg_reload_conf()")
            yield
        finally:
            client.execute("ALTER SYSTEM RESET default_transaction_read_only")
            client.execute("SELECT pg_reload_conf()")


def test_a_database_that_was_made_anew_gets_what_hosts_have(hosts: Hosts) -> None:
    one, two = hosts.pair()
    assert create(one, "teams", id="red").status_code == 201
    until(lambda: has(two, "teams/red"))
    with hosts.postgres.client("postgres") as client:
        client.execute(f"DROP DATABASE {hosts.database} WITH (FORCE)".encode())
        client.execute(f"CREATE DATABASE {hosts.database}".encode())

    def imported() -> bool:
        with hosts.postgres.client(hosts.database) as client:
            tables = client.execute("SELECT FROM pg_tables WHERE tablename = 'objects'").rowcount
            return bool(tables and client.execute("SELECT FROM fastgate.objects").rowcount)

    until(imported, 15)
    three = hosts.host()
    assert has(three, "teams/red"), "who comes finds what the others have"
    assert create(three, "teams", id="blue").status_code == 201
    for host in (one, two):
        until(lambda h=host: has(h, "teams/blue"))
        until(lambda h=host: standing(h)["error"] is None)


def test_what_kept_changes_from_being_made_is_told_as_long_as_it_does(hosts: Hosts) -> None:
    one = hosts.host()
    assert create(one, "teams", id="red").status_code == 201
    with hosts.postgres.client(hosts.database) as client, client.transaction():
        client.execute("LOCK TABLE fastgate.head IN EXCLUSIVE MODE")
        assert create(one, "teams", id="blue").status_code == 503
        until(lambda: "lock timeout" in (standing(one)["error"] or ""))
        assert "fastgate_shared_configuration_up 0.0" in one.client.get("/metrics").text
    until(lambda: standing(one)["error"] is None, 15)
    with read_only(hosts.postgres):
        until(lambda: create(one, "teams", id="blue").status_code == 503)
        until(lambda: "read-only" in (standing(one)["error"] or ""))
    until(lambda: standing(one)["error"] is None, 15)
    until(lambda: create(one, "teams", id="green").status_code == 201)


def test_what_somebody_damaged_is_told_and_all_goes_on(hosts: Hosts) -> None:
    one, two = hosts.pair()
    assert create(one, "keys", id="laptop").status_code == 201
    until(lambda: has(two, "keys/laptop"))
    with hosts.postgres.client(hosts.database) as client:
        client.execute("UPDATE fastgate.objects SET secrets = '7', change = 2")
        client.execute("UPDATE fastgate.head SET change = 2")
        until(lambda: "was damaged by somebody" in (standing(two)["error"] or ""))
        assert has(two, "keys/laptop")
        client.execute("UPDATE fastgate.objects SET secrets = '[]', change = 3")
        client.execute("UPDATE fastgate.head SET change = 3")
    for host in (one, two):
        until(lambda h=host: standing(h)["error"] is None)
