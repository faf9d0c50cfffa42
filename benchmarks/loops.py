"""The compiled core's loops, for whoever counts their instructions: ``python -m benchmarks.loops FOLDER``.

Between two calls of ``getpgid``, which nothing else calls, each loop runs ``TIMES`` times; it ran as often before.
Nothing here depends on the time, on a socket, or on what else the process has. ``FOLDER``: for an arena and the like.
"""

import hashlib
import os
import sys
from collections.abc import Awaitable, Callable, Generator, Iterator
from functools import partial
from itertools import repeat
from pathlib import Path
from typing import Any, Final

from fastgate._core.answer_head import Figures, Passed
from fastgate._core.arena import Arena
from fastgate._core.body import scan, splice
from fastgate._core.budget import OUTCOME_OK, OUTCOME_REJECTED, SETTLED_EXACT, hold
from fastgate._core.canonical import canonical
from fastgate._core.client import Client
from fastgate._core.events import EventScanner
from fastgate._core.journal import Draft, Journal
from fastgate._core.learned import OutputRate, TokenRate
from fastgate._core.levels import Level, Levels
from fastgate._core.owner import WORKER, Owner
from fastgate._core.price import PriceTable, Usage
from fastgate._core.server import Server
from fastgate._core.slab import Slab, create_slab
from fastgate._core.snapshot import Snapshot
from fastgate._core.upstream import Pool
from fastgate._core.windows import Period
from fastgate.budgets.holds import Terms
from fastgate.dialects.openai_chat import OPENAI_CHAT
from fastgate.pricing.table import build_table
from fastgate.providers.kinds import answer_header
from fastgate.wire.prices import ModelPrice, PriceBand, PriceRow
from fastgate.wire.snapshot import SnapshotHead
from fastgate.wire.snapshot_file import write_snapshot
from fastgate.wire.usage import Bucket, Tier

Operation = Callable[[], object]

TIMES: Final = 200
"""All loops together write fewer events than a segment of the journal holds."""
NOON_NS: Final = 1_795_262_400 * 10**9
REQUEST_ID: Final = bytes(range(16))
USAGE: Final = Usage(input=1_200, cache_read=90_000, cache_write=4_000, output=700, reasoning=300)
CHUNK: Final = (
    b'data: {"id":"chatcmpl-AbCdEfGhIjKlMnOpQrStUvWxYz012","object":"chat.completion.chunk","created":1790000000,'
    b'"model":"gpt-6.1-terra","service_tier":"default","system_fingerprint":"fp_0123456789","choices":[{"index":0,'
    b'"delta":{"content":" hello there"},"logprobs":null,"finish_reason":null}],"usage":null}\n\n'
)
ANSWER_HEADERS: Final = [(f"x-fastgate-header-{number}", "a value of some length") for number in range(10)]


