"""What is deleted of the exact cache is deleted in the Redis that hosts share, too.

There nothing says which answers are of which key or tag: the names of all are gone through, a page at a time, with what
each is about. That is the control process's work alone, on a connection of its own, and within a bound.
"""

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, cast

from fastgate.cache.shared import HEAD, Unusable, about_of, key_of, outlined, prefix_of
from fastgate.config.redis_client import redis_client
from fastgate.config.redis_urls import RedisAddress, parse_redis_url
from fastgate.control.configuration import Published
from fastgate.control.problems import SharedUnavailable
from fastgate.wire.caching import SharedRecord
from fastgate.wire.failure import shown

if TYPE_CHECKING:
    from redis import Redis

PAGE: Final = 500
"""Names that are asked for at once."""
ANSWER_SECONDS: Final = 2.0
SCAN_SECONDS: Final = 30.0
"""For all of a deletion: who asks for one waits a minute."""

Said = Sequence[Sequence[bytes]]
"""Of what an answer is about: of each group one has to be in it."""


class SharedEntries:
    """The answers of one cluster. Each method connects, and raises SharedUnavailable where not all was done.

    What a worker of this host had read before is in its store by the time that a method returns.
    """

    def __init__(self, record: SharedRecord, address: RedisAddress) -> None:
        self._record = record
        self._address = address

    def delete(self, fingerprint: bytes) -> int:
        """The answer to one question; how many there were."""
        with self._connected() as client:
            return int(client.unlink(key_of(self._record.cluster, fingerprint)))

    def delete_all(self, said: Said, from_ms: int, until_ms: int) -> int:
        """Those that were kept from ``from_ms`` on and before ``until_ms`` (Unix ms), and are about that; how many."""
        until = time.monotonic() + SCAN_SECONDS
        pattern = re.sub(r"([*?\[\]^\\-])", r"\\\1", prefix_of(self._record.cluster)) + "*"
        gone = cursor = 0
        with self._connected() as client:
            while True:
                cursor, names = client.scan(cursor, match=pattern, count=PAGE)
                chosen = _chosen(client, cast(list[bytes], names), said, from_ms, until_ms)
                if chosen:
                    gone += int(client.unlink(*chosen))
                if not cursor:
                    return gone
                if time.monotonic() > until:
                    where, seconds = self._record.where, f"{SCAN_SECONDS:g} s"
                    told = f"Redis at {where} has more than could be looked at in {seconds}: {gone} are deleted there"
                    raise SharedUnavailable(f"{told}, and others may be left; all=true takes less, or FLUSHDB")

    @contextmanager
    def _connected(self) -> "Iterator[Redis]":
        from redis.exceptions import RedisError, ResponseError

        record = self._record
        try:
            with redis_client(self._address, record.ca_file or None, ANSWER_SECONDS) as client:
                yield client
        except ResponseError as error:
            told = f"Redis at {record.where} refuses to delete what hosts share: {shown(str(error))}"
            raise SharedUnavailable(f"{told}; its user needs getrange, scan and unlink") from None
        except (RedisError, OSError) as error:
            told = f"Redis at {record.where} cannot be reached, so what hosts share stays there: {shown(str(error))}"
            raise SharedUnavailable(f"{told}; ask again when it answers") from None
        # A worker that has read one before puts it into its own store within the deadline of its look-up.
        time.sleep(record.deadline_ms / 1000)


def shared_entries(published: Published | None) -> SharedEntries | None:
    """Of the configuration in force; None: hosts share nothing."""
    record = None if published is None else published.compiled.head.shared
    redis = None if published is None else published.config.redis
    if record is None or redis is None:
        return None
    return SharedEntries(record, parse_redis_url(redis.url.reveal()))


def _chosen(client: "Redis", names: Sequence[bytes], said: Said, from_ms: int, until_ms: int) -> list[bytes]:
    """Of these names those whose answers are meant. What is no answer of this version's is none that is given."""
    timely = []
    for name, head in zip(names, _parts(client, [(name, 0, HEAD) for name in names]), strict=True):
        try:
            outline = outlined(head)
        except Unusable:
            continue
        if from_ms <= outline.created_ms < until_ms:
            timely.append((name, outline.about_at, outline.about_bytes))
    if not said:
        return [name for name, _, _ in timely]
    told = zip(timely, _parts(client, timely), strict=True)
    return [name for (name, _, _), about in told if _says(about, said)]


def _parts(client: "Redis", wanted: Sequence[tuple[bytes, int, int]]) -> list[bytes]:
    """Of each value so many bytes from there on; what is gone by now has none."""
    pipeline = cast(Any, client.pipeline(transaction=False))
    for name, start, count in wanted:
        pipeline.getrange(name, start, start + count - 1)
    found: list[bytes] = pipeline.execute()
    return found


def _says(raw: bytes, said: Said) -> bool:
    try:
        about = about_of(raw)
    except Unusable:
        return False
    return all(any(each in about for each in alternatives) for alternatives in said)
