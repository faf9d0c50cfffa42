"""Who answers questions about requests: all hosts' ledger where there is one and it can be asked, else this host's own.

Which of the two it was is part of each answer. So a question is answered while PostgreSQL is away, and nobody takes
what one host knows for the whole.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from fastgate.control.problems import Conflict, HostsUnavailable
from fastgate.control.queries import Queries, Threads
from fastgate.control.shipping import Shipping
from fastgate.ledger.errors import LedgerUnavailable
from fastgate.ledger.requests import Row
from fastgate.ledger.shared import SharedRequests
from fastgate.ledger.stores import RequestStore

T = TypeVar("T")
Hosts = Literal["all", "own"]


@dataclass(frozen=True)
class Answered(Generic[T]):
    """``behind``: how many requests of this host are not in the shared ledger yet; None: not known.

    ``away``: why it is not of all hosts that share a ledger; None: it is, or they share none, or that was asked for.
    """

    found: T
    hosts: Hosts
    behind: int | None = 0
    away: str | None = None

    @property
    def said(self) -> tuple[Hosts, int | None, str | None]:
        """What is part of the API's answers."""
        return self.hosts, self.behind, self.away


class Answering:
    """Belongs to the event loop that calls ``ask`` and ``find``."""

    def __init__(self, queries: Queries, shipping: Shipping) -> None:
        self._queries, self._shipping = queries, shipping
        self._threads = Threads("hosts")

    async def ask(self, question: Callable[[RequestStore], T], hosts: Hosts | None = None) -> Answered[T]:
        """What a store says; ``hosts``: that of all, or this one's own, and no other.

        Raises Conflict where none is shared, HostsUnavailable, Busy, and what the store raises.
        """
        shared, away = self._shipping.shared(), None
        if shared is None and hosts == "all":
            raise Conflict("hosts share no ledger, as the configuration's postgres says: leave out hosts=all")
        if shared is not None and hosts != "own":
            known = shared
            try:
                return await self._threads.run(lambda: self._of_all(known, question))
            except LedgerUnavailable as error:
                if hosts == "all":
                    raise HostsUnavailable(str(error)) from error
                away = str(error)
        return Answered(await self._queries.ask(question), "own", away=away)

    async def find(self, request_id: str) -> Row | None:
        """A request of any host. Raises HostsUnavailable where it is none of this host and others cannot be asked."""
        row = await self._queries.ask(lambda store: store.find(request_id))
        shared = self._shipping.shared()
        if row is not None or shared is None:
            return row
        try:
            return await self._threads.run(lambda: shared.find(request_id))
        except LedgerUnavailable as error:
            raise HostsUnavailable(f"it is no request of this host, and of others: {error}") from error

    def close(self) -> None:
        """Waits for no one."""
        self._threads.close()

    def _of_all(self, shared: SharedRequests, question: Callable[[RequestStore], T]) -> Answered[T]:
        behind = self._shipping.caught_up()
        return Answered(question(shared), "all", behind)