def body(size: int) -> bytes:
    """A request of about so many bytes, in turns."""
    turn = b'{"role":"user","content":"The quick brown fox jumps over the lazy dog, twice.\\n%b"}' % (
        b"And so on. " * 16
    )
    turns = b",".join([turn] * max(1, size // len(turn)))
    return b'{"model":"gpt-6.1-terra","messages":[%b],"stream":true,"max_tokens":100}' % turns


def bodies(folder: Path) -> Iterator[tuple[str, Operation]]:
    for size in (1_000, 16_000):
        yield f"body: scan, {size // 1000} KB", partial(scan, body(size), OPENAI_CHAT.fields)
    data = body(1_000)
    edits = OPENAI_CHAT.edits(*OPENAI_CHAT.parse(data), model="gpt-6.1-sol", output_cap=50)
    yield "body: splice", partial(splice, data, edits)


def events(folder: Path) -> Iterator[tuple[str, Operation]]:
    yield "events: a chunk metered", partial(EventScanner(OPENAI_CHAT.table).feed, CHUNK)
    yield "events: a chunk stripped", partial(EventScanner(OPENAI_CHAT.table, True).feed, CHUNK)
    torn = EventScanner(OPENAI_CHAT.table, True)
    yield "events: a chunk in two pieces", lambda: torn.feed(CHUNK[:100]) + torn.feed(CHUNK[100:])


def keys(folder: Path) -> Iterator[tuple[str, Operation]]:
    digests = [hashlib.sha256(b"%d" % number).digest() for number in range(1000)]
    path = folder / "snapshot.bin"
    write_snapshot(path, SnapshotHead(7, 1, 2, 3, 4, 5, (), {}, ()), ((key, bytes(100)) for key in digests), b"")
    yield "snapshot: a key", partial(Snapshot(path).find, digests[500])


def caches(folder: Path) -> Iterator[tuple[str, Operation]]:
    path = str(folder / "slab.bin")
    create_slab(path, 4)
    slab = Slab(path)
    question, key = body(1_000), REQUEST_ID

    def store() -> bool:
        return slab.store(
            key, question, bytes(1000), kind=0, usage=bytes(60), tenant=REQUEST_ID, about=b"{}", now_ms=1, ttl_ms=10**9
        )

    yield "cache: an answer stored", store
    yield "cache: an answer of 1 KB", partial(slab.find, key, question, 2)
    yield "cache: the key of 1 KB", partial(slab.hash128, question)
    yield "cache: spelling, 1 KB", partial(canonical, question, ("stream", "user"))


def prices(folder: Path) -> Iterator[tuple[str, Operation]]:
    band = PriceBand(-1, tuple(1000 + bucket for bucket in Bucket))
    table = PriceTable(build_table([ModelPrice("p", "m", (PriceRow(Tier.STANDARD, (band,)),))]))
    yield "price: a cost", partial(table.cost, 0, USAGE, NOON_NS)
    yield "price: a bound", partial(table.bound, 0, 300_000, 4_000, NOON_NS)
    arena = Arena(str(folder / "terms.bin"), create=True)
    rates = TokenRate(arena, "m"), OutputRate(arena, "m answers"), OutputRate(arena, "m thoughts")
    terms = Terms(table, 0, *rates, capped=True, strict=False, default_cap=4_000, cap_fields=("max_tokens",))
    _, request = OPENAI_CHAT.parse(body(1_000))
    yield "terms: a quote", partial(terms.quote, request, 1_000, NOON_NS, False)


def budgets(folder: Path) -> Iterator[tuple[str, Operation]]:
    arena = Arena(str(folder / "arena.bin"), create=True)
    owner = Owner(arena, WORKER, os.getpid())
    journal = Journal(str(folder), owner.slot)
    month = Period(6)
    levels = Levels(arena, [Level(arena.cell(f"{name}/month/default"), 10**15, month) for name in "pktc"])
    draft = Draft(key="k", team="t", customer="c", provider="p", model="m", dialect="openai-chat")
    take = partial(hold, owner, journal, levels, draft)
    stream: Any = take(1000, NOON_NS, REQUEST_ID)

    def pair() -> None:
        held: Any = take(1000, NOON_NS, REQUEST_ID)
        held.settle(700, USAGE, SETTLED_EXACT, OUTCOME_OK, 200)

    yield "budget: a hold and its settlement", pair
    yield "budget: a refusal", partial(take, 10**16, NOON_NS, REQUEST_ID)
    yield "budget: a top-up", partial(stream.grow, 1000, 10)
    yield "levels: what is left", partial(levels.left, NOON_NS)
    logged = partial(
        journal.log, draft, REQUEST_ID, NOON_NS // 1000, 1500, 402, OUTCOME_REJECTED, False, "budget_exceeded"
    )
    yield "journal: an event", logged


class Future:
    """What the loop's are, as far as they are used."""

    def __init__(self) -> None:
        self._done = False

    def done(self) -> bool:
        return self._done

    def set_result(self, result: None) -> None:
        self._done = True

    def __await__(self) -> Generator["Future", None, None]:
        if not self._done:
            yield self


class Loop:
    """An event loop without a clock: tasks run at once, to their first wait, and what is due when it is asked for."""

    def __init__(self, transport: "Transport") -> None:
        self._transport = transport
        self.due: list[Operation] = []

    create_future = staticmethod(Future)

    def create_task(self, work: Any) -> None:
        step(work)

    def call_soon(self, work: Operation) -> None:
        self.due.append(work)

    def call_later(self, seconds: float, work: Operation) -> object:
        return self

    async def create_connection(self, factory: Callable[[], Any], host: str, port: int, **_: object) -> None:
        self._transport.protocol = factory()
        self._transport.protocol.connection_made(self._transport)

    def turn(self) -> None:
        """What the present pass leaves to the next."""
        due, self.due = self.due, []
        for work in due:
            work()


class Transport:
    """The other end of a connection: it takes everything and says nothing."""

    protocol: Any

    def get_extra_info(self, name: str) -> Any:
        return self if name == "socket" else ("127.0.0.1", 50000)

    def setsockopt(self, *_: object) -> None:
        pass

    def write(self, data: bytes) -> None:
        assert data

    def is_closing(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0


def step(work: Any) -> Any:
    """Run a coroutine to its next wait; its result where it ends."""
    try:
        work.send(None)
    except StopIteration as end:
        return end.value
    return None


def requests(folder: Path) -> Iterator[tuple[str, Operation]]:
    head = b"".join(b"X-Header-%d: a value of some length\r\n" % number for number in range(10))
    asked = b"POST /v1/chat/completions HTTP/1.1\r\n%bContent-Length: 1000\r\n\r\n%b" % (head, bytes(1000))
    transport = Transport()
    loop: Any = Loop(transport)

    async def application(scope: Any, protocol: Any) -> None:
        await protocol()
        protocol.response_bytes(200, ANSWER_HEADERS, bytes(400))

    client: Any = Client(Server(loop, application, lambda *_: None))  # type: ignore[arg-type,call-arg]
    client.connection_made(transport)

    def request() -> None:
        client.data_received(asked)
        loop.turn()

    yield "server: a request read and answered", request


def answers(folder: Path) -> Iterator[tuple[str, Operation]]:
    received = [(b"content-type", b"application/json"), (b"server", b"s"), (b"x-request-id", b"req_0123456789abcdef")]
    yield "headers: those of a provider", partial(Passed(answer_header).of, received * 2)
    figures = Figures("x-id", "x-overhead-us", "x-left-usd", "x-cost-usd")
    told = partial(figures.behind, (ANSWER_HEADERS[:2], tuple(ANSWER_HEADERS[2:7]), ()))
    yield "headers: those of an answer", partial(told, REQUEST_ID, NOON_NS, 999_999_955_300, 44_700)


def exchanges(folder: Path) -> Iterator[tuple[str, Operation]]:
    head = b"".join(b"X-Header-%d: a value of some length\r\n" % number for number in range(10))
    answer = b"HTTP/1.1 200 OK\r\n%bContent-Length: 400\r\n\r\n%b" % (head, bytes(400))
    transport = Transport()
    loop: Any = Loop(transport)
    pool = Pool(loop, "127.0.0.1", 1)

    def exchange() -> None:
        work: Awaitable[Any] = pool.request(b"POST / HTTP/1.1\r\n\r\n", b"x" * 1000, buffer_limit=1 << 20)
        step(work)
        loop.turn()
        transport.protocol.data_received(answer)
        assert len(step(work).at_hand(1 << 20)) == 400

    yield "upstream: an exchange", exchange


PARTS: Final = (bodies, events, keys, caches, prices, budgets, requests, answers, exchanges)


def main(folder: Path) -> None:
    """Run all, and print their names in order."""
    for part in PARTS:
        for name, operation in part(folder):
            run(operation)
            os.getpgid(0)
            run(operation)
            os.getpgid(0)
            print(name)


def run(operation: Operation) -> None:
    """So often."""
    for _ in repeat(None, TIMES):
        operation()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
