"""What the API creates, changes and ends, beside what the file defines.

An object of the file cannot be changed here, and none may have the id of one: so there is one place to look for each.
What is committed is told to the workers in the order of commits; they serve by it at their next beat.
"""

import time
from collections.abc import Callable, Sequence, Set
from concurrent.futures import Future
from dataclasses import dataclass, replace
from itertools import islice
from sqlite3 import Connection
from typing import Any, Final, cast

import msgspec

from fastgate.budgets.hierarchy import owner_name
from fastgate.config.objects import Thing, encode_document, merged, object_document, problem, problems_of, read_object
from fastgate.config.owners import Key, Team
from fastgate.config.owners_check import secret_finding
from fastgate.config.reading_scalars import MAX_PROBLEMS
from fastgate.control import object_checks
from fastgate.control.cache_records import wants_cache
from fastgate.control.collections import (
    IN_HEAD,
    TYPES,
    Collection,
    Edit,
    derived,
    document,
    stored_additions,
    taken_over,
)
from fastgate.control.compile import ceiling_of
from fastgate.control.configuration import Configuration, NotPublished
from fastgate.control.issued import digest_of_secret, first_secret, issued_secret
from fastgate.control.problems import Conflict, NotFound, PreconditionFailed
from fastgate.control.publisher import Publisher
from fastgate.state import audit, objects, replica
from fastgate.state.objects import Derived, SecretRow, Stored
from fastgate.state.store import Store
from fastgate.wire.changes import Change

MOST_OVERLAP_SECONDS: Final = 90 * 86_400
_NO_RECORD: Final = b""


@dataclass(frozen=True)
class Done:
    """An object after a change, what the workers have to know, and a secret that is said this once."""

    stored: Stored
    changes: tuple[Change, ...] = ()
    secret: str | None = None
    secrets: tuple[SecretRow, ...] = ()
    needs_snapshot: bool = False
    """Whether workers can follow by a new snapshot only: its head changes."""


@dataclass(frozen=True)
class Wish:
    """What shall be done to which object, by whom; ``version``: only where it still has that one."""

    collection: Collection
    id: str
    action: str
    actor: str
    version: int | None = None

    @property
    def kind(self) -> str:
        """``key`` of ``keys``."""
        return self.collection.removesuffix("s")


