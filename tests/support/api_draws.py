"""What the model test of the admin API says in objects' documents."""

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from tests.support.api_model import Document, name_of

BUDGET = st.fixed_dictionaries(
    {"limit_usd": st.sampled_from(["1", "2.5", "1000"]), "window": st.sampled_from(["day", "month", "lifetime"])},
    optional={"name": st.sampled_from(["first", "second"]), "mode": st.sampled_from(["hard", "soft"])},
)
BUDGETS = st.lists(BUDGET, max_size=2, unique_by=lambda budget: (budget["window"], name_of(budget)))
PRICE = st.sampled_from(["0", "0.15", "3"])
TAGS = st.dictionaries(st.sampled_from(["job", "site"]), st.sampled_from(["1", "2"]))


def draw_settings(data: st.DataObject, collection: str, parent: Callable[[str], str]) -> Document:
    """All that a document of the collection may say but its id; ``parent`` draws an object to name, by collection."""
    values: dict[str, st.SearchStrategy[Any]] = {"budgets": BUDGETS}
    match collection:
        case "customers":
            values["name"] = st.sampled_from(["A", "B"])
        case "teams":
            values["customer"] = st.none() | st.just(parent("customers"))
            values["environment"] = st.sampled_from(["prod", "test"])
        case "keys":
            values["team"] = st.none() | st.just(parent("teams"))
            values["tags"] = TAGS
            values["models"] = st.just([]) | st.just([parent("models")])
            of_provider = {"provider": st.just(parent("providers")), "budgets": BUDGETS}
            values["providers"] = st.none() | st.lists(st.fixed_dictionaries(of_provider), min_size=1, max_size=1)
        case "providers":
            keys = [{"name": name, "value": f"sk-of-{name}"} for name in ("k1", "k2")]
            values = {"type": st.just("sim"), "base_url": st.sampled_from(["http://127.0.0.1:9", "http://[::1]:9"])}
            values["keys"] = st.sampled_from([[], keys[:1], keys])
        case "models":
            target = {"provider": parent("providers"), "model": "sim-small"}
            values = {"targets": st.sampled_from([[{**target, "weight": 3}], [target, {**target, "weight": 2}]])}
        case "prices":
            names = ("input_usd_per_million", "output_usd_per_million", "cache_read_usd_per_million")
            values = dict.fromkeys(names, PRICE)
    return data.draw(st.fixed_dictionaries(values))
