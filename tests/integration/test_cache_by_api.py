"""The exact cache's settings by the admin API: what a worker makes of them, at once, and that no tenant comes again."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvloop

from fastgate.gateway.cache_plan import CachePlan
from fastgate.gateway.worker import Worker
from fastgate.wire.sealing import Sealer
from tests.support.control_host import CONFIG, ControlHost


class Eyes:
    """A worker that serves nobody."""

    def __init__(self, host: ControlHost) -> None:
        self._loop = uvloop.new_event_loop()
        self.worker = Worker(host.arena_dir, self._loop, Sealer(host.state_dir, {}))

    def close(self) -> None:
        self.worker.owner.release()
        self._loop.close()

    def plan(self, secret: str, model: str = "smart") -> CachePlan | None:
        """What a request finds after the worker's next beat, whichever way to the model it takes."""
        self.worker.beat()
        return self.worker.state.grant(secret, time.time_ns()).leg("openai-chat", model).cache

    def tenant(self, secret: str) -> bytes:
        plan = self.plan(secret)
        assert plan is not None
        return plan.tenant

    def megabytes(self) -> int:
        self.worker.beat()
        return self.worker.state.head.cache_mb


@pytest.fixture
def host(tmp_path: Path) -> Iterator[ControlHost]:
    host = ControlHost(tmp_path)
    yield host
    host.close()


@pytest.fixture
def eyes(host: ControlHost) -> Iterator[Eyes]:
    eyes = Eyes(host)
    yield eyes
    eyes.close()


def said(answer: httpx.Response, status: int = 200) -> Any:
    assert answer.status_code == status, answer.text
    return answer.json() if answer.content else None


def create(host: ControlHost, collection: str, **document: Any) -> Any:
    return said(host.client.post(f"/api/v1/{collection}", json=document), 201)


def patch(host: ControlHost, path: str, **document: Any) -> Any:
    return said(host.client.patch(f"/api/v1/{path}", json=document))


def delete(host: ControlHost, path: str) -> None:
    said(host.client.delete(f"/api/v1/{path}"), 204)


def generation(host: ControlHost) -> int:
    found: int = host.get("status")["config"]["generation"]
    return found


def test_room_is_made_when_the_first_opts_in_and_only_then(host: ControlHost, eyes: Eyes) -> None:
    create(host, "teams", id="alpha")
    secret = create(host, "keys", id="one", team="alpha", cache={"ttl_seconds": 60})["secret"]
    assert (eyes.megabytes(), eyes.plan(secret), generation(host)) == (0, None, 1)
    patch(host, "teams/alpha", cache={"exact": True})
    assert (eyes.megabytes(), generation(host)) == (256, 2)
    plan = eyes.plan(secret)
    assert plan is not None
    assert (plan.ttl_ms, plan.max_temperature, plan.tools) == (60_000, None, True)
    assert eyes.plan("other-secret") is None
    create(host, "keys", id="two", cache={"exact": True})
    assert generation(host) == 2


def test_a_patch_changes_a_setting_and_null_takes_it_back(host: ControlHost, eyes: Eyes) -> None:
    create(host, "teams", id="alpha", cache={"exact": True, "ttl_seconds": 600, "replay_ms": 5})
    secret = create(host, "keys", id="one", team="alpha", cache={"ttl_seconds": 60, "max_temperature": 0})["secret"]

    def now() -> tuple[int, float | None, int] | None:
        plan = eyes.plan(secret)
        return None if plan is None else (plan.ttl_ms, plan.max_temperature, plan.replay_ms)

    assert now() == (60_000, 0.0, 5)
    shown = patch(host, "keys/one", cache={"ttl_seconds": None})["cache"]
    assert (shown["ttl_seconds"], shown["max_temperature"], now()) == (None, 0.0, (600_000, 0.0, 5))
    patch(host, "keys/one", cache={"exact": False})
    assert now() is None
    assert patch(host, "keys/one", cache=None)["cache"] is None
    assert now() == (600_000, None, 5)
    assert host.get("keys/one")["cache"] is None
    assert host.get("teams/alpha")["cache"]["replay_ms"] == 5
    [change] = host.get("audit", ("collection", "keys"), ("id", "one"), ("limit", "1"))["items"]
    assert (change["before"]["cache"]["exact"], change["after"]["cache"]) == (False, None)


