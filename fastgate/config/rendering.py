"""A configuration as plain values and as a JSON Schema; secrets show as ``***``."""

from typing import Any

import msgspec
from msgspec import inspect

from fastgate.config.root import Config
from fastgate.config.scalars import Scalar, Secret


def plain(config: Config) -> dict[str, Any]:
    """What the file could say, defaults written out, fit for JSON and for people's eyes."""
    shown: dict[str, Any] = show(msgspec.inspect.type_info(Config), config)
    return shown


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of the settings that this version carries out."""
    root, definitions = _schema(Config)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "fastgate configuration",
        **root,
        "$defs": {name: definitions[name] for name in sorted(definitions)},
    }


def object_schema(type_: type[msgspec.Struct]) -> dict[str, Any]:
    """The JSON Schema of one object, such as a ``Key``, with what it refers to written out.

    In JSON null says of every setting that has a default that it is not set.
    """
    root, definitions = _schema(type_)
    return dict(_nullable(_inlined(root, definitions)))


def _schema(type_: type[msgspec.Struct]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The schema of a type, and those that it refers to."""
    types: dict[str, inspect.StructType] = {}
    _collect(msgspec.inspect.type_info(type_), types)
    (root,), components = msgspec.json.schema_components([type_], schema_hook=_secret_schema, ref_template=_REF)
    for name, struct in types.items():
        _drop_planned(components[name], struct)
    used: dict[str, Any] = {}
    _reach(root, components, used)
    return root, used


def _nullable(node: Any) -> Any:
    if isinstance(node, list):
        return [_nullable(child) for child in node]
    if not isinstance(node, dict):
        return node
    node = {name: _nullable(child) for name, child in node.items()}
    for name, child in node.get("properties", {}).items():
        if name not in node.get("required", ()) and child.get("type") in {"array", "object"}:
            node["properties"][name] = {"anyOf": [child, {"type": "null"}]}
    return node


def _inlined(node: Any, definitions: dict[str, Any]) -> Any:
    if isinstance(node, list):
        return [_inlined(child, definitions) for child in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        return _inlined(definitions[node["$ref"].removeprefix("#/$defs/")], definitions)
    return {name: _inlined(child, definitions) for name, child in node.items()}


_REF = "#/$defs/{name}"


def _secret_schema(type_: type) -> dict[str, Any]:
    if type_ is Secret:
        return {"type": "string", "writeOnly": True}
    raise NotImplementedError(type_)


def _extra(type_: inspect.Type) -> dict[str, Any]:
    return dict(type_.extra or {}) if isinstance(type_, inspect.Metadata) else {}


def _collect(type_: inspect.Type, found: dict[str, inspect.StructType]) -> None:
    if isinstance(type_, inspect.StructType) and type_.cls.__name__ not in found:
        found[type_.cls.__name__] = type_
        for field in type_.fields:
            _collect(field.type, found)
    for child in _children(type_):
        _collect(child, found)


def _children(type_: inspect.Type) -> tuple[inspect.Type, ...]:
    match type_:
        case inspect.Metadata():
            return (type_.type,)
        case inspect.UnionType():
            return type_.types
        case inspect.VarTupleType():
            return (type_.item_type,)
        case inspect.TupleType():
            return type_.item_types
        case inspect.DictType():
            return (type_.key_type, type_.value_type)
    return ()


def _drop_planned(component: dict[str, Any], struct: inspect.StructType) -> None:
    for field in struct.fields:
        if "$ref" in component["properties"][field.encode_name]:
            component["properties"][field.encode_name].pop("default", None)  # said by the mapping's own settings
        extra = _extra(field.type)
        if extra.get("planned"):
            component["properties"].pop(field.encode_name, None)
        for value in extra.get("planned_values", ()):
            component["properties"][field.encode_name]["enum"].remove(value)


def _reach(node: Any, components: dict[str, Any], used: dict[str, Any]) -> None:
    """Gathers the components that ``node`` refers to, directly or not; corrects the types of amounts and instants."""
    if isinstance(node, dict):
        if node.get("type") == "integer" and ("pattern" in node or "format" in node):
            node["type"] = "string"  # what is kept as a number is written as text
        name = str(node.get("$ref", "")).removeprefix("#/$defs/")
        if name and name not in used:
            used[name] = components[name]
            _reach(components[name], components, used)
        node = list(node.values())
    if isinstance(node, list):
        for child in node:
            _reach(child, components, used)


def show(type_: inspect.Type, value: Any, *, masked: bool = True) -> Any:
    """A value of a setting's type as plain values; secrets as ``***``, or not at all unless ``masked``."""
    if value is None or isinstance(value, Secret):
        return None if value is None else str(value)
    scalar = _extra(type_).get("scalar")
    if isinstance(scalar, Scalar):
        return scalar.show(value)
    match type_:
        case inspect.Metadata():
            return show(type_.type, value, masked=masked)
        case inspect.StructType():
            fields = [field for field in type_.fields if not _extra(field.type).get("planned")]
            return {
                field.encode_name: show(field.type, getattr(value, field.name), masked=masked)
                for field in fields
                if masked or not _is_secret(field.type)
            }
        case inspect.DictType():
            return {key: show(type_.value_type, child, masked=masked) for key, child in value.items()}
        case inspect.VarTupleType():
            return [show(type_.item_type, child, masked=masked) for child in value]
        case inspect.UnionType():
            return show(_member(type_, value), value, masked=masked)
    return value


def _is_secret(type_: inspect.Type) -> bool:
    members = type_.types if isinstance(type_, inspect.UnionType) else (type_,)
    return any(isinstance(member, inspect.CustomType) and member.cls is Secret for member in members)


def _member(union: inspect.UnionType, value: Any) -> inspect.Type:
    """The member of a union that ``value`` belongs to."""
    struct = isinstance(value, msgspec.Struct)
    for member in union.types:
        bare = member.type if isinstance(member, inspect.Metadata) else member
        if isinstance(bare, inspect.NoneType) or isinstance(bare, inspect.StructType) != struct:
            continue
        return member
    raise TypeError(f"no member of the union for {type(value).__name__}")
