"""The JSON Schema, the reference in the documents and the types say the same."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from fastgate.config import Config, load, schema
from fastgate.config.marks import PLANNED
from fastgate.config.rendering import plain

DOCS = Path(__file__).parents[2] / "docs"
REFERENCE = ("configuration.md", "postgres.md")
TOP = "Top level"


def described() -> dict[str, dict[str, str]]:
    """Section of the reference to its settings and what it says of their defaults."""
    sections: dict[str, dict[str, str]] = {}
    title = ""
    for line in "\n".join((DOCS / name).read_text(encoding="utf-8") for name in REFERENCE).splitlines():
        if line.startswith("## "):
            title = line.removeprefix("## ")
        row = re.match(r"\| `(\w+)` \| *(.*?) *\| (.+) \|$", line)
        if row:
            sections.setdefault(title, {})[row[1]] = row[2]
    return sections


def defined() -> dict[str, dict[str, Any]]:
    components = {name: each for name, each in schema()["$defs"].items() if each["properties"]}
    components[TOP] = components.pop("Config")
    return components


def default_of(component: dict[str, Any], name: str) -> str:
    if name in component["required"]:
        return "required"
    setting = component["properties"][name]
    default = setting.get("default")
    if default is None:
        return ""
    return f"`{default if isinstance(default, str) else json.dumps(default)}`"


def test_the_reference_describes_every_setting_and_no_other() -> None:
    assert {title: set(rows) for title, rows in described().items()} == {
        name: set(component["properties"]) for name, component in defined().items()
    }


def test_the_reference_has_the_defaults_of_the_schema() -> None:
    for title, rows in described().items():
        assert rows == {name: default_of(defined()[title], name) for name in rows}, title


def test_the_example_of_the_reference_is_valid(tmp_path: Path) -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", (DOCS / REFERENCE[0]).read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "fastgate.yaml").write_text(example)
    assert load(tmp_path / "fastgate.yaml", {"OPENAI_API_KEY": "sk-x", "IDE_KEY": "sk-fg-12345678"}).keys[0].id == "ide"


def nodes(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for child in value:
            yield from nodes(child)


def test_the_schema_is_whole() -> None:
    document = json.loads(json.dumps(schema()))
    references = {node["$ref"].removeprefix("#/$defs/") for node in nodes(document) if "$ref" in node}
    assert references == set(document["$defs"])
    assert all(component["additionalProperties"] is False for component in document["$defs"].values())
    assert document["$defs"]["Budget"]["properties"]["limit_usd"]["type"] == "string"
    assert document["$defs"]["Key"]["properties"]["secret"]["anyOf"][0]["writeOnly"] is True
    for node in nodes(document):
        if isinstance(node.get("pattern"), str):
            re.compile(node["pattern"])


def test_the_schema_leaves_out_what_is_not_built() -> None:
    text = json.dumps(schema())
    assert not any(f'"{name}"' in text for name in ("fallbacks", "gemini"))


def planned() -> list[tuple[str, ...]]:
    """Paths of all settings that are marked as not built yet."""
    found: list[tuple[str, ...]] = []

    def walk(type_: Any, path: tuple[str, ...]) -> None:
        if isinstance(type_, msgspec.inspect.Metadata) and type_.extra == PLANNED.extra:
            found.append(path)
        elif isinstance(type_, msgspec.inspect.StructType):
            for field in type_.fields:
                walk(field.type, (*path, field.encode_name))
        elif isinstance(type_, msgspec.inspect.Metadata):
            walk(type_.type, path)
        elif isinstance(type_, msgspec.inspect.VarTupleType):
            walk(type_.item_type, path)
        elif isinstance(type_, msgspec.inspect.DictType):
            walk(type_.value_type, path)
        elif isinstance(type_, msgspec.inspect.UnionType):
            for each in type_.types:
                walk(each, path)

    walk(msgspec.inspect.type_info(Config), ())
    return found


def test_every_setting_that_is_not_built_is_refused_in_the_golden_case() -> None:
    golden = Path(__file__).parents[1] / "golden" / "check" / "not_supported_yet"
    said = golden.with_suffix(".expected").read_text(encoding="utf-8")
    names = {path[-1] for path in planned()}
    assert len(names) >= 8
    seen = {re.sub(r"\[\d+\]", "", where).rsplit(".", 1)[-1] for where in re.findall(r": ([\w.\[\]]+): not supp", said)}
    assert names - seen <= {
        "payload_max_kb",
        "retention_days",
        "prometheus",
    }  # below, or beside another


@pytest.mark.parametrize("line", [
    "logging: {payload_max_kb: 1}", "logging: {retention_days: 1}", "telemetry: {prometheus: false}",
    "rules: [bogus]", "alerts: {channels: {a: {}}}",
])  # fmt: skip
def test_settings_that_are_not_built_are_refused(tmp_path: Path, line: str) -> None:
    from fastgate.control.check import check

    path = tmp_path / "fastgate.yaml"
    path.write_text(f"providers: {{sim: {{type: sim, base_url: 'http://127.0.0.1:1'}}}}\n{line}\n")
    (problem,) = check(path, {})
    assert problem.message.endswith("not supported yet")
    assert problem.line == 2


def test_what_is_shown_fits_the_schema(tmp_path: Path) -> None:
    """The names at least: there is no validator among the dependencies."""
    path = tmp_path / "fastgate.yaml"
    path.write_text("providers: {sim: {type: sim, base_url: 'http://127.0.0.1:1'}}\n")
    shown = plain(load(path, {}))
    components = schema()["$defs"]
    assert set(shown) == set(components["Config"]["properties"])
    assert set(shown["server"]) == set(components["Server"]["properties"])
    assert yaml.safe_load(json.dumps(shown)) == shown
