"""The entries of both caches as one list: those of the exact one first."""

from typing import Final, Literal

from fastgate.control.cache_answers import EXACT, SEMANTIC, CacheDeletion, CacheEntry, entry, semantic_entry
from fastgate.control.cache_book import CacheBook
from fastgate.control.cache_wanted import Wanted
from fastgate.control.semantic_book import SemanticBook, place

Tier = Literal["exact", "semantic"]
_BEHIND: Final = "s"
"""What a cursor begins with that goes on in the semantic cache."""


class CacheTiers:
    """``exact``, ``semantic``: each by itself. Methods are for any thread, and raise what those of the two do."""

    def __init__(self, exact: CacheBook, semantic: SemanticBook) -> None:
        self.exact = exact
        self.semantic = semantic

    def page(self, wanted: Wanted, tier: Tier | None, cursor: str, most: int) -> tuple[list[CacheEntry], str | None]:
        """At most ``most`` and the cursor of the next page; fewer where the list goes over to the other cache, too."""
        if tier == SEMANTIC or (tier is None and cursor.startswith(_BEHIND)):
            after = place(cursor.removeprefix(_BEHIND))
            entries, following = self.semantic.page(wanted, after, most)
            return [semantic_entry(each) for each in entries], None if following is None else f"{_BEHIND}{following}"
        found, behind = self.exact.page(wanted, cursor, most)
        if behind is None and tier is None and self.semantic.is_wanted:
            behind = f"{_BEHIND}0"
        return [entry(each) for each in found], behind

    def find(self, id_: str, actor: str, *, texts: bool) -> CacheEntry:
        """The entry of this id, which says in which cache it is; ``texts``: with question and answer."""
        if _is_exact(id_):
            return entry(self.exact.find(id_))
        return self.semantic.find(id_, actor, texts=texts)

    def delete(self, id_: str, actor: str) -> None:
        """No request gets it any more when this returns."""
        (self.exact if _is_exact(id_) else self.semantic).delete(id_, actor)

    def delete_all(self, wanted: Wanted, tier: Tier | None, actor: str) -> CacheDeletion:
        """How many there were. Where the semantic cache cannot be reached nothing is deleted from the exact one."""
        gone = self.semantic.delete_all(wanted, actor) if tier != EXACT else 0
        done = self.exact.delete_all(wanted, actor) if tier != SEMANTIC else CacheDeletion(0)
        done.deleted += gone
        return done


def _is_exact(id_: str) -> bool:
    return "-" in id_
