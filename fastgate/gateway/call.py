"""One request on its way: who asks, when it began, and what may still have to be said about it."""

from enum import IntEnum
from time import time_ns
from typing import Any, Final

from fastgate._core.budget import OUTCOME_FAILED, OUTCOME_OK, OUTCOME_REJECTED
from fastgate._core.journal import Draft
from fastgate.budgets.holds import NOTHING
from fastgate.dialects.base import Dialect
from fastgate.gateway.attribution import NOTHING_SAID, Attributes, attributes_of, merged
from fastgate.gateway.grants import Grant, State
from fastgate.gateway.worker import Worker
from fastgate.wire.failure import Failure, shown
from fastgate.wire.usage import Tier

_SHOWN_MODEL: Final = 200


class Arrival(IntEnum):
    """How much of a request's body has been taken from its connection."""

    NONE = 0
    BEGUN = 1
    WHOLE = 2


class Call:
    """The context of one request: its clock, its id, its client."""

    __slots__ = (
        "answer_bytes",
        "arrival",
        "attributes",
        "body_bytes",
        "body_size",
        "bound",
        "dialect",
        "first_byte_ns",
        "free",
        "grant",
        "headers",
        "id",
        "logged",
        "model",
        "now_ns",
        "path",
        "protocol",
        "query",
        "refused_by",
        "scope",
        "state",
        "tier",
        "upstream_ns",
        "within_ns",
        "worker",
    )

    def __init__(self, worker: Worker, dialect: Dialect, scope: Any, protocol: Any) -> None:
        self.now_ns = time_ns()
        self.worker = worker
        self.state: State = worker.state()
        self.dialect = dialect
        self.scope = scope
        self.protocol = protocol
        self.headers: dict[str, str] = dict(scope.headers.items())
        self.query: str = scope.query_string
        self.id: bytes = worker.next_id(self.now_ns)
        self.grant: Grant | None = None
        self.model = ""
        self.path = ""
        self.refused_by = ""
        self.free = False
        self.bound = NOTHING
        self.tier = Tier.STANDARD
        self.upstream_ns = 0
        self.first_byte_ns = 0
        self.logged = False
        self.body_size = 0
        self.within_ns = 0
        self.arrival = Arrival.NONE
        self.body_bytes = 0
        self.answer_bytes = 0
        self.attributes: Attributes = NOTHING_SAID

    @property
    def request_id(self) -> str:
        """As in the headers, the ledger and the API: 32 hexadecimal digits."""
        return self.id.hex()

    def take(self, size: int) -> None:
        """Room in the worker's memory for ``size`` bytes of this request's body. Raises Failure where there is none."""
        self.worker.take(size)
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

    def overhead_us(self) -> int:
        """Time in the gateway so far, the provider's excluded."""
        return (time_ns() - self.now_ns - self.upstream_ns) // 1000

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
        self.worker.journal.log(draft, self.id, self.now_ns // 1000, self.elapsed_us(), status, outcome, stream, error)
