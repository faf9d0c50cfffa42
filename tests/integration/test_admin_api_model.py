"""The admin API of a whole gateway against a model of it: whatever is asked in whatever order, both say the same.

Names are mostly those of what is there, so that most steps change something. What a change does to keys is asked of the
data plane as soon as a later one works there: changes arrive in their order.
"""

import sys
from collections.abc import Iterator
from decimal import Decimal
from itertools import count
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from tests.support import by_api
from tests.support.api_asking import CANARY, Asking, row_of
from tests.support.api_draws import BUDGET, draw_settings
from tests.support.api_model import (
    COLLECTIONS,
    FILE,
    MOST_BUDGETS,
    Document,
    Place,
    Thing,
    completed,
    id_of,
    merged,
    name_of,
    owned,
    with_budgets,
)
from tests.support.house import House, key

EXAMPLES, ROUNDS = 20, 4


class Api(Asking, RuleBasedStateMachine):
    """Each operation asks for one thing, and looks at what it changed."""

    # ---- what is drawn

    def draw_place(self, data: st.DataObject, *collections: str) -> Place:
        """Mostly of what is there; now and then of the file, or of nothing."""
        wanted = collections or COLLECTIONS
        there = [place for place in self.model.things if place[0] in wanted]
        if there and data.draw(st.integers(0, 9)) < 9:
            return data.draw(st.sampled_from(there))
        strange = [place for place in sorted(FILE) if place[0] in wanted]
        strange += [(each, "sim/none" if each == "prices" else f"none{self.end}") for each in wanted]
        return data.draw(st.sampled_from(strange))

    def draw_parent(self, data: st.DataObject, collection: str) -> str:
        return self.draw_place(data, collection)[1]

    def draw_settings(self, data: st.DataObject, collection: str) -> Document:
        return draw_settings(data, collection, lambda parents: self.draw_parent(data, parents))

    def draw_wish(self, data: st.DataObject, *collections: str) -> tuple[Place, dict[str, str], int]:
        """What to change, the header to do it with, and the status where that cannot be, whatever the change is."""
        place = self.draw_place(data, *collections)
        if_match, stale = self.draw_if_match(data, place)
        return place, if_match, self.expected(place, stale)

    def draw_if_match(self, data: st.DataObject, place: Place) -> tuple[dict[str, str], bool]:
        """A header, and whether the object's version is another one."""
        thing = self.model.things.get(place)
        version = thing.version if thing else 1
        asked = data.draw(st.sampled_from(["", "*", f'"{version}"', f'"{version - 1}"', f'"{version + 1}"']))
        return ({"if-match": asked} if asked else {}), asked not in {"", "*", f'"{version}"'}

    # ---- objects

    @initialize()
    def a_family(self) -> None:
        """So that no example is without one."""
        end = self.end
        self.make("customers", {"id": f"a{end}"})
        self.make("teams", {"id": f"a{end}", "customer": f"a{end}", "budgets": [{"limit_usd": "1", "window": "day"}]})
        self.make("keys", {"id": f"a{end}", "team": f"a{end}"})
        self.make("providers", {"id": f"a{end}", "type": "sim", "base_url": "http://127.0.0.1:9"})
        self.make("models", {"id": f"a{end}", "targets": [{"provider": f"a{end}", "model": "sim-small"}]})

    def make(self, collection: str, document: Document) -> None:
        place, whole = (collection, id_of(collection, document)), completed(collection, document)
        taken = place in self.model.things or place in FILE
        expected = 409 if taken else self.model.refusal(collection, whole) or 201
        answer = self.ask("POST", f"/{collection}", expected, json=document)
        if expected != 201:
            return
        shown = answer.json()
        assert answer.headers["location"] == f"/api/v1/{collection}/{place[1]}"
        assert ("secret" in shown) == (collection == "keys")
        self.model.put("create", place, shown, Thing(whole, 1, [shown["secret"]] if "secret" in shown else []))
        self.look(place)

    def create(self, data: st.DataObject) -> None:
        collection, letter = data.draw(st.sampled_from(COLLECTIONS)), data.draw(st.sampled_from("abc"))
        own = {"id": f"{letter}{self.end}"}
        if collection == "prices":
            own = {"provider": self.draw_parent(data, "providers"), "model": f"{letter}{self.end}"}
        self.make(collection, {**own, **self.draw_settings(data, collection)})

    def change(self, data: st.DataObject) -> None:
        place, if_match, refused = self.draw_wish(data)
        collection = place[0]
        values = self.draw_settings(data, collection)
        patch = {name: values[name] for name in data.draw(st.sets(st.sampled_from(sorted(values)), min_size=1))}
        removable = sorted(values.keys() - {"base_url"})  # which not every type can be without
        patch |= dict.fromkeys(data.draw(st.sets(st.sampled_from(removable), max_size=1)))
        if "tags" in patch and patch["tags"] is not None:
            patch["tags"]["job"] = data.draw(st.sampled_from([None, "3"]))
        thing = self.model.things.get(place)
        document = completed(collection, merged(thing.document if thing else {}, patch))
        expected = refused or self.model.refusal(collection, document) or 200
        answer = self.ask("PATCH", f"/{collection}/{place[1]}", expected, json=patch, headers=if_match)
        if expected == 200:
            self.changed(place, document)
            assert answer.headers["etag"] == f'"{self.model.things[place].version}"'

    def delete(self, data: st.DataObject) -> None:
        place, if_match, refused = self.draw_wish(data)
        expected = refused or (409 if self.model.referrers(place) else 204)
        self.ask("DELETE", f"/{place[0]}/{place[1]}", expected, headers=if_match)
        if expected == 204:
            self.model.drop(place)
            self.ask("GET", f"/{place[0]}/{place[1]}", 404)

    # ---- keys

    def rotate(self, data: st.DataObject) -> None:
        overlap = data.draw(st.sampled_from([None, 0, 3600]))
        place, if_match, refused = self.draw_wish(data, "keys")
        expected = refused or 200
        parameters = {} if overlap is None else {"overlap_seconds": overlap}
        answer = self.ask("POST", f"/keys/{place[1]}/rotate", expected, params=parameters, headers=if_match)
        if expected == 200:
            thing = self.model.things[place]
            self.model.dead += [] if overlap else thing.secrets
            thing.secrets = [answer.json()["secret"], *(thing.secrets if overlap else ())]
            self.changed(place, thing.document, "rotate")

    def revoke(self, data: st.DataObject) -> None:
        place, if_match, refused = self.draw_wish(data, "keys")
        expected = refused or 200
        self.ask("POST", f"/keys/{place[1]}/revoke", expected, headers=if_match)
        if expected == 200:
            thing = self.model.things[place]
            self.model.dead += thing.secrets
            thing.secrets = []
            self.changed(place, thing.document, "revoke")

    def keys_work_or_not(self) -> None:
        self.in_force()
        for thing in self.model.things.values():
            assert all(self.admits(secret) for secret in thing.secrets), thing
        assert not any(self.admits(secret) for secret in self.model.dead)

    # ---- budgets

    def draw_budget(self, data: st.DataObject) -> tuple[str, dict[str, str], int]:
        """An id, and as ``draw_wish`` for the object that has the budget."""
        there = self.model.budgets()
        id_, place = f"key:none{self.end}/day/default", ("keys", f"none{self.end}")
        if there and data.draw(st.integers(0, 9)) < 9:
            id_ = data.draw(st.sampled_from(sorted(there)))
            place = there[id_][0]
        if_match, stale = self.draw_if_match(data, place)
        return id_, if_match, self.expected(place, stale)

    def create_budget(self, data: st.DataObject) -> None:
        budget = data.draw(BUDGET)
        place, if_match, refused = self.draw_wish(data, "customers", "teams", "keys")
        thing = self.model.things.get(place)
        owners = dict(owned(place, thing.document)) if thing else {f"{place[0].removesuffix('s')}:{place[1]}": []}
        owner = data.draw(st.sampled_from(sorted(owners)))
        id_ = f"{owner}/{budget['window']}/{name_of(budget)}"
        full = id_ in self.model.budgets() or len(owners[owner]) == MOST_BUDGETS
        expected = refused or (409 if full else 201)
        answer = self.ask("POST", "/budgets", expected, json={"owner": owner, **budget}, headers=if_match)
        if expected == 201 and thing:
            assert answer.headers["location"] == f"/api/v1/budgets/{id_}"
            self.changed(place, with_budgets(place, thing.document, owner, [*owners[owner], budget]))
            self.look_at_budget(id_)

    def change_budget(self, data: st.DataObject) -> None:
        id_, if_match, refused = self.draw_budget(data)
        patch = data.draw(
            st.sampled_from([{"limit_usd": "7.25"}, {"mode": "soft"}, {"mode": None}, {"limit_usd": None}])
        )
        expected = refused or (422 if patch.get("limit_usd", "") is None else 200)
        self.ask("PATCH", f"/budgets/{id_}", expected, json=patch, headers=if_match)
        if expected == 200:
            budget = self.model.budgets()[id_][1]
            self.replace(id_, [{"mode": "hard", **merged(budget, patch)}])
            self.look_at_budget(id_)

    def delete_budget(self, data: st.DataObject) -> None:
        id_, if_match, refused = self.draw_budget(data)
        expected = refused or 204
        self.ask("DELETE", f"/budgets/{id_}", expected, headers=if_match)
        if expected == 204:
            self.replace(id_, [])
            self.ask("GET", f"/budgets/{id_}", 404)

    def replace(self, id_: str, fresh: list[Document]) -> None:
        """A budget is ``fresh`` now, which has one or none."""
        place, _ = self.model.budgets()[id_]
        owner, window, name = id_.rsplit("/", 2)
        document = self.model.things[place].document
        budgets = dict(owned(place, document))[owner]
        at = [(each["window"], name_of(each)) for each in budgets].index((window, name))
        self.changed(place, with_budgets(place, document, owner, [*budgets[:at], *fresh, *budgets[at + 1 :]]))

    def reset_budget(self, data: st.DataObject) -> None:
        id_, if_match, refused = self.draw_budget(data)
        expected = refused or 200
        self.ask("POST", f"/budgets/{id_}/reset", expected, headers=if_match)
        if expected == 200:
            self.model.reset(id_)
            self.look_at_budget(id_)

    def spend(self, data: st.DataObject) -> None:
        """A request costs all budgets above its key the same."""
        payers = self.model.payers()
        if not payers:
            return
        key_id = data.draw(st.sampled_from(sorted(payers)))
        self.in_force()
        body = {"model": "sim/sim-small", "max_tokens": 8, "messages": [{"role": "user", "content": "hello"}]}
        headers = {"authorization": f"Bearer {payers[key_id]}"}
        answer = self.data.post(by_api.CHAT, json=body, headers=headers)
        assert answer.status_code == 200, answer.text
        self.model.charge(key_id, Decimal(answer.headers["x-fastgate-cost-usd"]))
        for id_ in self.model.budgets():
            self.look_at_budget(id_)

    # ---- lists

    def lists_have_all(self, limit: int) -> None:
        for collection in COLLECTIONS:
            items = self.pages(f"/{collection}", limit)
            assert [item["id"] for item in items] == sorted(item["id"] for item in items)
            found = self.of_this(items)
            assert found.keys() == {id_ for where, id_ in self.model.things if where == collection}
            for id_, item in found.items():
                self.compare((collection, id_), item)
        budgets = self.of_this(self.pages("/budgets", limit))
        assert list(budgets) == sorted(self.model.budgets())
        for budget in budgets.values():
            self.compare_budget(budget)

    def lists_of_a_parent(self, data: st.DataObject) -> None:
        limit = data.draw(st.integers(1, 3))
        for collection, parents in (("teams", "customers"), ("keys", "teams"), ("models", "providers")):
            parent = self.draw_place(data, parents)
            items = self.pages(f"/{collection}", limit, **{parents.removesuffix("s"): parent[1]})
            assert self.of_this(items).keys() == {
                id_ for where, id_ in self.model.referrers(parent) if where == collection
            }
        owners = {id_.rsplit("/", 2)[0] for id_ in self.model.budgets()}
        for owner in sorted(owners)[:3]:
            found = self.pages("/budgets", limit, owner=owner)
            assert [each["id"] for each in found] == sorted(
                id_ for id_ in self.model.budgets() if id_.rsplit("/", 2)[0] == owner
            )

    # ---- the audit

    def history(self, data: st.DataObject) -> None:
        limit = data.draw(st.integers(1, 5))
        collection, id_ = self.draw_place(data)
        rows = self.pages("/audit", limit, collection=collection, id=id_)
        expected = [row for row in self.model.rows if (row.collection, row.id) == (collection, id_)]
        assert [row_of(row) for row in reversed(rows)] == expected

    # ---- what is done

    OPERATIONS = (
        *(create, create, create, change, change, delete, rotate, revoke),
        *(create_budget, change_budget, delete_budget, reset_budget, spend),
        *(lists_of_a_parent, history),
    )

    @rule(data=st.data(), limit=st.integers(1, 4))
    def all_of_them(self, data: st.DataObject, limit: int) -> None:
        """In some order: of rules to choose from, some would hardly ever be chosen."""
        for operation in data.draw(st.permutations(self.OPERATIONS)):
            operation(self, data)
        self.keys_work_or_not()
        self.lists_have_all(limit)

    def finish(self) -> None:
        """Both say the same, and all that is left can be deleted."""
        self.keys_work_or_not()
        self.lists_have_all(3)
        while self.model.things:
            place = next(place for place in self.model.things if not self.model.referrers(place))
            self.ask("DELETE", f"/{place[0]}/{place[1]}", 204)
            self.model.drop(place)
        self.audit()

    def teardown(self) -> None:
        """Runs after a failed step, too, whose failure is the one to see."""
        if sys.exc_info()[0] is None:
            self.finish()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    settings = {
        "models": {"small": {"targets": [{"provider": "sim", "model": "sim-small"}]}},
        "customers": [{"id": "acme"}],
        "teams": [{"id": "of-file", "customer": "acme"}],
        "keys": [key("of-file", team="of-file")],
    }
    with House(tmp_path, settings, workers=1) as house:
        yield house


@pytest.mark.timeout(240)
def test_the_api_does_what_its_model_does(house: House) -> None:
    with by_api.client(house) as api, httpx.Client(base_url=house.url, trust_env=False, timeout=30) as data:
        Api.api, Api.data, Api.numbers, Api.chain = api, data, count(), (0, bytes(32))
        by_api.created(api, "keys", id=CANARY)
        run_state_machine_as_test(
            Api,
            settings=settings(
                max_examples=EXAMPLES,
                stateful_step_count=ROUNDS,
                phases=[Phase.generate],  # a failure is told as it was found: to shrink it takes minutes
                database=None,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
