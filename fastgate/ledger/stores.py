"""Where requests are looked up: in the host's own ledger, or in the one that hosts share. Both give the same answers.

Whatever else may keep requests one day, ClickHouse say, has these three questions to answer, and its dialect to tell.
"""

from collections.abc import Sequence
from typing import Literal, Protocol

from fastgate.ledger import requests, spend
from fastgate.ledger.attributes import Attribute, Filter
from fastgate.ledger.requests import Page, Row
from fastgate.ledger.spend import Spend
from fastgate.ledger.store import Ledger


class RequestStore(Protocol):
    """From any thread. All raise BadQuery, QueryTimeout, and LedgerUnavailable where it cannot be asked now."""

    def spend(
        self,
        by: Sequence[Attribute],
        interval: str | None = None,
        which: Filter | None = None,
        limit: int = spend.MOST_GROUPS,
        *,
        order: Literal["cost", "saved"] = "cost",
    ) -> Spend:
        """Sums: see :func:`fastgate.ledger.spend.spend`."""
        ...

    def page(self, which: Filter, after: str | None = None, limit: int = 100) -> Page:
        """Requests, newest first: see :func:`fastgate.ledger.requests.page`."""
        ...

    def find(self, request_id: str) -> Row | None:
        """One request by its id."""
        ...


class OwnRequests:
    """Those of this host."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def spend(
        self,
        by: Sequence[Attribute],
        interval: str | None = None,
        which: Filter | None = None,
        limit: int = spend.MOST_GROUPS,
        *,
        order: Literal["cost", "saved"] = "cost",
    ) -> Spend:
        """Of this host's requests."""
        with self._ledger.cursor() as cursor:
            return spend.spend(cursor, by, interval, which, limit, order=order)

    def page(self, which: Filter, after: str | None = None, limit: int = 100) -> Page:
        """Of this host's requests."""
        with self._ledger.cursor() as cursor:
            return requests.page(cursor, which, after, limit)

    def find(self, request_id: str) -> Row | None:
        """Among this host's requests."""
        with self._ledger.cursor() as cursor:
            return requests.find(cursor, request_id)
