"""What proxies answer, and how they may be written: a tunnel or an error, and never a secret in one."""

from fastgate._core.tunnel import MOST_HEAD, Answer, NoTunnel
from fastgate.config.proxies import parse_proxy
from tests.fuzz.harness import TARGETS, Broken, main, run, target

ANSWERS = [
    b"HTTP/1.1 200 Connection established\r\nvia: 1.1 squid\r\n\r\n",
    b"HTTP/1.0 200 OK\r\n\r\n",
    b"HTTP/1.1 407 Proxy Authentication Required\r\nproxy-authenticate: Basic\r\ncontent-length: 2\r\n\r\nno",
    b"HTTP/1.1 503 Service Unavailable\r\n\r\n",
]
TOKENS = [b"HTTP/1.1 ", b"200", b"\r\n", b"\r\n\r\n", b"HTTP/2", b": ", b"100 Continue\r\n\r\n"]
SECRET = "hunter22"


def outcome(pieces: list[bytes]) -> str:
    answer, opened = Answer(), False
    try:
        for piece in pieces:
            opened = answer.feed(piece)
    except NoTunnel as error:
        return str(error)
    return "open" if opened else "not yet"


@target("proxy-answer", seeds=ANSWERS, tokens=TOKENS)
def check_answer(data: bytes) -> None:
    whole = outcome([data])
    # Split anywhere; what comes first decides, so a verdict may fall before the rest is there.
    halves = outcome([data[: len(data) // 2], data[len(data) // 2 :]])
    single = outcome([data[i : i + 1] for i in range(len(data))]) if len(data) < 600 else whole
    if not whole == halves == single:
        raise Broken(f"{whole!r}, {halves!r} and {single!r}")
    if whole == "open" and not (data.startswith((b"HTTP/1.1 2", b"HTTP/1.0 2")) and data.endswith(b"\r\n\r\n")):
        raise Broken("a tunnel was opened by what is no answer")
    if whole == "not yet" and len(data) > MOST_HEAD + 4:
        raise Broken("an answer without an end is waited for")


@target(
    "proxy-address",
    seeds=[f"http://me:{SECRET}@proxy.test:3128".encode(), f"https://me:{SECRET}@[::1]:3128/".encode()],
    tokens=[b"@", b":", b"/", b"//", b"[", b"]", b"%40", b"%3A", b"%", b"#", b"?", SECRET.encode()],
)
def check_address(data: bytes) -> None:
    try:
        found = parse_proxy(data.decode("latin-1"))
    except ValueError as error:
        if SECRET in str(error):
            raise Broken(str(error)) from None
        return
    if not (0 < found.port < 65_536 and found.host and "@" not in found.host and found.scheme in {"http", "https"}):
        raise Broken(str(tuple(found)))


def test_for_a_short_while() -> None:
    assert run(TARGETS["proxy-answer"], seed=1, rounds=5_000) == 5_000
    assert run(TARGETS["proxy-address"], seed=1, rounds=5_000) == 5_000


if __name__ == "__main__":
    main()
