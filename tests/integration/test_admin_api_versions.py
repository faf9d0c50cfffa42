"""Versions of the admin API's objects: who asks for another one changes nothing; how its description tells."""

from collections.abc import Iterator

import httpx
import pytest

from fastgate.control.collections import COLLECTIONS
from tests.support.control_host import ControlHost

PRICES = ("input_usd_per_million", "output_usd_per_million")


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlHost]:
    host = ControlHost(tmp_path_factory.mktemp("host"))
    host.client.post("/api/v1/prices", json={"provider": "sim", "model": "x", **dict.fromkeys(PRICES, "1")})
    yield host
    host.close()


def test_the_schema_describes_what_is_answered_and_its_headers(host: ControlHost) -> None:
    document = httpx.get(f"{host.client.base_url}/api/v1/openapi.json").json()
    paths, components = document["paths"], document["components"]["schemas"]
    for collection in COLLECTIONS:
        [item] = host.get(collection)["items"][:1]
        listed = paths[f"/api/v1/{collection}"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        page = components[listed["$ref"].rpartition("/")[2]]
        one = components[page["properties"]["items"]["items"]["$ref"].rpartition("/")[2]]
        assert item.keys() <= one["properties"].keys()
        assert "writeOnly" not in str(one)
        of_one = paths[f"/api/v1/{collection}/{{object_id}}"]
        assert of_one["get"]["responses"]["200"]["headers"].keys() == {"etag"}
        assert paths[f"/api/v1/{collection}"]["post"]["responses"]["201"]["headers"].keys() == {"etag", "location"}
        for method in ("patch", "delete"):
            assert "if-match" in {each["name"] for each in of_one[method]["parameters"]}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "keys", {"id": "another"}),
        ("PATCH", "keys/versioned", {"tags": {"a": "1"}}),
        ("DELETE", "keys/versioned", None),
        ("POST", "keys/versioned/rotate", None),
        ("POST", "keys/versioned/revoke", None),
        ("POST", "budgets", {"owner": "key:versioned", "limit_usd": "1", "window": "week"}),
        ("PATCH", "budgets/key:versioned/day/default", {"limit_usd": "2"}),
        ("DELETE", "budgets/key:versioned/day/default", None),
        ("POST", "budgets/key:versioned/day/default/reset", None),
        ("POST", "budgets/key:ide/3-hour/default/reset", None),
    ],
)
def test_nothing_changes_with_the_etag_of_another_version(
    host: ControlHost, method: str, path: str, body: dict[str, str] | None
) -> None:
    budgets = [{"limit_usd": "1", "window": "day"}]
    made = host.client.post("/api/v1/keys", json={"id": "versioned", "budgets": budgets})
    assert made.status_code in {201, 409}
    before = host.client.get("/api/v1/keys/versioned")
    assert before.headers["etag"] == '"1"'
    answer = host.client.request(method, f"/api/v1/{path}", json=body, headers={"if-match": '"999"'})
    assert (answer.status_code, answer.json()["type"]) == (412, "urn:fastgate:problem:precondition_failed")
    assert host.client.get("/api/v1/keys/versioned").json() == before.json()
    assert host.client.request(method, f"/api/v1/{path}", json=body, headers={"if-match": "W/x"}).status_code == 400
