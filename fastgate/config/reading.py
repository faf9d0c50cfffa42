"""The tree of a file against the types of the settings: every mistake with its place, or values ready for conversion.

msgspec stops at the first mistake and knows no lines, so the structs are walked here by their own type information
(``msgspec.inspect``); the conversion itself stays msgspec's.
"""

from collections.abc import Callable
from typing import Any, cast

from msgspec import NODEFAULT, ValidationError, convert, inspect

from fastgate.config.nodes import Mapping, Node, Scalar, Sequence
from fastgate.config.problems import ConfigErrors, Path, did_you_mean
from fastgate.config.reading_scalars import FAILED, ScalarReader, is_integer, is_null, listed, short
from fastgate.config.variables import Variables

__all__ = ["FAILED", "Reader"]


class Reader(ScalarReader):
    """Reads one file's tree. ``problems`` grows as mistakes are found.

    What could not be read is left out of its list or mapping, or takes its default, so that the rest can still be
    checked: ``lost`` has the names and ids of what was left out, by the path of the list or mapping.
    """

    def __init__(self, file: str, variables: Variables) -> None:
        super().__init__(file, variables)
        self.lost: dict[Path, set[str]] = {}
        self._places: dict[Path, int] = {}
        self._readers: dict[type, Callable[[Any, Node, Path], Any]] = {
            inspect.Metadata: self._metadata,
            inspect.StructType: self._struct,
            inspect.DictType: self._dict,
            inspect.VarTupleType: self._list,
            inspect.TupleType: self._tuple,
            inspect.UnionType: self._union,
            inspect.LiteralType: self.literal,
            inspect.CustomType: self.secret,
            inspect.StrType: self.text,
            inspect.IntType: self.integer,
            inspect.FloatType: self.float,
            inspect.BoolType: self.boolean,
        }

    def read(self, type_: inspect.Type, node: Node, path: Path) -> Any:
        """The value of ``node`` as ``type_``, or ``FAILED``."""
        return self._readers[type(type_)](type_, node, path)

    def concerns_broken(self, path: Path) -> bool:
        """Whether a place is, holds or lies in one that has a problem already."""
        above = {broken[:length] for broken in self.broken for length in range(1, len(broken) + 1)}
        return path in above or any(path[:length] in self.broken for length in range(1, len(path)))

    def original(self, path: Path) -> Path:
        """The path in the file of a path in the values read, whose lists may be shorter."""
        found: Path = ()
        for step in path:
            found += (self._places.get((*found, step), step) if isinstance(step, int) else step,)
        return found

    def _metadata(self, type_: inspect.Metadata, node: Node, path: Path) -> Any:
        extra = type_.extra or {}
        if "scalar" in extra:
            return self.special(extra["scalar"], node, path)
        value = self.read(type_.type, node, path)
        planned = extra.get("planned_values", ())
        if value is not FAILED and value in planned:
            built = [each for each in cast(inspect.LiteralType, type_.type).values if each not in planned]
            return self.note(node, path, f"{value} is not supported yet", f"supported: {listed(built)}")
        return value

    def _struct(self, type_: inspect.StructType, node: Node, path: Path) -> Any:
        if is_null(node):
            node = Mapping(node.line, node.column)
        if not isinstance(node, Mapping):
            return self.mismatch("a mapping", node, path)
        fields = {each.encode_name: each for each in type_.fields}
        values: dict[str, Any] = {}
        for name, (mark, child) in node.items.items():
            if name in fields:
                values[name] = self._field(fields[name], mark, child, (*path, name))
            else:
                self._unknown(name, mark, path, fields)
        for name, each in fields.items():
            if each.required and name not in node.items:
                values[name] = self.note(node, path, f"{name} is missing", broken=(*path, name))
        if any(each.required and values[name] is FAILED for name, each in fields.items()):
            return FAILED
        return {name: value for name, value in values.items() if value is not FAILED}

    def _unknown(self, name: str, mark: Scalar, path: Path, fields: dict[str, inspect.Field]) -> None:
        if name == "<<":
            self.note(mark, path, "merging mappings with << is not supported", hint="write the settings out")
        else:
            self.note(mark, (*path, short(name)), "unknown setting", did_you_mean(name, fields))

    def _field(self, field: inspect.Field, mark: Scalar, node: Node, path: Path) -> Any:
        if not _is_planned(field.type):
            return self.read(field.type, node, path)
        value, clean = self._quietly(field.type, node, path)
        if clean and _equals_default(field, value):
            return value
        return self.note(mark, path, "not supported yet")

    def _quietly(self, type_: inspect.Type, node: Node, path: Path) -> tuple[Any, bool]:
        """The value, and whether it is without problems: what is not supported needs no further remark."""
        kept, self.problems = self.problems, []
        try:
            value = self.read(type_, node, path)
            clean = not self.problems
        except ConfigErrors:  # more of them than anyone reads
            value, clean = FAILED, False
        finally:
            self.problems = kept
        return value, clean

    def _dict(self, type_: inspect.DictType, node: Node, path: Path) -> Any:
        if is_null(node):
            return {}
        if not isinstance(node, Mapping):
            return self.mismatch("a mapping", node, path)
        values: dict[str, Any] = {}
        for name, (mark, child) in node.items.items():
            key = self._name(type_.key_type, mark, path)
            value = self.read(type_.value_type, child, (*path, short(name)))
            if key is FAILED or value is FAILED:
                self.lost.setdefault(path, set()).add(name)
            else:
                values[name] = value
        return values

    def _name(self, type_: inspect.Type, mark: Scalar, path: Path) -> Any:
        """The name of an entry; where it cannot be one, the entry is broken, not the mapping with all the others."""
        kept, self.broken = self.broken, set()
        name = self.read(type_, Scalar(mark.line, mark.column, text=mark.text, plain=mark.plain), path)
        if self.broken:
            kept.add((*path, short(mark.text)))
        self.broken = kept
        return name

    def _list(self, type_: inspect.VarTupleType, node: Node, path: Path) -> Any:
        if is_null(node):
            node = Sequence(node.line, node.column)
        if not isinstance(node, Sequence):
            return self.mismatch("a list", node, path)
        if type_.min_length is not None and len(node.items) < type_.min_length:
            return self.note(node, path, "needs at least one entry")
        values: list[Any] = []
        for index, child in enumerate(node.items):
            value = self.read(type_.item_type, child, (*path, index))
            if value is FAILED:
                self._lose(path, child)
            else:
                if index != len(values):
                    self._places[(*path, len(values))] = index
                values.append(value)
        return FAILED if type_.min_length is not None and len(values) < type_.min_length else values

    def _lose(self, path: Path, node: Node) -> None:
        """Remembers the id of an entry that could not be read: references to it are no mistakes."""
        if isinstance(node, Mapping) and "id" in node.items and isinstance(node.items["id"][1], Scalar):
            self.lost.setdefault(path, set()).add(node.items["id"][1].text)

    def _tuple(self, type_: inspect.TupleType, node: Node, path: Path) -> Any:
        if not isinstance(node, Sequence) or len(node.items) != len(type_.item_types):
            return self.mismatch(f"a list of {len(type_.item_types)}", node, path)
        pairs = zip(type_.item_types, node.items, strict=True)
        values = [self.read(each, child, (*path, index)) for index, (each, child) in enumerate(pairs)]
        return FAILED if FAILED in values else values

    def _union(self, type_: inspect.UnionType, node: Node, path: Path) -> Any:
        if isinstance(node, Scalar):
            if any(isinstance(each, inspect.NoneType) for each in type_.types) and self.stands_for_null(node):
                return None
            fits = [each for each in type_.types if not isinstance(_bare(each), (*_CONTAINERS, inspect.NoneType))]
            integers = [each for each in fits if isinstance(_bare(each), inspect.IntType)]
            if integers and is_integer(node):
                fits = integers
            fits.sort(key=lambda each: isinstance(_bare(each), inspect.IntType))
        else:
            wanted = (inspect.StructType, inspect.DictType) if isinstance(node, Mapping) else (inspect.VarTupleType,)
            fits = [each for each in type_.types if isinstance(_bare(each), wanted)]
        if not fits:
            return self.mismatch(" or ".join(_wants(each) for each in type_.types), node, path)
        return self.read(fits[0], node, path)


