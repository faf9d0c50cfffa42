"""A gateway that is asked for what a model of its admin API knows, and compared with it."""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar

import httpx
import msgspec

from tests.support.api_model import FILE, Document, Model, Place, Row, says
from tests.support.house import wait_for

CANARY = "canary"
"""A key whose new secret shows that what came before is in force."""


class Asking:
    """``api`` asks the admin API, ``data`` the data plane. The names of each one's own objects end in its number."""

    api: ClassVar[httpx.Client]
    data: ClassVar[httpx.Client]
    numbers: ClassVar[Iterator[int]]
    chain: ClassVar[tuple[int, bytes]]
    """Number and hash of the audit's last row that was looked at."""

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.end = f"-{next(self.numbers)}"

    def ask(self, method: str, path: str, expected: int, **more: Any) -> httpx.Response:
        answer = self.api.request(method, path, **more)
        assert answer.status_code == expected, f"{method} {path} {more}: {answer.status_code} {answer.text}"
        return answer

    def expected(self, place: Place, stale: bool) -> int:
        """The status of a change of what is not there, not the API's, or another version; 0: nothing of it."""
        if place in FILE:
            return 409
        return 404 if place not in self.model.things else 412 if stale else 0

    def look(self, place: Place) -> None:
        """One object is shown as it has to be."""
        thing = self.model.things[place]
        answer = self.ask("GET", f"/{place[0]}/{place[1]}", 200)
        assert answer.headers["etag"] == f'"{thing.version}"'
        self.compare(place, answer.json())

    def compare(self, place: Place, shown: Document) -> None:
        thing = self.model.things[place]
        assert (shown["id"], shown["origin"], shown["version"]) == (place[1], "api", thing.version)
        assert says(shown, thing.document), (shown, thing.document)
        assert "secret" not in shown
        assert len(shown.get("secrets", ())) == len(thing.secrets)
        assert [bool(each["expires_at"]) for each in shown.get("secrets", ())] == [
            number > 0 for number in range(len(thing.secrets))
        ]

    def changed(self, place: Place, document: Document, action: str = "update") -> None:
        """What has just been changed is shown so, and the next row of the audit is of it."""
        thing = self.model.things[place]
        thing.document, thing.version = document, thing.version + 1
        self.look(place)
        self.model.put(action, place, self.ask("GET", f"/{place[0]}/{place[1]}", 200).json(), thing)

    # ---- keys

    def in_force(self) -> None:
        """All that was changed so far has reached the worker: a change that was made after it has."""
        secret = self.ask("POST", f"/keys/{CANARY}/rotate", 200).json()["secret"]
        wait_for(lambda: self.admits(secret), 10, "a rotated key works")

    def admits(self, secret: str) -> bool:
        answer = self.data.get("/v1/models", headers={"authorization": f"Bearer {secret}"})
        assert answer.status_code in {200, 401}, answer.text
        return answer.status_code == 200

    # ---- budgets

    def look_at_budget(self, id_: str) -> None:
        self.compare_budget(self.ask("GET", f"/budgets/{id_}", 200).json())

    def compare_budget(self, shown: Document) -> None:
        _, budget = self.model.budgets()[shown["id"]]
        spent, limit = self.model.spent.get(shown["id"], Decimal(0)), Decimal(budget["limit_usd"])
        assert (shown["mode"], shown["window"]) == (budget.get("mode", "hard"), budget["window"])
        money = {"limit_usd": limit, "spent_usd": spent, "held_usd": Decimal(0), "left_usd": limit - spent}
        assert {name: shown[name] for name in money} == {name: f"{value:.9f}" for name, value in money.items()}

    # ---- lists

    def pages(self, path: str, limit: int, **parameters: Any) -> list[Document]:
        """All items, in pages of so many, which are full but for the last."""
        found: list[Document] = []
        cursor: dict[str, str] = {}
        while True:
            page = self.ask("GET", path, 200, params={"limit": limit, **parameters, **cursor}).json()
            found += page["items"]
            if page["next"] is None:
                return found
            assert len(page["items"]) == limit
            assert {"cursor": page["next"]} != cursor
            cursor = {"cursor": page["next"]}

    def owns(self, item: Document) -> bool:
        """Whether it is of this example: others are of one that was broken off, or of the file."""
        return f"{self.end}/" in f"{item['id']}/"

    def of_this(self, items: list[Document]) -> dict[str, Document]:
        """This example's own, by id."""
        return {item["id"]: item for item in items if self.owns(item)}

    def audit(self) -> None:
        """All rows of this example, in their order, each with the hash that follows from it and the one before."""
        seq, previous = self.chain
        rows = [row for row in reversed(self.pages("/audit", 100)) if row["seq"] > seq]
        for row in rows:
            seq += 1
            assert row["seq"] == seq
            previous = hashlib.sha256(previous + said(row)).digest()
            assert row["hash"] == previous.hex()
        type(self).chain = seq, previous
        assert [row_of(row) for row in rows if self.owns(row)] == self.model.rows


def row_of(row: Document) -> Row:
    return Row(row["action"], row["collection"], row["id"], row["before"], row["after"])


def said(row: Document) -> bytes:
    """What a row's hash covers beside the hash before."""
    at_us = (datetime.fromisoformat(row["at"]) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    sorted_json = msgspec.json.Encoder(order="sorted").encode
    bodies = ["" if each is None else sorted_json(each).decode() for each in (row["before"], row["after"])]
    return sorted_json([row["seq"], at_us, row["actor"], row["action"], row["collection"], row["id"], *bodies])
