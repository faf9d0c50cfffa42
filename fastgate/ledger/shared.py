"""The ledger in the PostgreSQL that hosts share: what became of the requests of all of them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from queue import LifoQueue
from typing import TYPE_CHECKING, Any, Final, Literal

from fastgate.ledger import requests, spend
from fastgate.ledger.attributes import Attribute, Filter
from fastgate.ledger.dialects import POSTGRES
from fastgate.ledger.errors import BadQuery, LedgerUnavailable, QueryTimeout, sentence
from fastgate.ledger.requests import Page, Row
from fastgate.ledger.spend import Spend
from fastgate.ledger.store import QUERY_SECONDS
from fastgate.postgres.errors import PostgresAway
from fastgate.postgres.link import Link
from fastgate.postgres.place import Place

if TYPE_CHECKING:
    from psycopg import Connection

AT_ONCE: Final = 2
"""Connections that are asked by; more questions wait."""
_GRACE_SECONDS: Final = 5.0
"""After which a server that was to give up a query has not."""
_QUERY: Final = (
    f"SET TRANSACTION READ ONLY; SET LOCAL statement_timeout = {round(1000 * QUERY_SECONDS)}; SET LOCAL jit = off"
)


class SharedRequests:
    """A :class:`fastgate.ledger.stores.RequestStore`."""

    def __init__(self, place: Place) -> None:
        self._links: LifoQueue[Link] = LifoQueue()
        self._all = [Link(place, "queries", QUERY_SECONDS + _GRACE_SECONDS) for _ in range(AT_ONCE)]
        for link in self._all:
            self._links.put(link)

    def spend(
        self,
        by: Sequence[Attribute],
        interval: str | None = None,
        which: Filter | None = None,
        limit: int = spend.MOST_GROUPS,
        *,
        order: Literal["cost", "saved"] = "cost",
    ) -> Spend:
        """Of all hosts' requests."""
        with self._asked() as cursor:
            return spend.spend(cursor, by, interval, which, limit, order=order, dialect=POSTGRES)

    def page(self, which: Filter, after: str | None = None, limit: int = 100) -> Page:
        """Of all hosts' requests."""
        with self._asked() as cursor:
            return requests.page(cursor, which, after, limit, dialect=POSTGRES)

    def find(self, request_id: str) -> Row | None:
        """Among all hosts' requests."""
        with self._asked() as cursor:
            return requests.find(cursor, request_id, dialect=POSTGRES)

    def close(self) -> None:
        """Ends the connections; who is asking by one of them is told that it is away."""
        for link in self._all:
            link.close()

    @contextmanager
    def _asked(self) -> "Iterator[_Marked]":
        from psycopg import DataError, Error
        from psycopg.errors import QueryCanceled

        link = self._links.get()
        try:
            with link.asked() as connection, connection.transaction():
                connection.execute(_QUERY)
                try:
                    yield _Marked(connection)
                except QueryCanceled:
                    told = f"the query took more than {QUERY_SECONDS:g} s: narrow it by time or conditions"
                    raise QueryTimeout(told) from None
                except DataError as error:
                    raise BadQuery("where", sentence(error)) from error
        except PostgresAway as error:
            raise LedgerUnavailable(str(error)) from error
        except Error as error:
            raise LedgerUnavailable(f"the ledger that hosts share cannot answer: {sentence(error)}") from error
        finally:
            self._links.put(link)


class _Marked:
    """A connection whose parameters are marked as our statements mark them."""

    def __init__(self, connection: "Connection[tuple[Any, ...]]") -> None:
        self._connection = connection

    def execute(self, query: str, parameters: Sequence[Any] = ()) -> Any:
        """Likewise."""
        return self._connection.execute(query.replace("%", "%%").replace("?", "%s").encode(), parameters)
