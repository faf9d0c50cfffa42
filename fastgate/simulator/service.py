"""From a request to its reply: routes, keys, errors, the bill's own pages."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, unquote

import msgspec
import xxhash

from fastgate.simulator import anthropic, openai_chat
from fastgate.simulator.answer import Writer
from fastgate.simulator.ask import Refusal
from fastgate.simulator.bill import COMPLETE, Bill
from fastgate.simulator.booking import Booking
from fastgate.simulator.dialect import Dialect
from fastgate.simulator.faults import Fault, Faults, fault
from fastgate.simulator.heads import JSON, head, plain_head
from fastgate.simulator.playback import Delays, Playback
from fastgate.simulator.prices import PRICES, Price, read_prices
from fastgate.simulator.replies import Reply
from fastgate.simulator.script import NO_SCRIPT, PREFIX, ScriptError, read_script
from fastgate.simulator.tokens import TOKENIZERS

OPENAI: Final[Dialect] = openai_chat
ANTHROPIC: Final[Dialect] = anthropic

NO_KEY: Final = "(none)"
CHAT: Final = b"/v1/chat/completions"
MESSAGES: Final = b"/v1/messages"
COUNT_TOKENS: Final = b"/v1/messages/count_tokens"
MODELS: Final = b"/v1/models"
ROWS_AT_ONCE: Final = 100_000


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What the simulator is told at its start; times in milliseconds."""

    host: str = "127.0.0.1"
    port: int = 9000
    seed: int = 0
    latency_ms: float = 0.0
    ttft_ms: float = 0.0
    chunk_ms: float = 0.0
    cancel_lag_ms: float = 0.0
    tokens: tuple[int, int] = (16, 16)
    tokenizer: str = "quarter"
    fail: str = ""
    now: float | None = None
    """A clock that stands still, in unix seconds; None: the machine's."""
    prices: Path | None = None
    require_key: bool = False
    bill_rows: int = 2_000_000
    exit_with_stdin: bool = False


class Request:
    """One HTTP request; header names in lower case, and only those that :data:`HEADERS` lists."""

    __slots__ = ("body", "headers", "http10", "keep_alive", "method", "path", "query")

    def __init__(
        self,
        method: bytes,
        target: bytes,
        headers: Mapping[bytes, bytes],
        body: bytes,
        *,
        keep_alive: bool = True,
        http10: bool = False,
    ) -> None:
        self.method = method
        self.path, _, self.query = target.partition(b"?")
        self.headers = headers
        self.body = body
        self.keep_alive = keep_alive
        self.http10 = http10


HEADERS: Final = frozenset({b"authorization", b"x-api-key", b"anthropic-version", b"expect"})

Route = Callable[[Request], bytes | Reply]


