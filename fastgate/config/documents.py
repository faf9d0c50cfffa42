"""From a file to a configuration, or to all that is wrong with it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path as FilePath
from typing import Final

import msgspec
from msgspec.structs import replace

from fastgate.config import nodes
from fastgate.config.nodes import Node
from fastgate.config.problems import ConfigErrors, Finding, Path, Problem, dotted
from fastgate.config.reading import FAILED, Reader
from fastgate.config.reading_scalars import MAX_PROBLEMS, is_null
from fastgate.config.references import findings
from fastgate.config.root import Config
from fastgate.config.scalars import Secret
from fastgate.config.variables import VariableError, Variables

ADMIN_TOKEN: Final = "${FASTGATE_ADMIN_TOKEN:-}"
"""What `admin.token` says where the file says nothing."""

_TYPE: Final = msgspec.inspect.type_info(Config)


@dataclass(frozen=True)
class Document:
    """A configuration and the file it was read from."""

    config: Config
    file: str
    root: Node

    def problem(self, finding: Finding) -> Problem:
        """The finding at its place in the file, or at the nearest place above it that the file has."""
        return place(finding, self.file, self.root)


def load(path: FilePath, env: Mapping[str, str]) -> Config:
    """The configuration in the file at ``path``, with references resolved in ``env``. Raises :class:`ConfigErrors`."""
    return load_document(path, env).config


def load_document(path: FilePath, env: Mapping[str, str]) -> Document:
    """Like :func:`load`, for those who need to say where in the file something is."""
    return read_document(text_of(path), str(path), Variables(env, path.parent))


def read_document(text: str, file: str, variables: Variables) -> Document:
    """The configuration in ``text``; ``file`` is what problems call it."""
    root = nodes.parse(text, file)
    reader = Reader(file, variables)
    values = reader.read(_TYPE, root, ())
    if values is FAILED:
        raise ConfigErrors(reader.problems)
    config = _with_token(msgspec.convert(values, Config), file, variables)
    found = _remaining(findings(config, variables.folder, reader.lost), reader)
    problems = reader.problems + [place(finding, file, root) for finding in islice(found, MAX_PROBLEMS)]
    if problems:
        raise ConfigErrors(problems)
    return Document(config, file, root)


def admin_token(path: FilePath, env: Mapping[str, str]) -> str:
    """`admin.token` of the file at ``path``, whatever else is in it; empty: it has none.

    Raises :class:`ConfigErrors`, and :class:`~fastgate.config.variables.VariableError` where ``env`` does not have what
    it refers to.
    """
    node = _at(nodes.parse(text_of(path), str(path)), ("admin", "token"))
    variables = Variables(env, path.parent)
    said = "" if not isinstance(node, nodes.Scalar) or is_null(node) else variables.expand(node.text)[0]
    return said or variables.expand(ADMIN_TOKEN)[0]


def _with_token(config: Config, file: str, variables: Variables) -> Config:
    if config.admin.token:
        return config
    try:
        token, _ = variables.expand(ADMIN_TOKEN)
    except VariableError as error:
        raise ConfigErrors([Problem(file, 1, 1, f"admin.token: {error.message}", error.hint)]) from None
    return replace(config, admin=replace(config.admin, token=Secret(token)))


def _remaining(found: Iterable[Finding], reader: Reader) -> Iterator[Finding]:
    """Findings by their path in the file, less those about settings that could not even be read."""
    for finding in found:
        path = reader.original(finding.path)
        if not reader.concerns_broken(path):
            yield Finding(path, finding.message, finding.hint)


def place(finding: Finding, file: str, root: Node) -> Problem:
    """A finding as a problem of a file."""
    node = _nearest(root, finding.path)
    text = f"{dotted(finding.path)}: {finding.message}" if finding.path else finding.message
    return Problem(file, node.line, node.column, text, finding.hint)


def _nearest(node: Node, path: Path) -> Node:
    for step in path:
        below = _below(node, step)
        if below is None:
            break
        node = below
    return node


def _at(node: Node, path: Path) -> Node | None:
    found: Node | None = node
    for step in path:
        found = _below(found, step) if found is not None else None
    return found


def _below(node: Node, step: str | int) -> Node | None:
    if isinstance(node, nodes.Mapping) and step in node.items:
        return node.items[str(step)][1]
    if isinstance(node, nodes.Sequence) and isinstance(step, int) and step < len(node.items):
        return node.items[step]
    return None


def text_of(path: FilePath) -> str:
    """What stands in the file. Raises :class:`ConfigErrors` where that cannot be a configuration."""
    try:
        if path.exists() and not path.is_file():
            raise ConfigErrors([Problem(str(path), 1, 1, "cannot be read: not a regular file")])
        with path.open("rb") as file:
            data = file.read(nodes.MAX_BYTES + 1)
    except OSError as error:
        raise ConfigErrors([Problem(str(path), 1, 1, f"cannot be read: {error.strerror}")]) from None
    if len(data) > nodes.MAX_BYTES:
        raise ConfigErrors([Problem(str(path), 1, 1, f"larger than {nodes.MAX_BYTES >> 20} MiB")])
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line, column = before.count(b"\n") + 1, error.start - before.rfind(b"\n")
        raise ConfigErrors([Problem(str(path), line, column, "not UTF-8 text")]) from None