class Objects:
    """Changes are futures: done when they are committed and told. Errors are problems of the API, or of the values."""

    def __init__(
        self, store: Store, publisher: Publisher, configuration: Configuration, changed: Callable[..., None]
    ) -> None:
        self.store = store
        self._publisher = publisher
        self._configuration = configuration
        self._names = configuration.names
        self._folder = configuration.path.parent
        self._changed = changed
        """Called after each change, with ``compact=True`` where a new snapshot is due."""

    def create(self, collection: Collection, values: dict[str, Any], actor: str) -> Future[Done]:
        """A new object; a key without a secret gets one."""
        if collection == "keys":
            values = {"id": f"key-{issued_secret()[-12:]}", **values}
        thing = read_object(TYPES[collection], values)
        unfit = secret_finding(("secret",), thing.secret) if isinstance(thing, Key) else None
        if unfit is not None:
            raise problems_of([unfit])
        return self._write(lambda db: self._create(db, Wish(collection, thing.id, "create", actor), thing))

    def update(self, wish: Wish, patch: dict[str, Any]) -> Future[Done]:
        """Merges a patch (RFC 7396) into the document."""
        for name in patch:
            if name not in TYPES[wish.collection].__struct_fields__:
                raise problem(f"{name[:80]}: unknown setting")
            if wish.collection == "keys" and name in {"secret", "secret_sha256"}:
                raise problem(f"{name}: a secret is changed by rotate", f"POST keys/{wish.id}/rotate")
        return self.edit(wish, lambda document: merged(document, patch))

    def edit(self, wish: Wish, edit: Edit) -> Future[Done]:
        """Replaces the document by what ``edit`` makes of it; what that raises leaves it as it was."""
        return self._write(lambda db: self._edit(db, wish, edit))

    def delete(self, wish: Wish) -> Future[Done]:
        """An object that no other one names."""
        return self._write(lambda db: self._delete(db, wish))

    def revoke(self, wish: Wish) -> Future[Done]:
        """A key's secrets stop working; the key stays, to be seen and to be rotated back to life."""
        return self._write(lambda db: self._rotate(db, wish, None, 0))

    def rotate(self, wish: Wish, overlap_seconds: int) -> Future[Done]:
        """A new secret; the old one works for ``overlap_seconds`` more."""
        return self._write(lambda db: self._rotate(db, wish, issued_secret(), overlap_seconds))

    def version(self, collection: Collection, id_: str) -> int | None:
        """Of an object that can be changed here; None: it is the file's, or there is none."""
        if self._names.in_file(collection, id_):
            return None
        with self.store.read() as db:
            found = objects.find(db, collection, id_)
        return None if found is None else found.version

    def sweep(self) -> None:
        """Forgets secrets whose overlap is over."""

        def forget(db: Connection) -> tuple[Change, ...]:
            gone = objects.ended(db, time.time_ns(), 10_000)
            objects.forget_secrets(db, gone)
            return tuple((digest, _NO_RECORD) for digest in gone)

        with self.store.read() as db:
            due = bool(objects.ended(db, time.time_ns(), 1))
        if due:
            self.store.write(forget, self._publisher.change)

    # ---- in the store's thread

    def take_over(self, db: Connection, stored: Stored, rows: Sequence[SecretRow], sealed: bytes) -> Done:
        """Keeps an object as another host created or changed it, where it was checked against all others.

        Raises ConfigErrors where a later version wrote it, SealError without the key to its secrets.
        """
        thing, kept = taken_over(stored, rows, sealed, self.store.sealer)
        objects.forget_secrets(db, (row.digest for row in rows))  # of whoever had them before
        return self._shown(self._keep(db, thing, stored, rows, kept))

    def forget(self, db: Connection, collection: Collection, id_: str) -> Done | None:
        """Another host has deleted it; None: it is not here anyway."""
        before = objects.find(db, collection, id_)
        if before is None:
            return None
        gone = objects.digests(db, collection, id_)
        objects.drop(db, collection, id_)
        changes = tuple((digest, _NO_RECORD) for digest in gone)
        return self._shown(Done(before, changes, needs_snapshot=collection in IN_HEAD))

    def forget_secrets(self, db: Connection, stored: Stored, kept: Set[bytes]) -> Done:
        """All of a key but those: so much can be taken over of what a later version wrote."""
        gone = objects.digests(db, stored.collection, stored.id) - kept
        objects.forget_secrets(db, gone)
        return self._shown(Done(stored, tuple((digest, _NO_RECORD) for digest in gone)))

    def tell(self, found: Sequence[Done]) -> None:
        """Workers hear what was taken over. Raises OSError; then they hear it with the next changes."""
        if not found:
            return
        changes = tuple(change for done in found for change in done.changes)
        needs_snapshot = any(each.needs_snapshot for each in found)
        if self._configuration.latest is None:  # the first one is on its way, and may have been read before
            self._changed(compact=needs_snapshot)
            self._publisher.change(changes)
            return
        try:
            self._tell(replace(found[-1], changes=changes, needs_snapshot=needs_snapshot))
        except NotPublished:
            self._publisher.change(changes)  # what needs no snapshot does not wait for it

    def tell_all(self) -> None:
        """Workers get a new snapshot, soon: so much was taken over that it cannot be told by changes."""
        self._changed(compact=True)

    def _shown(self, done: Done) -> Done:
        """Without what the file's own hide."""
        if self._names.in_file(cast(Collection, done.stored.collection), done.stored.id):
            return replace(done, changes=())
        return replace(done, changes=tuple(each for each in done.changes if not self._names.file_digest(each[0])))

    def _write(self, do: Callable[[Connection], Done]) -> Future[Done]:
        return self.store.write(do, self._tell)

    def _tell(self, done: Done) -> None:
        if done.needs_snapshot:  # rare, and prices have to be there before the key that names them is
            try:
                self._configuration.republish()
            except NotPublished:
                self._changed(compact=True)  # it is tried again
                raise
        self._publisher.change(done.changes)
        self._changed(compact=self._publisher.is_long)

    def _create(self, db: Connection, wish: Wish, thing: Thing) -> Done:
        _check_read(db, wish)
        if self._names.in_file(wish.collection, thing.id) or objects.find(db, wish.collection, thing.id):
            raise Conflict(f"there is a {wish.kind} {thing.id} already")
        object_checks.check_room(db, wish.collection)
        object_checks.check_alone(thing, self._folder)
        self._check(db, thing)
        now = time.time_ns() // 1000
        secret, rows = None, []
        if isinstance(thing, Key):
            secret, digest = first_secret(thing)
            if self._names.file_digest(digest) or objects.owner_of_digest(db, digest):
                raise Conflict("the secret belongs to another key already")
            rows = [SecretRow(digest, now, 0)]
        stored = Stored(wish.collection, thing.id, encode_document(object_document(thing)), 1, now, now)
        return replace(self._put(db, wish, thing, stored, rows), secret=secret)

    def _edit(self, db: Connection, wish: Wish, edit: Edit) -> Done:
        before = self._found(db, wish)
        thing = read_object(TYPES[wish.collection], document(db, self.store.sealer, before, edit))
        if thing.id != wish.id:
            raise problem("an id cannot change", "create another object")
        self._check(db, thing)
        text = encode_document(object_document(thing))
        after = replace(before, document=text, version=before.version + 1, updated_us=time.time_ns() // 1000)
        rows = objects.secrets(db, wish.id) if wish.collection == "keys" else []
        return self._put(db, wish, thing, after, rows)

    def _rotate(self, db: Connection, wish: Wish, secret: str | None, overlap: int) -> Done:
        before = self._found(db, wish)
        thing = read_object(Key, msgspec.json.decode(before.document))
        now = time.time_ns()
        end = now + overlap * 10**9
        rows = [
            row if 0 < row.expires_ns <= end else replace(row, expires_ns=end)
            for row in objects.secrets(db, wish.id)
            if overlap
        ]
        if secret is not None:
            rows.insert(0, SecretRow(digest_of_secret(secret), now // 1000, 0))
        after = replace(before, version=before.version + 1, updated_us=now // 1000)
        return replace(self._put(db, wish, thing, after, rows), secret=secret)

    def _delete(self, db: Connection, wish: Wish) -> Done:
        before = self._found(db, wish)
        target = owner_name(wish.kind, wish.id)
        hidden = self._names.in_file(wish.collection, wish.id)  # then the file's own is meant, and stays
        users = [] if hidden else objects.referrers(db, target)
        if users:
            raise Conflict(f"{target} is still named by {', '.join(users)}", referrers=users)
        gone = objects.digests(db, wish.collection, wish.id)
        objects.drop(db, wish.collection, wish.id)
        _note(db, wish, before.document, "")
        changes = () if hidden else tuple((digest, _NO_RECORD) for digest in gone)
        return Done(before, changes, needs_snapshot=wish.collection in IN_HEAD)

    def _put(self, db: Connection, wish: Wish, thing: Thing, stored: Stored, rows: Sequence[SecretRow]) -> Done:
        before = objects.find(db, wish.collection, wish.id)
        done = self._keep(db, thing, stored, rows, derived(thing, stored, rows, self.store.sealer))
        _note(db, wish, before.document if before else "", stored.document)
        if wish.collection in IN_HEAD:
            self._configuration.rehearse(stored_additions(db, self.store.sealer))
        return done

    def _keep(self, db: Connection, thing: Thing, stored: Stored, rows: Sequence[SecretRow], kept: Derived) -> Done:
        gone = objects.digests(db, stored.collection, stored.id)
        objects.put(db, stored, kept)
        changes = {digest: record for digest, _, _, record in kept.records}
        changes.update(dict.fromkeys(gone.difference(changes), _NO_RECORD))
        needs_snapshot = stored.collection in IN_HEAD or (isinstance(thing, Key | Team) and self._needs_more(thing))
        return Done(stored, tuple(changes.items()), secrets=tuple(rows), needs_snapshot=needs_snapshot)

    def _found(self, db: Connection, wish: Wish) -> Stored:
        found = objects.find(db, wish.collection, wish.id)
        if self._names.in_file(wish.collection, wish.id) and (found is None or wish.action != "delete"):
            raise Conflict(f"the {wish.kind} {wish.id} is defined in the configuration file: change it there")
        _check_read(db, wish)
        if found is None:
            raise NotFound(f"there is no {wish.kind} {wish.id[:80]}")
        check_version(wish.version, found)
        return found

    def _check(self, db: Connection, thing: Thing) -> None:
        """Raises ConfigErrors for what could never be, Conflict where it does not go together with what is there."""
        found = object_checks.findings(db, thing, self._names.known(db), self._folder)
        if errors := list(islice(found, MAX_PROBLEMS)):
            if any(each.alone for each in errors):
                raise problems_of(errors)
            problems = [{"message": each.message, "hint": each.hint} for each in problems_of(errors).problems]
            raise Conflict("; ".join(each["message"] for each in problems[:3]), problems=problems)

    def _needs_more(self, thing: Key | Team) -> bool:
        """Whether it names what no snapshot's head has yet: prices of a ceiling, or room for answers."""
        ceiling = ceiling_of(thing) if isinstance(thing, Key) else ""
        is_first = wants_cache(thing) and not self._names.has_cache()
        return is_first or (bool(ceiling) and not self._names.has_ceiling(ceiling))


def check_version(asked: int | None, found: Stored | None) -> None:
    """Raises PreconditionFailed where another version was asked for; what the file defines, or nobody, has none."""
    if asked is not None and found is None:
        raise PreconditionFailed(f"it has no version, so not {asked}: only what the API created has one")
    if asked is not None and found is not None and asked != found.version:
        raise PreconditionFailed(f"it has changed: its version is {found.version}, not {asked}")


def _check_read(db: Connection, wish: Wish) -> None:
    """Raises Conflict where what is here is older than what hosts share: a change of it would undo that."""
    if replica.is_unread(db, wish.collection, wish.id):
        raise Conflict(
            f"the {wish.kind} {wish.id} was last changed by a later version of fastgate: change it on a host that runs"
            " that one, or update this one"
        )


def _note(db: Connection, wish: Wish, before: str, after: str) -> None:
    audit.add(
        db, audit.Entry(0, time.time_ns() // 1000, wish.actor, wish.action, wish.collection, wish.id, before, after)
    )
