"""Which server of several has what hosts share, as sentinels or a cluster's nodes say: never on a request's path."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from fastgate.config.redis_client import redis_client
from fastgate.config.redis_urls import RedisAddress, RedisGroup, RedisStore
from fastgate.wire.caching import place_of

if TYPE_CHECKING:
    from redis import Redis


ANEW_SECONDS: Final = 10.0


class _Said(NamedTuple):
    """What one member knows. ``epoch``: of two that differ, who has heard of the later one is right."""

    epoch: int
    host: str
    port: int


class Finder:
    """For one thread. ``cluster_id``: it names the slot; ``seconds``: for each answer of each member.

    ``often``: it asks so often that connections to members are kept, until ``close``.
    """

    def __init__(
        self, store: RedisStore, ca_file: str | None, cluster_id: str, seconds: float, *, often: bool = False
    ) -> None:
        self.store = store
        self._ca_file, self._cluster_id, self._seconds = ca_file, cluster_id, seconds
        self._kept: dict[tuple[str, int], Redis] | None = {} if often else None
        self.epoch = 0
        """Of what was believed last: it grows with each change."""
        self._server: RedisAddress | None = None
        self._doubted_since: float | None = None
        self.silent: dict[str, str] = {}
        """Members that did not say it the last time, and why."""

    @property
    def where(self) -> str:
        """What messages call it. From any thread."""
        now = "" if self._server is None else f", now {self._server.where}"
        return f"{self.store.where}{now}"

    def client(self, *, single: bool = False) -> "Redis":
        """A connection to whoever has it now, see :func:`redis_client`. Raises RedisError, OSError."""
        return redis_client(self.find(), self._ca_file, self._seconds, single=single)

    def find(self) -> RedisAddress:
        """Asks all members at once, and believes who has heard of the latest change.

        What is older than what was heard before is believed where no member is silent who may know better, or where
        most have said it for a while: then they were set up anew. Raises RedisError, OSError.
        """
        store = self.store
        if isinstance(store, RedisAddress):
            return store
        with ThreadPoolExecutor(len(store.members)) as pool:
            answers = list(pool.map(lambda member: self._ask(store, *member), store.members))
        said = [answer for answer in answers if isinstance(answer, _Said)]
        self.silent = {
            place_of(*member, ""): str(answer)
            for member, answer in zip(store.members, answers, strict=True)
            if not isinstance(answer, _Said)
        }
        if not said:
            raise _nobody(answers, self.silent)
        latest = max(said, key=lambda each: each.epoch)
        if latest.epoch >= self.epoch:
            self._doubted_since = None
        elif self.silent and not self._is_anew(2 * len(said) > len(store.members)):
            raise ConnectionError(f"who answers knows less than others did: {_listed(self.silent)}")
        self.epoch, self._server = latest.epoch, store.server(latest.host, latest.port)
        return self._server

    def _is_anew(self, most_say_so: bool) -> bool:
        """Whether that was so for longer than it takes until most have heard of a change."""
        if not most_say_so:
            self._doubted_since = None
            return False
        now = time.monotonic()
        self._doubted_since = now if self._doubted_since is None else self._doubted_since
        return now - self._doubted_since >= ANEW_SECONDS

    def close(self) -> None:
        """Ends what was kept."""
        for client in (self._kept or {}).values():
            client.close()

    def _ask(self, group: RedisGroup, host: str, port: int) -> _Said | Exception:
        from redis.exceptions import RedisError

        try:
            if self._kept is None:
                with redis_client(group.member(host, port), self._ca_file, self._seconds) as client:
                    return self._said(client, group, host)
            if (host, port) not in self._kept:
                self._kept[host, port] = redis_client(group.member(host, port), self._ca_file, self._seconds)
            return self._said(self._kept[host, port], group, host)
        except (RedisError, OSError) as error:
            return error

    def _said(self, client: "Redis", group: RedisGroup, host: str) -> _Said:
        return _master(client, group.service) if group.service else _owner(client, host, self._cluster_id)


def _master(client: "Redis", service: str) -> _Said:
    """By a sentinel."""
    said: Any = client.sentinel_master(service)
    return _Said(int(said["config-epoch"]), said["ip"], int(said["port"]))


def _owner(client: "Redis", asked: str, cluster_id: str) -> _Said:
    """By a node of a cluster, of the slot in which all keys of these hosts lie."""
    from redis.crc import key_slot
    from redis.exceptions import ClusterDownError

    about: Any = client.cluster("INFO")
    if about["cluster_state"] != "ok":
        raise ClusterDownError("the cluster is down, by what this node knows")
    slot = key_slot(cluster_id.encode())
    slots: Any = client.cluster("SLOTS")
    for first, last, (host, port, *_), *_ in slots:
        if first <= slot <= last:
            return _Said(int(about["cluster_current_epoch"]), host.decode() if host else asked, port)
    raise ClusterDownError(f"nobody has slot {slot}")


def _nobody(answers: list[_Said | Exception], silent: dict[str, str]) -> Exception:
    """What to raise: a refusal, where any of them refused."""
    from redis.exceptions import AuthenticationError, ResponseError

    refused = any(isinstance(answer, AuthenticationError | ResponseError) for answer in answers)
    return (ResponseError if refused else ConnectionError)(_listed(silent))


def _listed(silent: dict[str, str]) -> str:
    return "; ".join(f"{place}: {why}" for place, why in silent.items())
