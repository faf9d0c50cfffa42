"""`fastgate state`: the state folder as a whole, kept and put back."""

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fastgate.cli.admin import AdminClient, admin_options
from fastgate.cli.exits import Failed, failure
from fastgate.cli.keys import json_option
from fastgate.cli.options import STATE_DIR, option, state_dir_option
from fastgate.cli.tables import as_json

if TYPE_CHECKING:
    from fastgate.backup.archive import Manifest

force_option = option("--force", is_flag=True, help="Replace a FILE that exists.")


@click.group("state")
def command() -> None:
    """Back up the state folder, restore it, or go on without what was lost."""


@command.command("backup")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@force_option
@json_option
@admin_options
def backup(file: Path, force: bool, as_document: bool, client: AdminClient) -> None:
    """Write the ledger, what the API created and the generated secrets into FILE, a .tar.gz that is 0600.

    It may run or not; the copy is of one moment. The configuration file is yours to keep.

    \b
    fastgate state backup fastgate-backup.tar.gz
    """
    if file.exists() and not force:
        raise Failed(f"{file} exists; --force replaces it")
    with _failures(file), _alone(client.state_dir, wait=False) as alone:
        manifest = _still(client.state_dir, file) if alone and not client.is_elsewhere else _running(client, file)
    _say(f"{file} written", manifest, as_document)


@command.command("restore")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@state_dir_option()
@option("--force", is_flag=True, help="Set state that is there aside, into a folder replaced-... beside it.")
@json_option
def restore(file: Path, state_dir: Path | None, force: bool, as_document: bool) -> None:
    """Put the backup FILE into the state folder; fastgate must not run there.

    Budgets and spend are then what they were at the backup: counters are rebuilt from the ledger at the next start.

    \b
    fastgate state restore fastgate-backup.tar.gz --state-dir ./fastgate-state
    """
    from fastgate.backup.restoring import restore
    from fastgate.supervisor.folders import make_private

    folder = state_dir or Path(STATE_DIR)
    with _failures(folder):
        make_private(folder)
        with _alone(folder, wait=True):
            manifest, aside = restore(file, folder, force=force)
    if aside is not None:
        click.echo(f"what was there is in {aside}", err=True)
    _say(f"{folder} restored; `fastgate serve` goes on from there", manifest, as_document)


@command.command("accept-loss")
@json_option
@admin_options
def accept_loss(as_document: bool, client: AdminClient) -> None:
    """Let counters begin at zero whose amounts are lost, so that budgets serve again.

    Only for when the counters (the arena) are lost and the ledger cannot be read: until then all that a budget binds is
    refused. What was spent before in the present windows can then be spent again.

    \b
    fastgate state accept-loss
    """
    answer = client.send("POST", "state/accept-loss")
    if as_document:
        click.echo(as_json(answer))
    else:
        click.echo("budgets are served again; what was spent before is not counted", err=True)


def _still(state_dir: Path, file: Path) -> "Manifest":
    """A backup of a folder that nobody serves from."""
    from fastgate.backup.making import back_up_closed

    try:
        phase = json.loads((state_dir / "supervisor.json").read_bytes())["phase"]
    except (OSError, ValueError, TypeError, KeyError):
        phase = "stopped"  # it never ran here
    if phase != "stopped":
        raise Failed(
            f"the last run with {state_dir} was cut off, so its arena may have what the ledger has not: "
            "start fastgate, then back up while it runs"
        )
    return back_up_closed(state_dir, file)


def _running(client: AdminClient, file: Path) -> "Manifest":
    """A backup by the control process, checked as it arrived."""
    from fastgate.backup.archive import draft_of
    from fastgate.backup.restoring import read

    with draft_of(file) as draft:
        client.download("state/backup", draft)
        draft.flush()
        return read(Path(draft.name))


@contextmanager
def _alone(state_dir: Path, *, wait: bool) -> Iterator[bool]:
    """Whether the folder is ours for the block; ``wait``: raises AlreadyRunning where it is not."""
    from fastgate.supervisor.errors import AlreadyRunning
    from fastgate.supervisor.folders import KinLock, StateLock

    try:
        lock = StateLock(state_dir) if state_dir.is_dir() else None
    except AlreadyRunning:
        if wait:
            raise
        lock = None
    if lock is None:
        yield False
        return
    with lock, closing(KinLock(state_dir)):
        yield True


@contextmanager
def _failures(target: Path) -> Iterator[None]:
    """Errors of the parts that do the work, as those of a command that writes to ``target``."""
    from fastgate.backup.errors import BackupError
    from fastgate.supervisor.errors import SupervisorError

    try:
        yield
    except BackupError as error:
        raise Failed(str(error)) from error
    except SupervisorError as error:
        raise failure(str(error), error.exit_code) from error
    except OSError as error:
        raise Failed(f"{target} cannot be written: {error.strerror}") from error


def _say(done: str, manifest: "Manifest", as_document: bool) -> None:
    if as_document:
        click.echo(as_json(_document(manifest)))
        return
    size = sum(member.size for member in manifest.members)
    click.echo(f"{done}: {len(manifest.members)} files, {size:,} bytes, of {manifest.created}", err=True)


def _document(manifest: "Manifest") -> Any:
    import msgspec

    return msgspec.to_builtins(manifest)
