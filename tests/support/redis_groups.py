"""Several real Redis servers of which one has what hosts share: with sentinels, or a cluster. All on loopback.

Both do what a RedisServer does, all of it at once; what one server alone can do is done by who has it now.
"""

import os
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import pytest
import redis
from redis.crc import key_slot

from tests.support.certificates import Pair
from tests.support.house import free_port, wait_for
from tests.support.redis_server import RedisServer, redis_program

SERVICE: Final = "blue.leases"
PASSWORD: Final = "password-of-the-servers-4c1b"
SENTINELS_PASSWORD: Final = "password-of-the-sentinels-77d0"
DOWN_MS: Final = 1000
"""After so long without a word a server is another one's to replace."""
_SETTLED_SECONDS: Final = 30


KINDS: Final = os.environ.get("FASTGATE_LEASE_STORES", "single").split()
"""What the tests of leases run with each: ``single``, ``sentinel``, ``cluster``."""
LONG: Final = pytest.mark.skipif("FASTGATE_LEASE_STORES" not in os.environ, reason="make chaos runs it")


def lease_server(kind: str, folder: Path, cluster_id: str = "prod") -> "RedisServer | SentinelGroup | ClusterGroup":
    """One of that kind, which wants a password. In a cluster the node with ``cluster_id``'s slot has a replica."""
    folder.mkdir(exist_ok=True)
    if kind == "sentinel":
        return SentinelGroup(folder)
    return ClusterGroup(folder, cluster_id) if kind == "cluster" else RedisServer(folder, password=PASSWORD)


