"""Scripts for requests that bear none, by what they ask: ``--answers FILE``."""

from collections.abc import Sequence
from pathlib import Path

import msgspec
import yaml

from fastgate.simulator.script import NO_SCRIPT, Script, check_script


class RulesError(ValueError):
    """A file of answers that cannot be used; the text says where."""


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One entry of the file: ``script`` is played where all that is said fits."""

    script: Script
    model: str | None = None
    """Of the request."""
    contains: list[str] = []
    """Texts that all have to stand in the user's latest text."""


def script_for(rules: Sequence[Rule], model: str, text: str) -> Script:
    """The script of the first rule that fits; :data:`NO_SCRIPT` where none does."""
    for rule in rules:
        if rule.model in (None, model) and all(each in text for each in rule.contains):
            return rule.script
    return NO_SCRIPT


def read_rules(path: Path) -> list[Rule]:
    """The rules in a YAML or JSON file, in its order. Raises :class:`RulesError`."""
    try:
        rules = msgspec.convert(yaml.safe_load(path.read_text(encoding="utf-8")), list[Rule])
    except (OSError, UnicodeDecodeError, yaml.YAMLError, msgspec.ValidationError) as error:
        raise RulesError(f"{path}: {error}") from error
    for number, rule in enumerate(rules):
        try:
            check_script(rule.script)
        except ValueError as error:
            raise RulesError(f"{path}: entry {number}: {error}") from error
        if rule.script.turns:
            raise RulesError(f"{path}: entry {number}: a script here has no turns: each request is one of its own")
    return rules
