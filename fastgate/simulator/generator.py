"""From a request to its reply: read, priced, scripted or made up, billed."""

import time
from collections.abc import Mapping

import xxhash

from fastgate.simulator.answer import Writer
from fastgate.simulator.ask import Ask, Refusal, unknown_model, wrong_kind
from fastgate.simulator.bill import COMPLETE, Bill
from fastgate.simulator.booking import Booking
from fastgate.simulator.dialect import Dialect
from fastgate.simulator.faults import Fault, Faults, fault
from fastgate.simulator.heads import plain_head
from fastgate.simulator.options import Options
from fastgate.simulator.playback import Delays, Playback
from fastgate.simulator.prices import Price
from fastgate.simulator.replies import Reply
from fastgate.simulator.request import Request
from fastgate.simulator.rules import read_rules, script_for
from fastgate.simulator.script import NO_SCRIPT, Script, ScriptError, read_script
from fastgate.simulator.tokens import TOKENIZERS

RETRY_SOON = {429: {b"retry-after": b"1"}, 503: {b"retry-after": b"1"}, 529: {b"retry-after": b"1"}}


class Generator:
    """Answers requests for texts and for vectors, of any dialect."""

    def __init__(self, options: Options, prices: Mapping[str, Price], bill: Bill) -> None:
        self.options = options
        self.prices = prices
        self.bill = bill
        self.tokenizer = TOKENIZERS[options.tokenizer]
        self.writer = Writer(self.tokenizer, options.tokens)
        self.delays = Delays(
            options.latency_ms / 1000, options.ttft_ms / 1000, options.chunk_ms / 1000, options.cancel_lag_ms / 1000
        )
        self._now_us = None if options.now is None else round(options.now * 1_000_000)
        self._rules = [] if options.answers is None else read_rules(options.answers)
        self.reset()

    def reset(self) -> None:
        """Starts the sequence of failures anew."""
        self.faults = Faults(self.options.fail, self.options.seed)

    def number(self, body: bytes) -> int:
        """63 bits out of the seed and a request's body."""
        return xxhash.xxh3_64_intdigest(body, self.options.seed) >> 1

    def reply(self, dialect: Dialect, request: Request, key: str) -> bytes | Reply:
        """The reply to a request; raises :class:`Refusal`, for an injected error status too."""
        number = self.number(request.body)
        ask = dialect.read(request.body, request.headers)
        price = self.prices.get(ask.model)
        if price is None:
            raise unknown_model(ask.model)
        if (price.behaves == "embedding") != (ask.embed is not None):
            raise wrong_kind(ask.model, "generate embeddings" if ask.embed is not None else "sample")
        script = self._script(ask) if ask.script or self._rules else NO_SCRIPT
        failure = self.faults.draw(number) if script.fail is None else fault(script.fail)
        if failure is not None and failure.status:
            raise _failed(failure, script)
        now_us = time.time_ns() // 1000 if self._now_us is None else self._now_us
        answer = self.writer.write(ask, script, number, now_us // 1_000_000, price.behaves)
        booking = Booking(self.bill, key, dialect.charges(answer, self.prices), now_us, number)
        is_plain = script is NO_SCRIPT and failure is None and not ask.stream
        if is_plain and request.keep_alive and not self.delays.latency:
            whole = dialect.whole(answer)
            booking.whole(COMPLETE)
            return plain_head(dialect.request_id_header, number, len(whole)) + whole
        playback = Playback(
            dialect, answer, failure, self.delays, booking, keep_alive=request.keep_alive, http10=request.http10
        )
        return playback.reply()

    def _script(self, ask: Ask) -> Script:
        """What is scripted for this answer, by the request or by the options; raises :class:`Refusal`."""
        if ask.script:
            return _asked_for(ask)
        script = script_for(self._rules, ask.model, ask.latest)
        return NO_SCRIPT if script.tools and not ask.offers_tools else script


def _asked_for(ask: Ask) -> Script:
    """By the request itself; raises :class:`Refusal`."""
    try:
        script = read_script(ask.script)
    except ScriptError as error:
        raise Refusal(400, str(error), "invalid_script") from error
    turns = script.turns or [script]
    if ask.turn >= len(turns):
        return NO_SCRIPT
    played = turns[ask.turn]
    if played.tools and not ask.offers_tools:
        if script.turns:  # an agent asks for a title or a summary beside the conversation, and offers no tools for that
            return NO_SCRIPT
        raise Refusal(400, "the script calls tools, but the request offers none", "invalid_script")
    return played


def _failed(failure: Fault, script: Script) -> Refusal:
    """An error that was asked for."""
    message = script.message or f"The simulator was told to fail with {failure.status}."
    headers = {**RETRY_SOON.get(failure.status, {}), **script.header_bytes()}
    return Refusal(failure.status, message, headers=headers)