def test_a_public_model_opts_in_for_all_who_ask_for_it(host: ControlHost, eyes: Eyes) -> None:
    target = {"provider": "sim", "model": "sim-small"}
    create(host, "models", id="kept", targets=[target], cache={"exact": True, "scope": "global"})
    plans = [eyes.plan(secret, "kept") for secret in ("virtual-secret", "other-secret")]
    assert plans[0] == plans[1] is not None
    assert [eyes.plan("other-secret", name) for name in ("smart", "sim/sim-small")] == [None, None]
    patch(host, "models/kept", cache={"exact": False})
    assert eyes.plan("other-secret", "kept") is None
    assert eyes.megabytes() == 0


def test_a_key_keeps_its_answers_through_changes_and_leaves_none_to_its_successor(
    host: ControlHost, eyes: Eyes
) -> None:
    wish = {"exact": True}
    first = create(host, "keys", id="one", cache=wish)["secret"]
    tenant = eyes.tenant(first)
    second = said(host.client.post("/api/v1/keys/one/rotate", params={"overlap_seconds": 60}))["secret"]
    patch(host, "keys/one", tags={"a": "b"})
    assert eyes.tenant(first) == eyes.tenant(second) == tenant
    delete(host, "keys/one")
    create(host, "keys", id="one", secret=second, cache=wish)
    assert eyes.tenant(second) != tenant


def test_so_do_teams_and_customers(host: ControlHost, eyes: Eyes) -> None:
    secret = "sk-fg-always-the-same"

    def tenant(scope: str) -> bytes:
        create(host, "customers", id="shop")
        create(host, "teams", id="alpha", customer="shop")
        create(host, "keys", id="one", team="alpha", secret=secret, cache={"exact": True, "scope": scope})
        found = eyes.tenant(secret)
        for path in ("keys/one", "teams/alpha", "customers/shop"):
            delete(host, path)
        return found

    scopes = ["key", "team", "customer"] * 2 + ["global"]
    assert len({tenant(scope) for scope in scopes}) == len(scopes)


def test_scopes_are_shared_by_their_members_alone(host: ControlHost, eyes: Eyes) -> None:
    secrets = {}
    for customer in ("shop", "bank"):
        create(host, "customers", id=customer)
        for team in ("front", "back"):
            create(host, "teams", id=f"{customer}-{team}", customer=customer)
            for number in (1, 2):
                id_ = f"{customer}-{team}-{number}"
                secrets[id_] = create(host, "keys", id=id_, team=f"{customer}-{team}", cache={"exact": True})["secret"]
    for scope, groups in (("key", 8), ("team", 4), ("customer", 2), ("global", 1)):
        for id_ in secrets:
            patch(host, f"keys/{id_}", cache={"scope": scope})
        tenants = {id_: eyes.tenant(secret) for id_, secret in secrets.items()}
        parts = {"key": 3, "team": 2, "customer": 1, "global": 0}[scope]
        by_group = {(tenant, *id_.split("-")[:parts]) for id_, tenant in tenants.items()}
        assert len(set(tenants.values())) == len(by_group) == groups


def test_what_the_store_opted_in_holds_after_a_start_and_a_reload(host: ControlHost, eyes: Eyes) -> None:
    secret = create(host, "keys", id="one", cache={"exact": True})["secret"]
    plan = eyes.plan(secret)
    assert plan is not None
    host.config.write_text(f"{CONFIG}cache: {{exact: {{max_mb: 64, tools: false}}}}\n")
    said(host.client.post("/api/v1/config/reload"))
    after = eyes.plan(secret)
    assert after is not None
    assert (eyes.megabytes(), after.tools, after.tenant) == (64, False, plan.tenant)
    assert host.end() == 0
    host.start()
    assert (eyes.megabytes(), eyes.plan(secret)) == (64, after)


