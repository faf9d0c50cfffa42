"""Where the Redis that hosts share is, as configurations say it, and what workers are told of it."""

from pathlib import Path

import pytest

from fastgate.config.documents import read_document
from fastgate.config.problems import ConfigErrors
from fastgate.config.redis_urls import RedisGroup, parse_redis_url, parse_store_url
from fastgate.config.root import Config
from fastgate.config.variables import Variables
from fastgate.control.check import warnings
from fastgate.control.compile import compile_snapshot
from fastgate.wire.caching import SHARED_OWNER
from fastgate.wire.sealing import Sealer

PROVIDERS = "providers: {sim: {type: sim, base_url: 'http://127.0.0.1:9'}}\n"
STORE = "redis: {url: 'redis://me:hidden@redis.test:7000/2', cluster_id: eu}\n"


def config_of(text: str) -> Config:
    return read_document(PROVIDERS + text, "fastgate.yaml", Variables({}, Path())).config


@pytest.mark.parametrize(
    ("text", "parts", "where"),
    [
        ("redis://redis.test", ("redis.test", 6379, "", False, 0, "", ""), "redis.test:6379"),
        ("REDIS://Redis.Test:7000/15", ("redis.test", 7000, "", False, 15, "", ""), "redis.test:7000"),
        ("redis://:hidden@10.0.0.1/", ("10.0.0.1", 6379, "", False, 0, "", "hidden"), "10.0.0.1:6379"),
        (
            "rediss://me:a%40b%3A%2F%C3%BC@[2001:db8::1]:6380/3",
            ("2001:db8::1", 6380, "", True, 3, "me", "a@b:/\u00fc"),
            "[2001:db8::1]:6380",
        ),
        ("unix:///run/redis/r.sock", ("", 0, "/run/redis/r.sock", False, 0, "", ""), "/run/redis/r.sock"),
        ("unix://me:hidden@/run/r%20s?db=4", ("", 0, "/run/r s", False, 4, "me", "hidden"), "/run/r s"),
    ],
)
def test_the_parts_of_an_address(text: str, parts: tuple[object, ...], where: str) -> None:
    address = parse_redis_url(text)
    assert tuple(address) == parts
    assert address.where == where
    assert not address.password or address.password not in f"{address!r} {address.where}"


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("", "has to begin with"),
        ("redis.test:6379", "has to begin with"),
        ("http://redis.test", "has to begin with"),
        ("redis://", "no valid host"),
        ("redis:///0", "no valid host"),
        ("redis://a,b", "no valid host"),
        ("redis://redis.test:0", "no valid host"),
        ("redis://redis.test:99999", "no valid host"),
        ("redis://[::1", "no valid host"),
        ("redis://redis.test/first", "number of a database"),
        ("redis://redis.test/1/2", "number of a database"),
        ("redis://redis.test/-1", "number of a database"),
        ("redis://redis.test?db=1", "must not have a query"),
        ("rediss://redis.test?ssl_cert_reqs=none", "must not have a query"),
        ("redis://redis.test#1", "fragment"),
        ("redis://me@redis.test", "user without a password"),
        ("redis://m%3Ae:hidden@redis.test", "colon in the user"),
        ("redis://me:hid den@redis.test", "visible ASCII"),
        ("unix://", "path of a socket"),
        ("unix:///", "path of a socket"),
        ("unix://redis.test/run/r.sock", "path of a socket"),
        ("unix:///run/r.sock?password=hidden", "db=NUMBER"),
        ("unix:///run/r.sock?db=", "db=NUMBER"),
        ("unix:///" + "r" * 107, "more than 107 bytes"),
    ],
)
def test_what_is_no_address_is_refused_and_not_quoted(text: str, wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong) as refused:
        parse_redis_url(text)
    assert "hidden" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "parts", "where"),
    [
        (
            "redis+sentinel://one.test,two.test:7000/blue",
            ("blue", (("one.test", 26379), ("two.test", 7000)), False, 0, "", "", "", ""),
            "blue of the sentinels one.test:26379, two.test:7000",
        ),
        (
            "rediss+sentinel://me:hid%40den@[::1]:7000/blue/3?sentinel_username=s&sentinel_password=hidd%26en+",
            ("blue", (("::1", 7000),), True, 3, "me", "hid@den", "s", "hidd&en+"),
            "blue of the sentinels [::1]:7000",
        ),
        (
            "REDIS+CLUSTER://:hidden@One.Test,two.test:7001",
            ("", (("one.test", 6379), ("two.test", 7001)), False, 0, "", "hidden", "", ""),
            "the cluster of one.test:6379, two.test:7001",
        ),
    ],
)
def test_the_parts_of_several_servers(text: str, parts: tuple[object, ...], where: str) -> None:
    group = parse_store_url(text)
    assert isinstance(group, RedisGroup)
    assert tuple(group) == parts
    assert group.where == where
    assert "hid" not in f"{group!r} {group.where}"


