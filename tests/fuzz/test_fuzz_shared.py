"""Values of the Redis that hosts share, and its URL: whatever comes, a miss or what was written, and no exception."""

from pathlib import Path

import pytest
from xxhash import xxh3_128_digest

from fastgate._core.slab import Slab, create_slab
from fastgate.cache.question import STREAM, UNSTATED, WHOLE, packed, unpacked
from fastgate.cache.shared import Kept, Unusable, read, written
from fastgate.config.redis_urls import RedisAddress, parse_store_url
from tests.fuzz.harness import TARGETS, Broken, main, run, target

ASKED = b"10:fastgate 1,16:tttttttttttttttt,2:{},"
KEPT = [
    Kept(WHOLE, packed(1234, b""), b"{}", b'{"id":"x"}', 1_790_000_000_000, 1_790_003_600_000),
    Kept(STREAM, packed(0, b""), b'{"key":"ide"}', b"data: {}\n\ndata: [DONE]\n\n", 5, 5),
    Kept(UNSTATED, packed(10**12, b'{"total_tokens":3}'), b'{"tags":[["a","b"]]}', b"", 0, 1 << 41),
]
URLS = [
    b"redis://me:hidden@redis.test:6379/0",
    b"rediss://:hidden@[2001:db8::1]:6380/15",
    b"unix://me:hidden@/run/redis/redis.sock?db=3",
    b"redis+sentinel://me:hidden@one.test:26379,two.test/blue/0?sentinel_username=me&sentinel_password=hidden",
    b"rediss+cluster://:hidden@[::1]:7000,two.test",
]
TOKENS = [b"redis://", b"unix:///", b"+sentinel", b"+cluster", b"%00", b"@", b":", b"[", b"]", b",", b"?db=", b"&"]
_HEAD, _CONTENT = 34, 50


def sealed(value: bytes) -> bytes:
    """With the checksum of what else is there, so that mutations reach what is behind it."""
    head, content = value[:_HEAD], value[_CONTENT:]
    return head + xxh3_128_digest(head + content) + content


@target("shared", seeds=[written(ASKED, kept) for kept in KEPT], tokens=[b"FGA1", ASKED, b"{}", b"[" * 400, bytes(8)])
def check_shared(data: bytes) -> None:
    """As it came, and as if who wrote it had meant it."""
    for value in (data, sealed(data)) if len(data) >= _CONTENT else (data,):
        try:
            kept = read(value, ASKED)
        except Unusable:
            continue
        assert read(written(ASKED, kept), ASKED) == kept
        cost, _ = unpacked(kept.usage)
        assert 0 <= cost <= 10**15
        assert 0 <= kept.created_ms <= kept.expires_ms < 1 << 42
        with pytest.raises(Unusable):
            read(value, ASKED + b"!")


@target("redis-url", seeds=URLS, tokens=TOKENS)
def check_url(data: bytes) -> None:
    """An address, or a reason that quotes nothing."""
    text = data.decode("latin-1")
    try:
        store = parse_store_url(text)
    except ValueError as error:
        if "hidden" in str(error):
            raise Broken(str(error)) from None
        return
    assert 0 <= store.database < 100_000
    assert ":" not in store.user
    assert store.where.isprintable()
    if isinstance(store, RedisAddress):
        assert bool(store.host) != bool(store.path)
    else:
        assert all(host and 0 < port < 65_536 for host, port in store.members)


def test_for_a_short_while() -> None:
    for name in ("shared", "redis-url"):
        assert run(TARGETS[name], seed=1, rounds=4000) == 4000


def test_what_is_read_has_its_place_in_a_slab(tmp_path: Path) -> None:
    path = str(tmp_path / "cache.bin")
    create_slab(path, 2)
    slab = Slab(path)
    for kept in KEPT:
        again = read(written(ASKED, kept), ASKED)
        key = slab.hash128(ASKED)
        assert slab.store(
            key,
            ASKED,
            again.answer,
            kind=again.kind,
            usage=again.usage,
            tenant=bytes(16),
            about=again.about,
            now_ms=again.created_ms,
            ttl_ms=again.expires_ms - again.created_ms,
        )
        hit = slab.find(key, ASKED, again.created_ms)
        assert (hit is None) == (again.created_ms == again.expires_ms)


if __name__ == "__main__":
    main(["shared", "redis-url"])
