"""One request on its way: who asks, when it began, and what may still have to be said about it."""

import asyncio
from dataclasses import dataclass
from enum import IntEnum
from time import time_ns
from typing import TYPE_CHECKING, Any, Final

from fastgate._core.budget import CACHE_NONE, MEANING_NONE, OUTCOME_FAILED, OUTCOME_OK, OUTCOME_REJECTED
from fastgate._core.headers import by_name
from fastgate._core.journal import Draft
from fastgate._core.learned import OutputRate
from fastgate._core.pattern import Pattern
from fastgate.budgets.holds import NOTHING, Bound
from fastgate.budgets.instalments import Instalments
from fastgate.cache.question import Question
from fastgate.dialects.base import Dialect
from fastgate.gateway.attribution import NOTHING_SAID, Attributes, attributes_of, merged
from fastgate.gateway.flights import Flight
from fastgate.gateway.grants import Grant
from fastgate.gateway.legs import Leg
from fastgate.gateway.peers import client_address
from fastgate.gateway.state import State
from fastgate.gateway.worker import Worker
from fastgate.wire.failure import Failure, FailureCode, shown
from fastgate.wire.usage import Tier

if TYPE_CHECKING:
    from fastgate.gateway.meaning import Meaning
    from fastgate.gateway.relay import StreamRelay

_SHOWN_MODEL: Final = 200


class Arrival(IntEnum):
    """How much of a request's body has been taken from its connection."""

    NONE = 0
    BEGUN = 1
    WHOLE = 2