class Service:
    """Answers requests. Holds the prices, the bill and the options; knows nothing of connections."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.prices: Mapping[str, Price] = PRICES if options.prices is None else read_prices(options.prices)
        self.bill = Bill(self.prices, options.bill_rows)
        self.faults = Faults(options.fail, options.seed)
        self.tokenizer = TOKENIZERS[options.tokenizer]
        self.writer = Writer(self.tokenizer, options.tokens)
        self.delays = Delays(
            options.latency_ms / 1000, options.ttft_ms / 1000, options.chunk_ms / 1000, options.cancel_lag_ms / 1000
        )
        self._now_us = None if options.now is None else round(options.now * 1_000_000)
        self._plain = not self.delays.latency
        self._routes: dict[bytes, dict[bytes, Route]] = {
            CHAT: {b"POST": lambda request: self._generate(OPENAI, request)},
            MESSAGES: {b"POST": lambda request: self._generate(ANTHROPIC, request)},
            COUNT_TOKENS: {b"POST": self._count_tokens},
            MODELS: {b"GET": self._models},
            b"/_bill": {b"GET": self._bill},
            b"/_bill/requests": {b"GET": self._bill_requests},
            b"/_reset": {b"POST": self._reset},
            b"/": {b"GET": self._hello},
            b"/api/hello": {b"GET": self._hello},
        }

    def reply(self, request: Request) -> bytes | Reply:
        """The reply: bytes that are ready, or a :class:`Reply` to be played."""
        try:
            return self._route(request)(request)
        except Refusal as refusal:
            self.bill.count_unbilled(str(refusal.status))
            return self._error(request, refusal)

    def _route(self, request: Request) -> Route:
        methods = self._routes.get(request.path)
        if methods is None and request.path.startswith(MODELS + b"/"):
            methods = {b"GET": self._model}
        if methods is None:
            path = request.path.decode("latin-1")
            raise Refusal(404, f"Invalid URL ({request.method.decode('latin-1')} {path})", "unknown_url")
        method = b"GET" if request.method == b"HEAD" and b"GET" in methods else request.method
        route = methods.get(method)
        if route is None:
            allowed = ", ".join(name.decode() for name in methods)
            raise Refusal(405, f"Not allowed to {request.method.decode('latin-1')} here; only to {allowed}")
        return route

    def _dialect(self, request: Request) -> Dialect:
        """Whose shape an answer has that no dialect's own path decides."""
        is_anthropic = request.path.startswith(MESSAGES) or b"anthropic-version" in request.headers
        return ANTHROPIC if is_anthropic else OPENAI

    def _key(self, request: Request) -> str:
        """The caller's key, by which the bill tells callers apart."""
        key = request.headers.get(b"x-api-key")
        if key is None:
            scheme, _, key = request.headers.get(b"authorization", b"").partition(b" ")
            if scheme.lower() != b"bearer":
                key = b""
        if key:
            return key.decode("latin-1")
        if self.options.require_key:
            raise Refusal(401, "You didn't provide an API key.")
        return NO_KEY

    def _generate(self, dialect: Dialect, request: Request) -> bytes | Reply:
        """A chat answer."""
        body = request.body
        key = self._key(request)
        number = xxhash.xxh3_64_intdigest(body, self.options.seed) >> 1
        ask = dialect.read(body, request.headers)
        price = self.prices.get(ask.model)
        if price is None:
            raise Refusal(
                404, f"The model `{ask.model}` does not exist or you do not have access to it.", "model_not_found"
            )
        script, failure = NO_SCRIPT, self.faults.draw(number) if self.faults else None
        if ask.last_user.startswith(PREFIX):
            try:
                script = read_script(ask.last_user)
            except ScriptError as error:
                raise Refusal(400, str(error), "invalid_script") from error
            if script.tools and not ask.offers_tools:
                raise Refusal(400, "the script calls tools, but the request offers none", "invalid_script")
            if script.fail is not None:
                failure = fault(script.fail)
        if failure is not None and failure.status:
            return self._failed(request, failure, script.message, script.headers)
        now_us = time.time_ns() // 1000 if self._now_us is None else self._now_us
        answer = self.writer.write(ask, script, number, now_us // 1_000_000, price.behaves)
        booking = Booking(self.bill, key, dialect.charges(answer, self.prices), now_us, number)
        if self._plain and script is NO_SCRIPT and failure is None and not ask.stream and request.keep_alive:
            booking.whole(COMPLETE)
            whole = dialect.whole(answer)
            return plain_head(dialect.request_id_header, number, len(whole)) + whole
        return Playback(
            dialect, answer, failure, self.delays, booking, keep_alive=request.keep_alive, http10=request.http10
        ).reply()

    def _failed(self, request: Request, failure: Fault, message: str | None, headers: Mapping[str, str]) -> bytes:
        self.bill.count_unbilled(str(failure.status))
        further = {b"retry-after": b"1"} if failure.status in {429, 503, 529} else {}
        further.update((name.lower().encode("latin-1"), text.encode("latin-1")) for name, text in headers.items())
        refusal = Refusal(failure.status, message or f"The simulator was told to fail with {failure.status}.")
        return self._error(request, refusal, further)

    def _error(self, request: Request, refusal: Refusal, headers: Mapping[bytes, bytes] | None = None) -> bytes:
        dialect = self._dialect(request)
        identity = f"req_{xxhash.xxh3_64_intdigest(request.body, self.options.seed) >> 1:016x}"
        body = dialect.error(refusal.status, refusal.message, refusal.code, identity)
        further = {dialect.request_id_header: identity.encode(), **(headers or {})}
        return self._page(request, body, refusal.status, further)

    def _page(
        self, request: Request, body: bytes, status: int = 200, headers: Mapping[bytes, bytes] | None = None
    ) -> bytes:
        """A JSON answer, without its body for HEAD."""
        first = head(status, JSON, headers or {}, length=len(body), keep_alive=request.keep_alive)
        return first if request.method == b"HEAD" else first + body

    def _count_tokens(self, request: Request) -> bytes:
        self._key(request)
        ask = anthropic.count_tokens(request.body, request.headers)
        if ask.model not in self.prices:
            raise Refusal(404, f"model: {ask.model}")
        return self._page(request, anthropic.counted(self.tokenizer.prompt(ask.prompt)))

    def _models(self, request: Request) -> bytes:
        self._key(request)
        return self._page(request, self._dialect(request).models(list(self.prices)))

    def _model(self, request: Request) -> bytes:
        self._key(request)
        name = unquote(request.path.removeprefix(MODELS + b"/").decode("latin-1"))
        if name not in self.prices:
            raise Refusal(404, f"The model `{name}` does not exist or you do not have access to it.", "model_not_found")
        return self._page(request, self._dialect(request).model(name))

    def _hello(self, request: Request) -> bytes:
        return self._page(request, b'{"simulator":true}')

    def _bill(self, request: Request) -> bytes:
        return self._page(request, msgspec.json.encode(self.bill.report()))

    def _bill_requests(self, request: Request) -> bytes:
        """``?after=0&limit=1000``; at most 100,000 at once."""
        asked = parse_qs(request.query.decode("latin-1"))
        try:
            after, limit = (
                int(asked.get(name, [str(otherwise)])[0]) for name, otherwise in (("after", 0), ("limit", 1000))
            )
        except ValueError as error:
            raise Refusal(400, f"after and limit should be whole numbers: {error}") from error
        if after < 0 or not 1 <= limit <= ROWS_AT_ONCE:
            raise Refusal(400, f"after should not be negative, and limit should lie between 1 and {ROWS_AT_ONCE}")
        return self._page(request, msgspec.json.encode(self.bill.requests(after, limit)))

    def _reset(self, request: Request) -> bytes:
        self.bill.reset()
        self.faults = Faults(self.options.fail, self.options.seed)
        return self._page(request, b"{}")