class _Group:
    """``with``: all servers run and know each other."""

    scheme = ""

    def __init__(self, folder: Path, tls: Pair | None = None) -> None:
        self.folder, self.tls = folder, tls
        folder.mkdir(exist_ok=True)
        self.servers: list[RedisServer] = []
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._begin(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _begin(self, stack: ExitStack) -> None:
        raise NotImplementedError

    def _server(self, stack: ExitStack, **more: str) -> RedisServer:
        folder = self.folder / str(len(self.servers))
        folder.mkdir()
        said = {"masterauth": PASSWORD, "repl-diskless-sync-delay": "0", "repl-ping-replica-period": "1"}
        if self.tls is not None:
            said["tls-replication"] = "yes"
            said["tls-ca-cert-file"] = str(self.tls.cert.parent / "ca.pem")
        said |= {name.replace("_", "-"): value for name, value in more.items()}
        server = stack.enter_context(RedisServer(folder, tls=self.tls, password=PASSWORD, more=said))
        self.servers.append(server)
        return server

    @property
    def owner(self) -> RedisServer:
        """Who has it now; of two who say so, as one that hung may, the later one."""
        raise NotImplementedError

    @property
    def url(self) -> str:
        raise NotImplementedError

    def _url(self, ports: list[int], path: str = "") -> str:
        scheme = f"redis{'s' if self.tls else ''}+{self.scheme}"
        return f"{scheme}://:{PASSWORD}@{','.join(f'127.0.0.1:{port}' for port in ports)}{path}"

    def kill(self) -> None:
        """All servers at once."""
        for server in self.servers:
            server.kill()

    def start(self) -> None:
        """All of them, empty."""
        for server in self.servers:
            server.start()

    def hang(self) -> None:
        """Who has it now."""
        self._hung = self.owner
        self._hung.hang()

    def go_on(self) -> None:
        """Who hung."""
        self._hung.go_on()

    def kill_owner(self) -> RedisServer:
        """Who has it now dies; another server takes over by itself."""
        owner = self.owner
        owner.kill()
        return owner

    def cut_replication(self) -> None:
        """Nobody hears what is written from now on but who has it."""
        owner = self.owner
        for server in self.servers:
            if server is not owner:
                with server.client() as client:
                    client.config_set("masterauth", "another one")
        with owner.client() as client:
            client.execute_command("CLIENT KILL", "TYPE", "replica")

    def mend_replication(self) -> None:
        for server in self.servers:
            if server.runs:
                with server.client() as client:
                    client.config_set("masterauth", PASSWORD)


def sentinel(folder: Path, port: int, master: int, said: Iterable[str] = ()) -> "subprocess.Popen[bytes]":
    """One that watches the server at the port ``master``, and wants a password."""
    path = folder / f"sentinel-{port}.conf"
    first = [f"port {port}", "bind 127.0.0.1", f"dir {folder}", f"requirepass {SENTINELS_PASSWORD}"]
    path.write_text("\n".join([*first, f"sentinel monitor {SERVICE} 127.0.0.1 {master} 2", *said, ""]))
    with (folder / "sentinels.log").open("ab") as log:
        return subprocess.Popen([redis_program(), str(path), "--sentinel"], stdout=log, stderr=log)


def ended(process: "subprocess.Popen[bytes]") -> None:
    """At once."""
    process.kill()
    process.wait()


class SentinelGroup(_Group):
    """A master, its replica, and three sentinels, who have a password of their own."""

    scheme = "sentinel"

    def _begin(self, stack: ExitStack) -> None:
        master = self._server(stack)
        replica = self._server(stack, replicaof=f"127.0.0.1 {master.port}")
        wait_for(lambda: _replicates(replica), _SETTLED_SECONDS, "the replica is there")
        self.ports = [free_port() for _ in range(3)]
        self._sentinels = [self._sentinel(port, master.port) for port in self.ports]
        for process in self._sentinels:
            stack.callback(ended, process)
        wait_for(lambda: all(map(self._knows_all, self.ports)), _SETTLED_SECONDS, "the sentinels know each other")

    def _sentinel(self, port: int, master: int) -> "subprocess.Popen[bytes]":
        said = [
            f"sentinel sentinel-pass {SENTINELS_PASSWORD}",
            f"sentinel auth-pass {SERVICE} {PASSWORD}",
            f"sentinel down-after-milliseconds {SERVICE} {DOWN_MS}",
            f"sentinel failover-timeout {SERVICE} 3000",
        ]
        if self.tls is not None:
            said += ["port 0", f"tls-port {port}", "tls-auth-clients no", "tls-replication yes"]
            said += [f"tls-cert-file {self.tls.cert}", f"tls-key-file {self.tls.key}"]
            said += [f"tls-ca-cert-file {self.tls.cert.parent / 'ca.pem'}"]
        return sentinel(self.folder, port, master, said)

    def _knows_all(self, port: int) -> bool:
        with suppress(redis.RedisError):
            said = self.said_by(port)
            return bool(said["num-other-sentinels"] == 2 and said["num-slaves"] == 1)
        return False

    def replace_master(self) -> RedisServer:
        """On purpose; the old one, which learns of it after a while, and goes on until then."""
        owner = self.owner
        with self._asked(self.ports[0]) as client:
            client.execute_command("SENTINEL FAILOVER", SERVICE)
        wait_for(lambda: self.owner is not owner, _SETTLED_SECONDS, "the replica is the master")
        return owner

    def end_sentinels(self) -> None:
        """All of them, and the servers go on."""
        for process in self._sentinels:
            ended(process)

    def said_by(self, port: int) -> Any:
        """What that sentinel knows of the master."""
        with self._asked(port) as client:
            return client.sentinel_master(SERVICE)

    def _asked(self, port: int) -> "redis.Redis":
        more: dict[str, Any] = {}
        if self.tls is not None:
            more = {"ssl": True, "ssl_ca_certs": str(self.tls.cert.parent / "ca.pem")}
        return redis.Redis("127.0.0.1", port, password=SENTINELS_PASSWORD, protocol=2, **more)

    @property
    def owner(self) -> RedisServer:
        port = max((self.said_by(port) for port in self.ports), key=lambda said: int(said["config-epoch"]))["port"]
        return next(server for server in self.servers if server.port == int(port))

    @property
    def url(self) -> str:
        return self._url(self.ports, f"/{SERVICE}/0?sentinel_password={SENTINELS_PASSWORD}")


class ClusterGroup(_Group):
    """Three nodes, and a replica of the one that has ``cluster_id``'s slot."""

    scheme = "cluster"

    def __init__(self, folder: Path, cluster_id: str = "prod", tls: Pair | None = None) -> None:
        super().__init__(folder, tls)
        self.slot = key_slot(cluster_id.encode())

    def _begin(self, stack: ExitStack) -> None:
        more = {"cluster_enabled": "yes", "cluster_node_timeout": str(DOWN_MS), "cluster_replica_validity_factor": "0"}
        if self.tls is not None:
            more["tls_cluster"] = "yes"
        self.buses = [free_port() for _ in range(4)]
        for bus in self.buses:
            self._server(stack, cluster_port=str(bus), **more)
        first, *others = self.servers
        bounds = (0, 5461, 10923, 16384)
        for number, (server, bus) in enumerate(zip(self.servers, self.buses, strict=True), 1):
            with server.client() as client:
                client.execute_command("CLUSTER SET-CONFIG-EPOCH", number)
                if number <= 3:
                    client.execute_command("CLUSTER ADDSLOTSRANGE", bounds[number - 1], bounds[number] - 1)
            if server is not first:
                with first.client() as client:
                    client.execute_command("CLUSTER MEET", "127.0.0.1", server.port, bus)
        wait_for(self._is_whole, _SETTLED_SECONDS, "the nodes know each other")
        number = next(at for at, (low, high) in enumerate(pairwise(bounds)) if low <= self.slot < high)
        with others[-1].client() as replica:
            replica.execute_command("CLUSTER REPLICATE", _id(self.servers[number]))
        wait_for(lambda: _replicates(others[-1]), _SETTLED_SECONDS, "the replica is there")
        wait_for(self._is_whole, _SETTLED_SECONDS, "the nodes know each other")

    def _is_whole(self) -> bool:
        return all(about["cluster_state"] == "ok" and about["cluster_known_nodes"] == "4" for about in self._abouts())

    def _abouts(self) -> Iterator[Any]:
        for server in self.servers:
            with server.client() as client:
                yield client.cluster("INFO")

    @property
    def owner(self) -> RedisServer:
        port = max(self._owners())[1]
        return next(server for server in self.servers if server.port == port)

    def _owners(self) -> Iterator[tuple[int, int]]:
        """By each node that runs: what it has heard of at last, and whose the slot is."""
        for server in self.servers:
            if server.runs:
                with server.client() as client:
                    epoch = int(client.cluster("INFO")["cluster_current_epoch"])
                    for first, last, (_, port, *_), *_ in client.cluster("SLOTS"):
                        if first <= self.slot <= last:
                            yield epoch, port

    @property
    def url(self) -> str:
        return self._url([server.port for server in self.servers])

    def move_slot(self) -> None:
        """To another node, key by key, while it is used."""
        source = self.owner
        target = next(server for server in self.servers if server is not source and is_master(server))
        with source.client() as giver, target.client() as taker:
            taker.execute_command("CLUSTER SETSLOT", self.slot, "IMPORTING", _id(source))
            giver.execute_command("CLUSTER SETSLOT", self.slot, "MIGRATING", _id(target))
            while keys := giver.execute_command("CLUSTER GETKEYSINSLOT", self.slot, 10):
                where = ("127.0.0.1", target.port, "", 0, 5000)
                giver.execute_command("MIGRATE", *where, "AUTH", PASSWORD, "KEYS", *keys)
            for client in (taker, giver):
                client.execute_command("CLUSTER SETSLOT", self.slot, "NODE", _id(target))


def _id(server: RedisServer) -> str:
    with server.client() as client:
        return str(client.execute_command("CLUSTER MYID").decode())


def is_master(server: RedisServer) -> bool:
    """By its own word."""
    with server.client() as client:
        return bool(client.info("replication")["role"] == "master")


def _replicates(server: RedisServer) -> bool:
    with suppress(redis.RedisError), server.client() as client:
        return bool(client.info("replication").get("master_link_status") == "up")
    return False