@dataclass(slots=True, eq=False)
class Call:
    """The context of one request: its clock, its id, its client. Made by ``Call.arriving``."""

    worker: Worker
    dialect: Dialect
    scope: Any
    protocol: Any
    state: State
    """The snapshot that was in force when it came; it stays that for this request."""
    headers: dict[str, str]
    query: str
    now_ns: int
    id: bytes
    task: Any = None
    """That serves it, from the moment at which it may have to be ended from outside."""
    grant: Grant | None = None
    leg: Leg | None = None
    attributes: Attributes = NOTHING_SAID
    model: str = ""
    path: str = ""
    free: bool = False
    hit: bool = False
    """Whether a cache answers it, so that it is never open."""
    bound: Bound = NOTHING
    outputs: OutputRate | None = None
    """What the traffic has taught of answers to such a request."""
    reasons: bool | None = None
    """Whether its answer may have reasoning that nobody sees; None: only the traffic can tell."""
    teaches: bool = True
    """Its body shows all that it is billed for, so that bytes and tokens can be compared."""
    instalments: Instalments | None = None
    """How its hold follows its output; None: all that it may cost is held at once."""
    held_tokens: int = 0
    """Of output, that are held for before it is sent."""
    amount: int = 0
    """nano-USD that are held before it is sent."""
    passed_ns: int = 0
    """When it was held for: in the windows of that moment."""
    tier: Tier = Tier.STANDARD
    question: Question | None = None
    """What it asks, if its answer is to be kept."""
    flight: Flight | None = None
    """That others who ask the same wait for; None: nobody does."""
    meaning: "Meaning | None" = None
    """The same for the semantic cache, with what that decided."""
    cache: int = CACHE_NONE
    """What the cache did for it, as in the journal."""
    saved: int = 0
    """nano-USD that an answer that was kept had cost."""
    decided: int = MEANING_NONE
    """What the semantic cache decided, as in the journal."""
    given: bytes = b""
    """Which entry of a cache was given, or is compared with, likewise."""
    notes: tuple[tuple[str, str], ...] = ()
    """Headers of its answer that say what was made of the request."""
    within_ns: int = 0
    """How long its client lets the answer take; 0: it does not say."""
    departed: bool = False
    """Nobody waits for the answer any more."""
    relay: "StreamRelay | None" = None
    """That hands the answer on, once it has begun to come and is not kept to be whole."""
    timer: asyncio.TimerHandle | None = None
    """That ends the client's time, or the time to read on without one."""
    status: int = 0
    """What its client was answered before the provider was; 0: nothing."""
    error: str = ""
    """The code of a failure that its client was told before the provider was done."""
    refused_by: str = ""
    logged: bool = False
    arrival: Arrival = Arrival.NONE
    body_size: int = 0
    body_bytes: int = 0
    answer_bytes: int = 0
    upstream_ns: int = 0
    first_byte_ns: int = 0

    @staticmethod
    def arriving(worker: Worker, dialect: Dialect, scope: Any, protocol: Any) -> "Call":
        """A request that the server hands over now."""
        now_ns = time_ns()
        call = _BLANK.copy()
        call.worker, call.dialect, call.scope, call.protocol = worker, dialect, scope, protocol
        call.state, call.headers, call.query = worker.state, by_name(scope.headers), scope.query_string
        call.now_ns, call.id = now_ns, worker.ids.next(now_ns)
        return call

    @property
    def request_id(self) -> str:
        """As in the headers, the ledger and the API: 32 hexadecimal digits."""
        return self.id.hex()

    def authenticate(self) -> Grant:
        """Whose request it is. Raises Failure where its key is none, or may not be used from where it comes."""
        grant = self.grant = self.state.grant_of(self.headers, self.query, self.now_ns)
        if grant.networks is not None:
            address = client_address(self.scope, self.state.proxies)
            if address is None or address not in grant.networks:
                raise Failure.ip_not_allowed(grant.record.id, address)
        return grant

    def grant_by_now(self) -> Grant | None:
        """The key as the worker knows it by now; None: it is gone."""
        try:
            return self.worker.state.grant_of(self.headers, self.query, self.now_ns)
        except Failure:
            return None

    def take(self, size: int) -> None:
        """Room in the worker's memory for ``size`` bytes of this request's body. Raises Failure where there is none."""
        worker = self.worker
        taken = worker.body_bytes + size
        if taken > worker.most_body_bytes:
            raise Failure(FailureCode.OVERLOADED, "Too many large requests are on their way already.", retry_after=1)
        worker.body_bytes = taken
        self.body_bytes += size

    def keep(self, size: int) -> bool:
        """Whether the worker has room for an answer of ``size`` bytes, in place of what this request has so far."""
        more = size - self.answer_bytes
        if more > 0 and not self.worker.keep(more):
            return False
        self.worker.answer_bytes += min(more, 0)
        self.answer_bytes = size
        return True

    def elapsed_us(self) -> int:
        """Since the request was accepted."""
        return (time_ns() - self.now_ns) // 1000

    def log(self, status: int, failure: Failure | None, *, stream: bool = False) -> None:
        """Journal a request that held nothing: rejected, or free. Requests without a key are only counted."""
        if self.logged:
            return
        self.logged = True
        if self.grant is None:
            self.worker.count_stranger()
            return
        record = self.grant.record
        said = self.attributes
        if said is NOTHING_SAID:  # perhaps because its body was not looked at
            said = attributes_of(self.headers, None)
        draft = Draft(
            key=record.id,
            team=record.team,
            customer=self.grant.customer,
            environment=self.grant.environment,
            model=shown(self.model, _SHOWN_MODEL),  # whatever a client calls a model
            dialect=self.dialect.name,
            route=self.refused_by,
            user=said.user,
            session=said.session,
            operation=said.operation,
            tags=merged(record.tags, said.tags),
        )
        outcome = (
            OUTCOME_OK if failure is None else OUTCOME_FAILED if failure.code == "internal_error" else OUTCOME_REJECTED
        )
        error = failure.code.value if failure is not None else ""
        self.worker.log(draft, self.id, self.now_ns // 1000, self.elapsed_us(), status, outcome, stream, error)


_NOT_YET: Final[Any] = None
_BLANK: Final = Pattern(Call(*[_NOT_YET] * 9))
"""A request of which nothing is known yet."""
