"""What operators write: typed structs, YAML with line numbers, secrets.

``load`` reads a file into a ``Config`` or raises all its problems at once. Nothing here knows a price or a process:
what the settings mean together with the catalogue is checked in ``fastgate.control.check``.
"""

from fastgate.config.documents import Document, load, load_document
from fastgate.config.problems import ConfigErrors, Finding, Problem
from fastgate.config.rendering import plain, schema
from fastgate.config.root import Config
from fastgate.config.scalars import Secret

__all__ = [
    "Config",
    "ConfigErrors",
    "Document",
    "Finding",
    "Problem",
    "Secret",
    "load",
    "load_document",
    "plain",
    "schema",
]
