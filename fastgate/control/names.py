"""Which names exist: those of the configuration in force, of one that is about to be, and of the state store."""

from collections.abc import Iterator, Set
from functools import reduce
from operator import and_
from sqlite3 import Connection
from typing import Final

from fastgate.config.owners_check import Known, digest_of, names_provider
from fastgate.config.root import Config
from fastgate.control.collections import COLLECTIONS, Collection, of_file
from fastgate.state import objects

_HINTS: Final = 1000


class Stored(Set[str]):
    """The ids of a collection of the store, and some of the file's."""

    def __init__(self, db: Connection, collection: str, names: Set[str]) -> None:
        self._db = db
        self._collection = collection
        self._names = names

    def __contains__(self, id_: object) -> bool:
        return id_ in self._names or objects.find(self._db, self._collection, str(id_)) is not None

    def __iter__(self) -> Iterator[str]:
        """Not all of them: as many as hints look at."""
        yield from self._names
        for stored in objects.page(self._db, self._collection, "", _HINTS):
            yield stored.id

    def __len__(self) -> int:
        return len(self._names) + objects.count(self._db, self._collection)


class FileNames:
    """What one configuration file defines.

    ``ceilings``: those whose prices its snapshot has; ``cached``: whether that has room for answers.
    """

    def __init__(self, config: Config, ceilings: Set[str] = frozenset(), *, cached: bool = False) -> None:
        self._ids = {collection: frozenset(of_file(config, collection)) for collection in COLLECTIONS}
        self.digests = frozenset(digest_of(key) for key in config.keys)
        self.ceilings = ceilings
        self.cached = cached
        self.embeds = config.cache.semantic.embedder is not None
        self.shares = config.redis is not None and config.redis.leases

    def of(self, collection: Collection) -> Set[str]:
        """The ids of a collection."""
        return self._ids[collection]

    def known(self, db: Connection) -> Known:
        """What may be named beside this file."""
        return _known(db, [self])


class Names:
    """``current`` is in force; while a reload is on its way, ``coming`` counts, too: a new object must fit in both."""

    def __init__(self) -> None:
        self.current: FileNames | None = None
        self.coming: FileNames | None = None

    def in_file(self, collection: Collection, id_: str) -> bool:
        """Whether a file defines it."""
        return any(id_ in each.of(collection) for each in self._files())

    def file_digest(self, digest: bytes) -> bool:
        """Whether a key of a file has this secret."""
        return any(digest in each.digests for each in self._files())

    def has_ceiling(self, name: str) -> bool:
        """Whether every snapshot has these prices."""
        return all(name in each.ceilings for each in self._files())

    def has_cache(self) -> bool:
        """Whether every snapshot has room for answers."""
        return all(each.cached for each in self._files())

    def known(self, db: Connection) -> Known:
        """What an object of the store may name."""
        return _known(db, self._files())

    def _files(self) -> list[FileNames]:
        return [each for each in (self.current, self.coming) if each is not None]


def _known(db: Connection, files: list[FileNames]) -> Known:
    def in_all(collection: Collection) -> Stored:
        return Stored(db, collection, reduce(and_, (each.of(collection) for each in files)))

    return Known(
        in_all("providers"),
        in_all("models"),
        in_all("customers"),
        in_all("teams"),
        embeds=all(each.embeds for each in files),
        shares=any(each.shares for each in files),
    )


def resolves(target: str, known: Known) -> bool:
    """Whether there is what an object names, such as ``team:platform``."""
    kind, _, id_ = target.partition(":")
    if target == "cache:semantic":
        return known.embeds
    if kind in {"ceiling", "cache"}:  # prices, and room for answers: they come with who names them
        return True
    if kind == "model" and names_provider(id_, known):
        return True
    names: Set[str] = getattr(known, f"{kind}s")
    return id_ in names
