"""``python -m benchmarks.steps``: what each step of the pipeline takes by itself; part of ``make profile``.

One request of 1 KB, its key known, four budgets, a price, a journal. Each step is repeated with all that it needs in
the processor's caches: the sum is what the pipeline takes at best, and under load it takes half as much again.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from benchmarks.served import ANSWER, Exchange, Pool, Protocol, Scope, Served, prompt
from fastgate._core.body import splice
from fastgate._core.budget import Hold
from fastgate.gateway.admission import prepare, take
from fastgate.gateway.answers import provider_headers
from fastgate.gateway.app import ROUTES
from fastgate.gateway.attempts import compose
from fastgate.gateway.attribution import attributes_of
from fastgate.gateway.call import Call
from fastgate.gateway.departure import finish
from fastgate.gateway.heads import headers_of
from fastgate.gateway.inbound import patience_ns
from fastgate.gateway.pipeline import at_hand
from fastgate.gateway.settlement import Outcome, settle
from fastgate.gateway.wholes import metered
from fastgate.gateway.wishes import wish_of

REPEATS: Final = 2000
ROUNDS: Final = 15
BUDGET: Final = {
    "arrive: clock, id, headers": 0.8,
    "authenticate": 0.3,
    "receive": 0.6,
    "read the body": 1.3,
    "attributes, wishes": 0.4,
    "choose a target": 0.2,
    "what it may cost": 0.35,
    "splice": 0.6,
    "hold and settle, journal": 2.4,
    "compose the head": 0.6,
    "watch the client": 0.3,
    "meter the answer": 1.9,
    "headers of the answer": 0.7,
    "the whole": 15.0,
}
"""Microseconds that each may take on the machine of docs/performance.md; the whole has what calls them, too."""
BEAT: Final = 500
"""Requests after which the worker's beat prepares its journal, as it does many times a second."""


class Steps:
    """The steps of one request, each ready to be repeated."""

    def __init__(self, served: Served) -> None:
        self.worker, self.serve, self.loop = served.worker, served.serve, served.loop
        self.body = prompt(1)
        self.scope, self.protocol = Scope(self.body), Protocol(self.body)
        self.dialect, _, path = ROUTES[self.scope.path]
        self.call = Call.arriving(self.worker, self.dialect, self.scope, self.protocol)
        self.grant = self.call.authenticate()
        self.found, self.request = self.dialect.parse(self.body)
        self.call.model, self.call.path = self.request.model, path
        self.leg = self.call.leg = self.grant.leg(self.dialect.name, self.request.model)
        prepare(self.call, self.leg, self.request, len(self.body))
        self.charges, _ = metered(self.call, ANSWER)
        self.taken = 0

    def all(self) -> dict[str, Callable[[], object]]:
        """By name, in the order of a request."""
        call, leg, request, dialect, body = self.call, self.leg, self.request, self.dialect, self.body
        exchange = Exchange()
        return {
            "arrive: clock, id, headers": lambda: Call.arriving(self.worker, dialect, self.scope, self.protocol),
            "authenticate": call.authenticate,
            "receive": self._receive,
            "read the body": lambda: dialect.parse(body),
            "attributes, wishes": self._wishes,
            "choose a target": lambda: self.grant.leg(dialect.name, request.model),
            "what it may cost": lambda: prepare(call, leg, request, len(body)),
            "splice": lambda: splice(body, self._edits()),
            "hold and settle, journal": self._hold_and_settle,
            "compose the head": lambda: compose(call, leg, 1000),
            "watch the client": self._watch,
            "meter the answer": lambda: metered(call, ANSWER),
            "headers of the answer": lambda: headers_of(call, leg, provider_headers(exchange.headers), 44_700),
        }

    async def whole(self) -> None:
        """The request from its arrival to its answer; the provider answers at once."""
        await self.serve(self.scope, self.protocol)
        self._beat()

    def _receive(self) -> None:
        self.call.task = self.worker.task()
        body = at_hand(self.call)
        assert body is not None
        self.worker.body_bytes -= len(body)

    def _wishes(self) -> None:
        attributes_of(self.call.headers, self.request)
        patience_ns(self.call.headers)
        wish_of(self.call.headers, self.leg.cache, self.call.scope.headers)

    def _edits(self) -> list[tuple[int, int, bytes]]:
        leg, call = self.leg, self.call
        field = leg.upstream.kind.cap_fields[0]
        return self.dialect.edits(
            self.found, self.request, model=leg.rename, output_cap=call.bound.cap, cap_field=field
        )

    def _hold_and_settle(self) -> None:
        call, leg = self.call, self.leg
        held = take(call, leg, self.request)
        assert isinstance(held, Hold)
        held.sent()
        settle(call, held, Outcome.of(call, leg, held, self.charges, 0), 200)
        self._beat()

    def _watch(self) -> None:
        self.worker.patience.wait(self.call, 1)
        finish(self.call)

    def _beat(self) -> None:
        self.taken += 1
        if self.taken % BEAT == 0:
            self.worker.beat()


async def measure(steps: Steps) -> dict[str, float]:
    """Microseconds of each step, and of the whole: the least of several rounds."""
    found = {name: min(_repeated(step) for _ in range(ROUNDS)) for name, step in steps.all().items()}
    whole = float("inf")
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for _ in range(REPEATS):
            await steps.whole()
        whole = min(whole, time.perf_counter() - began)
    return {**found, "the whole": whole / REPEATS * 1e6}


def _repeated(step: Callable[[], object]) -> float:
    began = time.perf_counter()
    for _ in range(REPEATS):
        step()
    return (time.perf_counter() - began) / REPEATS * 1e6


def main() -> None:
    """Entry point."""
    with tempfile.TemporaryDirectory(prefix="fastgate-steps-") as folder:
        served = Served(Path(folder), Pool())
        found = served.loop.run_until_complete(measure(Steps(served)))
        served.close()
    print("\n| step | µs | budget | |\n| --- | --: | --: | --- |")
    for name, us in found.items():
        print(f"| {name} | {us:.2f} | {BUDGET[name]:.2f} | {'' if us <= BUDGET[name] else 'OVER'} |")


if __name__ == "__main__":
    main()
