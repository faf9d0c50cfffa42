"""Small, deterministic changes to byte strings."""

import random
from collections.abc import Sequence

TOKENS = (
    b"\x00", b"\xff", b"\xc3\x28", b"\xed\xa0\x80", b"\\ud800", b"\\u0000", b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":",
    b"null", b"true", b"-0", b"1e309", b"9223372036854775808", b"-9223372036854775809", b"1.5", b"NaN", b"\r", b"\n", b"\r\n",
    b"\n\n", b"data: ", b"data:", b"[DONE]", b"event: error\n", b": ping\n\n", b"\xef\xbb\xbf", b"0\r\n\r\n", b"ffffffffffffffff\r\n",
    b"content-length: 5\r\n", b"content-length: -1\r\n", b"transfer-encoding: chunked\r\n", b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 100 C\r\n\r\n",
    b"!!python/object:os.system ", b"&a *a ", b"<<: ", b"${", b"}", b"${file:/dev/null}", b"- ", b"  ",
)  # fmt: skip


def mutate(seeds: Sequence[bytes], chance: random.Random, limit: int = 65_536) -> bytes:
    """One of the seeds, with one to eight changes."""
    data = bytearray(chance.choice(seeds))
    for _ in range(1 << chance.randrange(4)):
        change = chance.randrange(8)
        at = chance.randrange(len(data) + 1)
        end = min(len(data), at + 1 + int(chance.expovariate(0.1)))
        if change == 0 and at < len(data):
            data[at] ^= 1 << chance.randrange(8)
        elif change == 1 and at < len(data):
            data[at] = chance.randrange(256)
        elif change == 2:
            del data[at:end]
        elif change == 3:
            data[at:at] = chance.choice(TOKENS)
        elif change == 4:
            data[at:at] = data[at:end] * chance.choice((1, 2, 300))
        elif change == 5:
            other = chance.choice(seeds)
            start = chance.randrange(len(other) + 1)
            data[at:at] = other[start : start + 1 + chance.randrange(64)]
        elif change == 6 and end - at >= 4:
            data[at : at + 4] = chance.choice((b"\xff\xff\xff\xff", b"\x00\x00\x00\x00", b"\xff\xff\xff\x7f", b"\x00\x00\x00\x80"))
        else:
            del data[chance.randrange(len(data) + 1) :]
    return bytes(data[:limit])


def split(data: bytes, chance: random.Random) -> list[bytes]:
    """The same bytes in pieces of random sizes, empty ones among them."""
    pieces = []
    at = 0
    while at < len(data):
        end = at + chance.choice((0, 1, 1, 2, 3, 7, 40, 500))
        pieces.append(data[at:end])
        at = end
    return pieces
