"""The admin API against a model of it: whatever is asked in whatever order, both say the same."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from tests.support.control_host import ControlHost

NAMES = st.sampled_from(["a", "b", "c"])
LIMITS = st.sampled_from(["1", "2.5", "1000"])
WINDOWS = st.sampled_from(["day", "month", "lifetime"])
BUDGETS = st.lists(st.builds(lambda limit, window: {"limit_usd": limit, "window": window}, LIMITS, WINDOWS), max_size=2)
PARENTS = {
    "teams": ("customer", "customers"),
    "keys": ("team", "teams"),
    "models": ("provider", "providers"),
    "prices": ("provider", "providers"),
}
"""By collection, what names another object in it, and that one's collection."""
COLLECTIONS = ("keys", "teams", "customers", "prices", "models", "providers")
"""Children before their parents."""

Document = dict[str, Any]


def document_of(collection: str, id_: str, parent: str | None, budgets: list[dict[str, str]]) -> Document:
    """What to send; a model without a provider of the API's has the file's."""
    match collection:
        case "providers":
            keys = [{"name": f"k{number}", "value": "sk-of-it"} for number in range(len(budgets))]
            return {"id": id_, "type": "sim", "base_url": "http://127.0.0.1:9", "keys": keys}
        case "models":
            return {"id": id_, "targets": [{"provider": parent or "sim", "model": "sim-small"}]}
        case "prices":
            price = budgets[0]["limit_usd"] if budgets else "3"
            amounts = {"input_usd_per_million": price, "output_usd_per_million": price}
            return {"provider": parent or "sim", "model": id_, **amounts}
    own = {PARENTS[collection][0]: parent} if collection in PARENTS and parent is not None else {}
    return {"id": id_, "budgets": budgets, **own}


def id_of(document: Document) -> str:
    return str(document["id"] if "id" in document else f"{document['provider']}/{document['model']}")


def parent_of(collection: str, document: Document) -> tuple[str, str] | None:
    """The object that it names, by collection and id; what the file has is always there."""
    name, parents = PARENTS.get(collection, ("", ""))
    found = document["targets"][0]["provider"] if collection == "models" else document.get(name)
    return None if found in (None, "sim") else (parents, found)


