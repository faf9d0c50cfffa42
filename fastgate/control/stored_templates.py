"""Keys of the state store as far as they have templates, which stand in their documents alone."""

from typing import Any, Final

import msgspec

from fastgate.config.objects import read_object
from fastgate.config.owners import Key
from fastgate.state import objects
from fastgate.state.store import Store


class _Templates(msgspec.Struct):
    """Of a key's document."""

    each: dict[str, msgspec.Raw] = {}


_decode: Final = msgspec.json.Decoder(_Templates).decode


def key_with_templates(store: Store, id_: str) -> Key | None:
    """The key with this id; None where there is none, or it has no templates. Raises StateError."""
    with store.read() as db:
        found = objects.find(db, "keys", id_)
    if found is None or not _decode(found.document).each:
        return None
    document: dict[str, Any] = msgspec.json.decode(found.document)
    return read_object(Key, document)