def test_sentinels_have_a_login_of_their_own_and_nodes_have_not() -> None:
    group = parse_store_url("redis+sentinel://me:mine@one.test/blue/2?sentinel_password=theirs")
    assert isinstance(group, RedisGroup)
    assert group.member("one.test", 1)[4:] == (0, "", "theirs")
    assert group.server("two.test", 1)[4:] == (2, "me", "mine")
    nodes = parse_store_url("redis+cluster://me:mine@one.test")
    assert isinstance(nodes, RedisGroup)
    assert nodes.member("one.test", 1) == nodes.server("one.test", 1)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("redis+other://one.test", "has to begin with"),
        ("redis+sentinel:one.test", "has to begin with"),
        ("redis+sentinel://one.test", "has to name the service"),
        ("redis+sentinel://one.test//0", "has to name the service"),
        ("redis+sentinel://one.test/b%20l", "has to name the service"),
        ("redis+sentinel://one.test/blue/x", "number of a database"),
        ("redis+sentinel://one.test/blue/0/1", "number of a database"),
        ("redis+sentinel:///blue", "no valid hosts and ports"),
        ("redis+sentinel://one.test,/blue", "no valid hosts and ports"),
        ("redis+sentinel://one.test:0/blue", "no valid hosts and ports"),
        ("redis+sentinel://one.test;two.test/blue", "no valid hosts and ports"),
        ("redis+sentinel://one.test,one.test:26379/blue", "names a server twice"),
        (f"redis+cluster://{','.join(f'n{number}' for number in range(17))}", "more than 16 servers"),
        ("redis+sentinel://me@one.test/blue", "user without a password"),
        ("redis+sentinel://one.test/blue?sentinel_username=me", "user without a password"),
        ("redis+sentinel://one.test/blue?password=hidden", "and nothing else"),
        ("redis+sentinel://one.test/blue?", "and nothing else"),
        ("redis+sentinel://one.test/blue?sentinel_password=hidden&sentinel_password=hidden", "and nothing else"),
        ("redis+sentinel://one.test/blue#hidden", "has to begin with"),
        ("redis+sentinel://me:hid den@one.test/blue", "visible ASCII"),
        ("redis+cluster://one.test/0", "a cluster has one database"),
        ("redis+cluster://one.test?db=0", "a cluster has one database"),
    ],
)
def test_what_is_no_list_of_servers_is_refused_and_not_quoted(text: str, wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong) as refused:
        parse_store_url(text)
    assert "hidden" not in str(refused.value)


@pytest.mark.parametrize("url", ["redis+sentinel://:hidden@one.test/blue", "redis+cluster://:hidden@one.test"])
def test_answers_are_shared_by_one_server_alone(url: str) -> None:
    store = f"redis: {{url: '{url}'}}\n"
    assert config_of(store).redis is not None
    with pytest.raises(ConfigErrors, match="keeps answers in one server") as refused:
        config_of(f"{store}cache: {{exact: {{enabled: true, shared: redis}}}}")
    assert "write shared: none" in str(refused.value)
    assert "hidden" not in str(refused.value)


def test_workers_are_told_of_it_where_answers_are_kept_and_shared(tmp_path: Path) -> None:
    sealer = Sealer(tmp_path, {})

    def shared(exact: str, *, cached: bool = False) -> object:
        config = config_of(f"{STORE}cache: {{exact: {exact}}}")
        return compile_snapshot(config, 1, tmp_path, cached=cached, seal=sealer.seal).head.shared

    assert shared("{enabled: true}") is None
    assert shared("{shared: redis}") is None
    assert shared("{shared: redis}", cached=True) is not None
    config = config_of(f"{STORE}cache: {{exact: {{enabled: true, shared: redis, shared_deadline_ms: 7}}}}")
    record = compile_snapshot(config, 1, tmp_path, seal=sealer.seal).head.shared
    assert record is not None
    assert (record.cluster, record.deadline_ms, record.where) == ("eu", 7, "redis.test:7000")
    assert (record.database, record.tls, record.path, record.ca_file) == (2, False, "", "")
    assert b"hidden" not in record.credentials
    assert sealer.open(record.credentials, SHARED_OWNER) == "me:hidden"


def test_a_relative_file_of_authorities_starts_at_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("-----BEGIN CERTIFICATE-----\n")
    text = (
        f"{PROVIDERS}redis: {{url: 'rediss://redis.test', ca_file: ca.pem}}\n"
        "cache: {exact: {enabled: true, shared: redis}}"
    )
    config = read_document(text, "fastgate.yaml", Variables({}, tmp_path)).config
    record = compile_snapshot(config, 1, tmp_path).head.shared
    assert record is not None
    assert (record.tls, record.ca_file) == (True, str(tmp_path / "ca.pem"))


def test_check_tells_of_a_store_that_nothing_uses(tmp_path: Path) -> None:
    path = tmp_path / "fastgate.yaml"
    path.write_text(PROVIDERS + STORE)
    assert list(warnings(path, {})) == [], "budgets are shared by it"
    path.write_text(f"{PROVIDERS}{STORE.rstrip().removesuffix('}')}, leases: false}}\n")
    told = "redis: nothing uses it, as redis.leases is false and cache.exact.shared is none"
    assert list(warnings(path, {})) == [told]
    path.write_text(f"{PROVIDERS}{STORE}cache: {{exact: {{shared: redis}}}}")
    assert list(warnings(path, {})) == []