class Api(RuleBasedStateMachine):
    """``things``: collection and id to what the document has to say; ``versions`` to its version."""

    client: ClassVar[httpx.Client]

    def __init__(self) -> None:
        super().__init__()
        self.things: dict[tuple[str, str], dict[str, Any]] = {}
        self.versions: dict[tuple[str, str], int] = {}

    @initialize()
    def nothing_is_there(self) -> None:
        for collection in COLLECTIONS:
            for item in self.client.get(f"/{collection}").json()["items"]:
                if item["origin"] == "api":
                    assert self.client.delete(f"/{collection}/{item['id']}").status_code == 204

    def expected(self, collection: str, document: Document) -> int:
        """Whether such a document may be: 409 where its parent is missing, or two budgets are one."""
        windows = [budget["window"] for budget in document.get("budgets", ())]
        parent = parent_of(collection, document)
        missing = parent is not None and parent not in self.things
        return 409 if missing or len(windows) > len(set(windows)) else 0

    @rule(collection=st.sampled_from(COLLECTIONS), name=NAMES, parent=st.none() | NAMES, budgets=BUDGETS)
    def create(self, collection: str, name: str, parent: str | None, budgets: list[dict[str, str]]) -> None:
        document = document_of(collection, name, parent, budgets)
        id_ = id_of(document)
        answer = self.client.post(f"/{collection}", json=document)
        if (collection, id_) in self.things:
            assert answer.status_code == 409, answer.text
            return
        assert answer.status_code == (self.expected(collection, document) or 201), answer.text
        if answer.status_code == 201:
            self.things[collection, id_] = document
            self.versions[collection, id_] = 1
            assert ("secret" in answer.json()) == (collection == "keys")

    @rule(collection=st.sampled_from(COLLECTIONS), name=NAMES, parent=NAMES, budgets=BUDGETS, stale=st.booleans())
    def change(self, collection: str, name: str, parent: str, budgets: list[dict[str, str]], stale: bool) -> None:
        document = document_of(collection, name, parent, budgets)
        id_ = id_of(document)
        known = self.things.get((collection, id_))
        version = self.versions.get((collection, id_), 1) - (1 if stale else 0)
        fixed = {"id", "provider", "model"} if collection == "prices" else {"id"}
        patch = {name: value for name, value in document.items() if name not in fixed}
        answer = self.client.patch(f"/{collection}/{id_}", json=patch, headers={"if-match": f'"{version}"'})
        if known is None:
            assert answer.status_code == 404
            return
        if stale:
            assert answer.status_code == 412
            return
        assert answer.status_code == (self.expected(collection, document) or 200), answer.text
        if answer.status_code == 200:
            self.things[collection, id_] = document
            self.versions[collection, id_] += 1
            assert answer.headers["etag"] == f'"{self.versions[collection, id_]}"'

    @rule(collection=st.sampled_from(COLLECTIONS), name=NAMES, parent=st.none() | NAMES)
    def delete(self, collection: str, name: str, parent: str | None) -> None:
        id_ = id_of(document_of(collection, name, parent, []))
        answer = self.client.delete(f"/{collection}/{id_}")
        named = any(parent_of(child, document) == (collection, id_) for (child, _), document in self.things.items())
        if (collection, id_) not in self.things:
            assert answer.status_code == 404
        elif named:
            assert answer.status_code == 409
        else:
            assert answer.status_code == 204
            del self.things[collection, id_], self.versions[collection, id_]

    @rule(id_=NAMES, action=st.sampled_from(["rotate", "revoke"]))
    def turn(self, id_: str, action: str) -> None:
        answer = self.client.post(f"/keys/{id_}/{action}")
        if ("keys", id_) not in self.things:
            assert answer.status_code == 404
            return
        assert answer.status_code == 200
        assert len(answer.json()["secrets"]) == (action == "rotate")
        self.versions["keys", id_] += 1

    @invariant()
    def both_say_the_same(self) -> None:
        for collection in COLLECTIONS:
            items = self.client.get(f"/{collection}").json()["items"]
            found = {item["id"]: item for item in items if item["origin"] == "api"}
            assert set(found) == {id_ for where, id_ in self.things if where == collection}
            for id_, item in found.items():
                assert item["version"] == self.versions[collection, id_]
                self.same(self.things[collection, id_], item)
        budgets = {item["id"] for item in self.client.get("/budgets").json()["items"]}
        expected = {
            f"{collection.removesuffix('s')}:{id_}/{budget['window']}/default"
            for (collection, id_), document in self.things.items()
            for budget in document.get("budgets", ())
        }
        assert {id_ for id_ in budgets if id_.partition(":")[2].partition("/")[0] in {"a", "b", "c"}} == expected

    @staticmethod
    def same(document: Document, item: Document) -> None:
        """Whether the API shows what was said, and of secrets nothing."""
        for name, value in document.items():
            if name == "keys":
                assert [set(each) for each in item["keys"]] == [{"name", "weight", "models"}] * len(value)
            elif name == "budgets":
                assert [(b["limit_usd"], b["window"]) for b in item[name]] == [
                    (b["limit_usd"], b["window"]) for b in value
                ]
            elif name == "targets":
                assert [{**target, "weight": 1} for target in value] == item[name]
            else:
                assert item[name] == value


@pytest.fixture
def host(tmp_path: Path) -> Iterator[ControlHost]:
    host = ControlHost(tmp_path)
    yield host
    host.close()


@pytest.mark.timeout(240)
def test_the_api_does_what_its_model_does(host: ControlHost) -> None:
    Api.client = httpx.Client(base_url=f"{host.client.base_url}/api/v1", headers=host.client.headers, trust_env=False)
    with Api.client:
        checks = [HealthCheck.too_slow, HealthCheck.filter_too_much]
        run_state_machine_as_test(
            Api, settings=settings(max_examples=25, stateful_step_count=20, deadline=None, suppress_health_check=checks)
        )
        rows = Api.client.get("/audit", params={"limit": 1000}).json()["items"]
        assert [row["seq"] for row in rows] == sorted((row["seq"] for row in rows), reverse=True)
