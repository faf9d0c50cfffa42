"""A database that hosts share: how it is reached, what its settings may say, and how its tables come to be."""

import re
import threading
from pathlib import Path

import psycopg
import pytest

from fastgate.config import ConfigErrors
from fastgate.config.documents import read_document
from fastgate.config.postgres import parse_postgres_url
from fastgate.config.scalars import Secret
from fastgate.config.settings import Postgres
from fastgate.config.variables import Variables
from fastgate.postgres.errors import NewerSchema, PostgresAway
from fastgate.postgres.link import Link
from fastgate.postgres.migrations import Migration, known, migrate
from fastgate.postgres.place import Place
from tests.support.certificates import Authority
from tests.support.house import wait_for
from tests.support.postgres import PASSWORD, PostgresServer


def place(url: str) -> Place:
    return Place.of(Postgres(url=Secret(url)), Path())


@pytest.fixture
def database(postgres: PostgresServer) -> str:
    return postgres.fresh()


def test_hosts_that_start_at_once_make_the_tables_once(postgres: PostgresServer, database: str) -> None:
    failures: list[BaseException] = []
    begin = threading.Barrier(6)

    def start() -> None:
        link = Link(place(postgres.url(database)), "test")
        begin.wait(10)
        try:
            with link.asked() as connection:
                connection.execute("SELECT change FROM head")
        except BaseException as error:
            failures.append(error)
        link.close()

    threads = [threading.Thread(target=start) for _ in range(begin.parties)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    with postgres.client(database) as client:
        rows = client.execute("SELECT number FROM fastgate.migrations ORDER BY number").fetchall()
    assert [number for (number,) in rows] == [each.number for each in known()]


def test_an_older_version_goes_on_beside_a_newer_one_where_that_says_so(
    postgres: PostgresServer, database: str
) -> None:
    count = len(known())
    later = Migration(count + 1, count, "CREATE TABLE fastgate.more (one integer)")
    last = Migration(count + 2, count + 1, "DROP TABLE fastgate.more")
    link = Link(place(postgres.url(database)), "test")
    with postgres.client(database) as client:
        migrate(client, (*known(), later))
        with link.asked() as connection:
            assert connection.execute("SELECT count(*) FROM more").fetchall() == [(0,)]
        migrate(client, (*known(), later, last))
        told = rf"knows {count} of {count + 2} steps, and {count + 1} are needed"
        with pytest.raises(NewerSchema, match=told), link.asked():  # though it was connected before
            pass
    link.close()


def test_what_fails_leaves_no_half_of_it(postgres: PostgresServer, database: str) -> None:
    broken = Migration(len(known()) + 1, 1, "CREATE TABLE fastgate.half (one integer); SELECT 1/0")
    with postgres.client(database) as client:
        with pytest.raises(psycopg.errors.DivisionByZero):
            migrate(client, (*known(), broken))
        assert client.execute("SELECT to_regnamespace('fastgate')").fetchall() == [(None,)]


def test_migrations_only_add() -> None:
    for each in known():
        assert each.works_with <= each.number
        assert not re.search(r"\b(DROP|RENAME|TRUNCATE|DELETE|ALTER COLUMN)\b", each.sql, re.IGNORECASE), each.number


def test_a_link_says_what_is_wrong_and_comes_back_by_itself(postgres: PostgresServer, database: str) -> None:
    link = Link(place(postgres.url(database)), "test")
    said: list[str] = []

    def answers() -> bool:
        try:
            with link.asked() as connection:
                return connection.execute("SELECT 1").fetchall() == [(1,)]
        except PostgresAway as error:
            said.append(str(error))
            return False

    assert answers()
    with postgres.away():
        assert not answers()
        assert link.health.error
        assert not answers()
    assert f"PostgreSQL at 127.0.0.1:{postgres.port}/{database} cannot be asked" in said[0]
    assert PASSWORD not in "".join(said)
    wait_for(answers, 10, "it answers again")
    assert (link.health.error, link.health.failures > 0) == ("", True)
    with pytest.raises(psycopg.errors.UndefinedTable), link.asked() as connection:
        connection.execute("SELECT 1 FROM nowhere")
    assert not link.health.error  # it is not the connection that failed
    link.close()


def test_a_wrong_password_is_told_without_it(postgres: PostgresServer, database: str) -> None:
    url = f"postgresql://gate:wrong-and-secret@127.0.0.1:{postgres.port}/{database}"
    link = Link(place(url), "test")
    with pytest.raises(PostgresAway, match="password authentication failed") as refused, link.asked():
        pass
    assert "wrong-and-secret" not in f"{refused.value} {link.place!r} {link.health}"


def test_a_certificate_is_verified_where_that_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    authority, other = Authority(tmp_path), Authority(tmp_path / "other")

    def told(url: str, ca_file: Path | None) -> str:
        link = Link(Place.of(Postgres(url=Secret(url), ca_file=ca_file and str(ca_file)), tmp_path), "test")
        try:
            with link.asked() as connection:
                return "encrypted" if connection.pgconn.ssl_in_use else "plain"
        except PostgresAway as error:
            return str(error)
        finally:
            link.close()

    with PostgresServer(authority.issue("db.test", "server")) as server:
        url = server.url("postgres")
        assert told(url, authority.ca) == "encrypted"
        assert told(f"{url}?sslmode=disable", None) == "plain"
        assert "SSL error" in told(url, other.ca)
        assert "SSL error" in told(f"{url}?sslmode=verify-full", None)
        by_name = url.replace("127.0.0.1", "localhost")
        assert 'does not match host name "localhost"' in told(by_name, authority.ca)


def test_who_may_make_no_tables_is_told(postgres: PostgresServer, database: str) -> None:
    with postgres.client(database) as client:
        client.execute("CREATE ROLE guest LOGIN PASSWORD 'of-the-guest'")
    link = Link(place(f"postgresql://guest:of-the-guest@127.0.0.1:{postgres.port}/{database}"), "test")
    with pytest.raises(PostgresAway, match="permission denied for database"), link.asked():
        pass
    assert "permission denied" in link.health.error


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("mysql://me:hidden@db.test/gate", "has to begin with postgresql://"),
        ("postgresql://me:hidden@db.test", "name a user and a database"),
        ("postgresql://db.test/gate", "name a user and a database"),
        ("postgresql://me:hidden@a,b/gate", "only one server"),
        ("postgresql://me:hidden@db.test:0/gate", "no valid host and port"),
        ("postgresql://me:hidden@db.test:123456/gate", "no valid host and port"),
        ("postgresql://me:hidden@db.test/gate?sslmode=maybe", "unknown sslmode"),
        ("postgresql://me:hidden@db.test/gate?sslmode=require&sslmode=disable", "each once"),
        ("postgresql://me:hidden@db.test/gate?options=-c", "nothing else"),
        ("postgresql://me:hidden@db.test/gate?host=/run", "folder of a socket alone"),
        ("postgresql://me:hidden@/gate?host=run", "folder of a socket alone"),
        ("postgresql://me:hidden@db.test/gate#x", "fragment"),
        ("postgresql://me:hid den@db.test/gate", "visible ASCII"),
    ],
)
def test_what_no_address_says(text: str, wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong) as refused:
        parse_postgres_url(text)
    assert "hid" not in str(refused.value)


def test_the_extra_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastgate.config.postgres.find_spec", lambda name: None)
    text = "providers: {sim: {type: sim, base_url: 'http://127.0.0.1:9'}}\npostgres: {url: 'postgresql://me@db/gate'}\n"
    with pytest.raises(ConfigErrors) as refused:
        read_document(text, "fastgate.yaml", Variables({}, Path()))
    told = (
        "fastgate.yaml:2:11: postgres: needs the package psycopg, which is missing (pip install 'fastgate[postgres]')"
    )
    assert [str(problem) for problem in refused.value.problems] == [told]


def test_the_parts_of_an_address() -> None:
    address = parse_postgres_url("postgres://me:a%40b@[2001:db8::1]/gate?sslmode=require")
    assert tuple(address) == ("2001:db8::1", 5432, "gate", "me", "a@b", "require")
    assert f"{address}" == "PostgresAddress([2001:db8::1]:5432/gate)"
    assert parse_postgres_url("postgresql://me@/gate?host=/run/postgresql").where == "/run/postgresql/gate"