def test_the_file_opts_everybody_in_and_single_keys_out(host: ControlHost, eyes: Eyes) -> None:
    host.config.write_text(f"{CONFIG}cache: {{exact: {{enabled: true, scope: customer}}}}\n")
    said(host.client.post("/api/v1/config/reload"))
    secret = create(host, "keys", id="one", team="platform")["secret"]
    assert eyes.tenant(secret) == eyes.tenant("virtual-secret") != eyes.tenant("other-secret")
    patch(host, "keys/one", cache={"exact": False})
    assert eyes.plan(secret) is None
    shown = host.get("config")["cache"]
    assert (shown["exact"]["enabled"], shown["exact"]["max_temperature"]) == (True, None)


@pytest.mark.parametrize(
    ("collection", "cache", "status", "message"),
    [
        ("keys", {"ttl_seconds": 0}, 422, "cache.ttl_seconds: has to be at least 1"),
        ("keys", {"ttl_seconds": 2_592_001}, 422, "cache.ttl_seconds: has to be at most 2592000"),
        ("teams", {"replay_ms": 1001}, 422, "cache.replay_ms: has to be at most 1000"),
        ("models", {"max_temperature": 2.5}, 422, "cache.max_temperature: has to be at most 2"),
        ("keys", {"max_temperature": True}, 422, "cache.max_temperature: expected a number"),
        ("keys", {"exact": "true"}, 422, "cache.exact: expected true or false"),
        ("keys", {"scope": "everyone"}, 422, "'everyone' is not a possible value"),
        ("keys", {"max_mb": 1}, 422, "cache.max_mb: unknown setting"),
        ("teams", [], 422, "cache: expected"),
        ("keys", {"scope": "team"}, 409, "a key without a team has no team to share answers with"),
        ("keys", {"scope": "customer"}, 409, "a key without a team has no customer to share answers with"),
        ("teams", {"scope": "customer"}, 409, "a team without a customer has none to share answers with"),
        ("customers", {"exact": True}, 422, "cache: unknown setting"),
    ],
)
def test_what_cannot_be_is_refused_with_a_reason(
    shared: ControlHost, collection: str, cache: Any, status: int, message: str
) -> None:
    targets = {"targets": [{"provider": "sim", "model": "sim-small"}]} if collection == "models" else {}
    answer = shared.client.post(f"/api/v1/{collection}", json={"id": "bad", "cache": cache, **targets})
    assert answer.status_code == status
    assert message in answer.text


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlHost]:
    host = ControlHost(tmp_path_factory.mktemp("shared"))
    yield host
    host.close()


@pytest.mark.parametrize("temperature", [0, 0.0, 1, 2, 0.7, 1e-7, 5e-324, 1.9999999999999998])
def test_every_temperature_is_kept_as_it_is(shared: ControlHost, temperature: float) -> None:
    made = create(shared, "keys", cache={"exact": True, "max_temperature": temperature})
    again = patch(shared, f"keys/{made['id']}", tags={"a": "b"})
    assert made["cache"]["max_temperature"] == again["cache"]["max_temperature"] == temperature


def test_the_description_has_what_may_be_said(shared: ControlHost) -> None:
    document = httpx.get(f"{shared.client.base_url}/api/v1/openapi.json").json()
    for collection in ("keys", "teams", "models"):
        [body] = document["paths"][f"/api/v1/{collection}"]["post"]["requestBody"]["content"].values()
        [wish] = (each for each in body["schema"]["properties"]["cache"]["anyOf"] if each["type"] == "object")
        assert set(wish["properties"]) == {
            "exact", "semantic", "ttl_seconds", "scope", "max_temperature", "tools", "client_control", "replay_ms",
            "single_flight",
        }  # fmt: skip
        assert not wish["required"]
    settings = document["components"]["schemas"]["ConfigAnswer"]["properties"]["cache"]
    assert "max_mb" in str(settings)
    assert "max_error" in str(settings)
