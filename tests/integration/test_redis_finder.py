"""Which of several servers has what hosts share: real sentinels and a real cluster, with TLS and passwords."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from redis.exceptions import ResponseError

from fastgate.budgets.leases.store import LeaseStore, StoreAway
from fastgate.config.redis_finder import Finder
from fastgate.config.redis_urls import parse_store_url
from tests.support.certificates import Authority
from tests.support.house import free_port, wait_for
from tests.support.redis_groups import PASSWORD, SENTINELS_PASSWORD, ClusterGroup, SentinelGroup, ended, sentinel

CLUSTER: Final = "prod"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def sentinels(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[SentinelGroup]:
    with SentinelGroup(tmp_path_factory.mktemp("sentinels"), authority.issue("redis.test", "sentinels")) as group:
        yield group


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[ClusterGroup]:
    with ClusterGroup(tmp_path_factory.mktemp("nodes"), CLUSTER, authority.issue("redis.test", "nodes")) as group:
        yield group


def finder(url: str, authority: Authority | None = None) -> Finder:
    return Finder(parse_store_url(url), None if authority is None else str(authority.ca), CLUSTER, 2.0)


def store(found: Finder) -> LeaseStore:
    return LeaseStore(lambda: found.client(single=True), CLUSTER)


def test_sentinels_say_which_server_it_is(sentinels: SentinelGroup, authority: Authority) -> None:
    found = finder(sentinels.url, authority)
    assert found.find().port == sentinels.owner.port
    assert not found.silent
    assert store(found).join("here", "nonce").incarnation == 1


def test_a_sentinel_that_is_away_is_not_missed(sentinels: SentinelGroup, authority: Authority) -> None:
    away = f"127.0.0.1:{free_port()}"
    found = finder(sentinels.url.replace("@", f"@{away},"), authority)
    assert found.find().port == sentinels.owner.port
    assert found.silent.keys() == {away}


def test_nobody_who_knows(sentinels: SentinelGroup, authority: Authority) -> None:
    with pytest.raises(ResponseError, match="No such master"):
        finder(sentinels.url.replace("/blue.leases/", "/green/"), authority).find()
    with pytest.raises(ResponseError, match="invalid username-password") as refused:
        finder(sentinels.url.replace(SENTINELS_PASSWORD, "hidden"), authority).find()
    assert "hidden" not in str(refused.value)
    places = [f"127.0.0.1:{free_port()}" for _ in range(2)]
    with pytest.raises(OSError, match=f"{places[0]}: .*refused.*; {places[1]}: .*refused"):
        finder(f"redis+sentinel://{','.join(places)}/blue").find()


def test_a_server_that_refuses_the_password(sentinels: SentinelGroup, authority: Authority) -> None:
    with pytest.raises(StoreAway, match="invalid username-password"):
        store(finder(sentinels.url.replace(PASSWORD, "hidden"), authority)).join("here", "nonce")


def test_a_master_without_the_replicas_that_it_wants_grants_nothing(
    sentinels: SentinelGroup, authority: Authority
) -> None:
    with sentinels.owner.client() as client:
        client.config_set("min-replicas-to-write", 2)
        with pytest.raises(StoreAway, match="good replicas"):
            store(finder(sentinels.url, authority)).join("fenced", "nonce")
        client.config_set("min-replicas-to-write", 1)
        assert store(finder(sentinels.url, authority)).join("fenced", "nonce").incarnation == 1


def test_an_authority_that_is_not_trusted(sentinels: SentinelGroup, nodes: ClusterGroup) -> None:
    for group in (sentinels, nodes):
        with pytest.raises(OSError, match="certificate verify failed"):
            finder(group.url).find()


def test_who_has_heard_of_the_latest_change_is_believed_until_most_have_long_said_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ports, masters = [free_port() for _ in range(3)], [free_port() for _ in range(3)]
    processes = [
        sentinel(tmp_path, port, master, [f"sentinel config-epoch blue.leases {epoch}"])
        for port, master, epoch in zip(ports, masters, (7, 2, 3), strict=True)
    ]
    try:
        members = ",".join(f"127.0.0.1:{port}" for port in ports)
        found = finder(f"redis+sentinel://{members}/blue.leases?sentinel_password={SENTINELS_PASSWORD}")
        wait_for(lambda: _finds(found), 10, "all answer")
        assert found.find().port == masters[0]
        ended(processes[0])
        less = f"knows less than others did: 127.0.0.1:{ports[0]}"
        for _ in range(2):
            with pytest.raises(OSError, match=less):
                found.find()
        monkeypatch.setattr("fastgate.config.redis_finder.ANEW_SECONDS", 0.0)
        assert found.find().port == masters[2]
        ended(processes[1])
        assert found.find().port == masters[2], "it is what is believed by now"
    finally:
        for process in processes:
            ended(process)


def _finds(found: Finder) -> bool:
    try:
        found.find()
    except OSError:
        return False
    return not found.silent


def test_a_slot_that_moves_is_followed(nodes: ClusterGroup, authority: Authority) -> None:
    found = finder(nodes.url, authority)
    lines = store(found)
    before, member = found.find(), lines.join("here", "nonce")
    nodes.move_slot()
    with pytest.raises(StoreAway, match=f"another node of a cluster, 127.0.0.1:{nodes.owner.port}"):
        lines.report(member)
    assert lines.join("here", "nonce").epoch != member.epoch
    assert found.find().port == nodes.owner.port != before.port


def test_a_server_that_is_no_node(sentinels: SentinelGroup, authority: Authority) -> None:
    with pytest.raises(ResponseError, match="cluster support disabled"):
        finder(f"rediss+cluster://:{PASSWORD}@127.0.0.1:{sentinels.owner.port}", authority).find()