_SCALARS = (
    (inspect.NoneType, "null"),
    (inspect.BoolType, "true or false"),
    (inspect.IntType, "an integer"),
    (inspect.FloatType, "a number"),
)
_CONTAINERS = (inspect.StructType, inspect.DictType, inspect.VarTupleType, inspect.TupleType)


def _is_planned(type_: inspect.Type) -> bool:
    return isinstance(type_, inspect.Metadata) and bool((type_.extra or {}).get("planned"))


def _equals_default(field: inspect.Field, value: Any) -> bool:
    if field.required:
        return False
    default = field.default if field.default is not NODEFAULT else field.default_factory()
    try:
        return bool(convert(value, type(default)) == default) if default is not None else value is None
    except ValidationError:
        return False


def _bare(type_: inspect.Type) -> inspect.Type:
    """The type under its metadata; a special scalar counts as text."""
    while isinstance(type_, inspect.Metadata):
        type_ = inspect.StrType() if "scalar" in (type_.extra or {}) else type_.type
    return type_


def _wants(type_: inspect.Type) -> str:
    bare = _bare(type_)
    if isinstance(bare, inspect.LiteralType):
        return f"one of {listed(bare.values)}"
    if isinstance(bare, inspect.StructType):
        return f"a mapping with {listed(each.encode_name for each in bare.fields)}"
    if isinstance(bare, inspect.VarTupleType):
        return "a list"
    return next((words for kind, words in _SCALARS if isinstance(bare, kind)), "text")
