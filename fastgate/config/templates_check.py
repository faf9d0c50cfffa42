"""Mistakes among a key's templates: what is no template, and what would let a client choose its own budget."""

import re
from collections.abc import Iterator
from typing import Final

from fastgate.config.owners import Key
from fastgate.config.problems import Finding, Path, did_you_mean
from fastgate.wire.tags import TAG_NAME

TAG: Final = "tag:"
NAMES: Final = ("user", "session", "model", "environment")
MOST_BOUND: Final = 8
"""Budgets and limits in all templates of a key: a request has to pass one of each, beside those of its four owners."""
LONGEST_TAGGED: Final = 75
"""Characters of a key's id and a tag's name together: they stand in ids of budgets, which have a bound."""
_CLAIMED: Final = ("user", "session")
_TAG_NAME: Final = re.compile(rf"(?!fastgate\.){TAG_NAME}")


def template_findings(path: Path, key: Key) -> Iterator[Finding]:
    """Of one key at ``path``."""
    for name, template in key.each.items():
        at = (*path, "each", name)
        tag = name.removeprefix(TAG) if name.startswith(TAG) else None
        if tag is None and name not in NAMES:
            hint = did_you_mean(name, NAMES) or f"write {', '.join(NAMES)} or tag:NAME"
            yield Finding(at, f"there is no template for {name}", hint)
            continue
        if tag is not None:
            unfit = _tag(at, tag, key)
            if unfit is not None:
                yield unfit
                continue
        if not template.budgets and not template.limits:
            hint = "give it budgets or limits, or leave it out"
            yield Finding(at, "a template without budgets and limits binds nothing", hint)
        if not key.trusted_identity and (name in _CLAIMED or (tag is not None and tag not in key.tags)):
            yield _untrusted(at, name, tag)
    if sum(len(template.budgets) + len(template.limits) for template in key.each.values()) > MOST_BOUND:
        hint = "a request has to pass all of them"
        yield Finding((*path, "each"), f"more than {MOST_BOUND} budgets and limits in the templates of a key", hint)


def _tag(at: Path, tag: str, key: Key) -> Finding | None:
    if not _TAG_NAME.fullmatch(tag):
        return Finding(at, f"{tag or 'nothing'} is no name of a tag", "1 to 32 letters, digits or . _ -")
    if len(key.id) + len(tag) > LONGEST_TAGGED:
        hint = f"at most {LONGEST_TAGGED} characters: budgets are called by both"
        return Finding(at, "the key's id and the tag's name are too long together", hint)
    return None


def _untrusted(at: Path, name: str, tag: str | None) -> Finding:
    """What a client claims must not choose its own budget."""
    message = f"any client of the key could say that it is another {tag or name}, and have another budget or limit"
    trust = "set trusted_identity: true if only clients that tell the truth have the key"
    return Finding(at, message, trust if tag is None else f"{trust}, or give the key the tag {tag} in its tags")
