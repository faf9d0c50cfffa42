"""From a request to its reply: routes, keys, errors, the bill's own pages."""

from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import parse_qs, unquote

import msgspec

from fastgate.simulator import anthropic, openai_chat, openai_embeddings
from fastgate.simulator.ask import Refusal, unknown_model
from fastgate.simulator.bill import Bill
from fastgate.simulator.dialect import Dialect
from fastgate.simulator.generator import Generator
from fastgate.simulator.heads import JSON, head
from fastgate.simulator.options import Options
from fastgate.simulator.prices import PRICES, Price, read_prices
from fastgate.simulator.replies import Reply
from fastgate.simulator.request import Request

OPENAI: Final[Dialect] = openai_chat
EMBEDDINGS: Final[Dialect] = openai_embeddings
ANTHROPIC: Final[Dialect] = anthropic

NO_KEY: Final = "(none)"
CHAT: Final = b"/v1/chat/completions"
EMBED: Final = b"/v1/embeddings"
MESSAGES: Final = b"/v1/messages"
COUNT_TOKENS: Final = b"/v1/messages/count_tokens"
MODELS: Final = b"/v1/models"
ROWS_AT_ONCE: Final = 100_000


Route = Callable[[Request], bytes | Reply]


class Service:
    """Answers requests. Holds the prices, the bill and the options; knows nothing of connections."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.prices: Mapping[str, Price] = PRICES if options.prices is None else read_prices(options.prices)
        self.bill = Bill(self.prices, options.bill_rows)
        self.generator = Generator(options, self.prices, self.bill)
        self._routes: dict[bytes, dict[bytes, Route]] = {
            CHAT: {b"POST": self._chat},
            EMBED: {b"POST": self._embed},
            MESSAGES: {b"POST": self._messages},
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

    def _chat(self, request: Request) -> bytes | Reply:
        return self.generator.reply(OPENAI, request, self._key(request))

    def _embed(self, request: Request) -> bytes | Reply:
        return self.generator.reply(EMBEDDINGS, request, self._key(request))

    def _messages(self, request: Request) -> bytes | Reply:
        return self.generator.reply(ANTHROPIC, request, self._key(request))

    def _error(self, request: Request, refusal: Refusal) -> bytes:
        dialect = self._dialect(request)
        identity = f"req_{self.generator.number(request.body):016x}"
        body = dialect.error(refusal.status, refusal.message, refusal.code, identity)
        further = {dialect.request_id_header: identity.encode(), **refusal.headers}
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
            raise unknown_model(ask.model)
        return self._page(request, anthropic.counted(self.generator.tokenizer.prompt(ask.prompt)))

    def _models(self, request: Request) -> bytes:
        self._key(request)
        return self._page(request, self._dialect(request).models(list(self.prices)))

    def _model(self, request: Request) -> bytes:
        self._key(request)
        name = unquote(request.path.removeprefix(MODELS + b"/").decode("latin-1"))
        if name not in self.prices:
            raise unknown_model(name)
        return self._page(request, self._dialect(request).model(name))

    def _hello(self, request: Request) -> bytes:
        return self._page(request, b'{"simulator":true}')

    def _bill(self, request: Request) -> bytes:
        return self._page(request, msgspec.json.encode(self.bill.report()))

    def _bill_requests(self, request: Request) -> bytes:
        """``?after=0&limit=1000``; at most 100,000 at once."""
        asked = parse_qs(request.query.decode("latin-1"))
        try:
            after, limit = int(asked.get("after", ["0"])[0]), int(asked.get("limit", ["1000"])[0])
        except ValueError as error:
            raise Refusal(400, f"after and limit should be whole numbers: {error}") from error
        if after < 0 or not 1 <= limit <= ROWS_AT_ONCE:
            raise Refusal(400, f"after should not be negative, and limit should lie between 1 and {ROWS_AT_ONCE}")
        return self._page(request, msgspec.json.encode(self.bill.requests(after, limit)))

    def _reset(self, request: Request) -> bytes:
        self.bill.reset()
        self.generator.reset()
        return self._page(request, b"{}")
