"""Which names exist: those of the configuration in force, of one that is about to be, and of the state store."""

from collections.abc import Iterator, Set
from sqlite3 import Connection
from typing import Final

from fastgate.config.owners_check import Known, digest_of
from fastgate.config.root import Config
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
    """What one configuration file defines."""

    def __init__(self, config: Config, ceilings: Set[str]) -> None:
        self.providers = frozenset(config.providers)
        self.models = frozenset(config.models)
        self.customers = frozenset(customer.id for customer in config.customers)
        self.teams = frozenset(team.id for team in config.teams)
        self.keys = frozenset(key.id for key in config.keys)
        self.digests = frozenset(digest_of(key) for key in config.keys)
        self.ceilings = ceilings


class Names:
    """``current`` is in force; while a reload is on its way, ``coming`` counts, too: a new object must fit in both."""

    def __init__(self) -> None:
        self.current: FileNames | None = None
        self.coming: FileNames | None = None

    def in_file(self, collection: str, id_: str) -> bool:
        """Whether a file defines it."""
        return any(id_ in getattr(each, collection) for each in self._files())

    def file_digest(self, digest: bytes) -> bool:
        """Whether a key of a file has this secret."""
        return any(digest in each.digests for each in self._files())

    def has_ceiling(self, name: str) -> bool:
        """Whether every snapshot has these prices."""
        return all(name in each.ceilings for each in self._files())

    def known(self, db: Connection) -> Known:
        """What an object of the store may name."""
        first, *others = self._files()
        providers, models = first.providers, first.models
        customers, teams = first.customers, first.teams
        for each in others:
            providers, models = providers & each.providers, models & each.models
            customers, teams = customers & each.customers, teams & each.teams
        return Known(providers, models, Stored(db, "customers", customers), Stored(db, "teams", teams))

    def _files(self) -> list[FileNames]:
        return [each for each in (self.current, self.coming) if each is not None]
