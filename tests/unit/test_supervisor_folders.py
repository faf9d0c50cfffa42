"""Folders, the lock, secrets and listening sockets of the supervisor."""

import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from fastgate.supervisor import sockets
from fastgate.supervisor.errors import AlreadyRunning, PortInUse, StateUnusable
from fastgate.supervisor.folders import (
    KinLock,
    StateLock,
    choose_arena_dir,
    keep_secret,
    make_private,
    refuse_strangers,
)
from fastgate.wire.whole_files import replace


def test_one_lock_per_state_folder_and_the_message_names_the_owner(tmp_path: Path) -> None:
    with (
        StateLock(tmp_path),
        pytest.raises(AlreadyRunning, match=rf"already running .*{tmp_path}.*process {os.getpid()}"),
    ):
        StateLock(tmp_path)
    with StateLock(tmp_path):
        pass


def test_the_lock_dies_with_its_process(tmp_path: Path) -> None:
    code = (
        "import sys, os; from pathlib import Path; from fastgate.supervisor.folders import StateLock;"
        f"lock = StateLock(Path({str(tmp_path)!r})); print('held', flush=True); os.read(0, 1)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"held\n"
        with pytest.raises(AlreadyRunning, match=f"process {owner.pid}"):
            StateLock(tmp_path)
        owner.kill()
        owner.wait()
    StateLock(tmp_path).close()


def test_who_inherited_the_children_lock_is_waited_for(tmp_path: Path) -> None:
    kin = KinLock(tmp_path)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=[kin.descriptor]) as child:
        kin.close()
        with pytest.raises(StateUnusable, match="earlier fastgate still run"):
            KinLock(tmp_path, seconds=0.1)
        child.kill()
        KinLock(tmp_path).close()


def test_a_secret_is_made_once_kept_private_and_replaced_only_by_a_given_one(tmp_path: Path) -> None:
    path = tmp_path / "admin-token"
    first = keep_secret(path, prefix="x-")
    assert len(first) == 45
    path.chmod(0o644)
    assert keep_secret(path) == first
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert keep_secret(path, "given") == "given"
    assert path.read_text() == "given\n"


def test_a_private_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    replace(path, b"long text")
    replace(path, b"short", private=True)
    assert path.read_text() == "short"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["file"]


def test_folders_are_private_and_an_impossible_one_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    make_private(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    (tmp_path / "file").touch()
    with pytest.raises(StateUnusable, match="file"):
        make_private(tmp_path / "file" / "below")


def test_the_arena_goes_to_shared_memory_where_it_is_large_enough(tmp_path: Path) -> None:
    memory, state = tmp_path / "shm", tmp_path / "state"
    memory.mkdir()
    chosen = choose_arena_dir(state, memory, needed=1)
    assert chosen.parent == memory
    assert chosen == choose_arena_dir(state, memory, needed=1)
    assert chosen != choose_arena_dir(tmp_path / "other", memory, needed=1)
    assert choose_arena_dir(state, memory, needed=1 << 62) == state / "arena"
    assert choose_arena_dir(state, tmp_path / "missing", needed=1) == state / "arena"


def test_a_folder_that_somebody_else_may_have_made_is_refused(tmp_path: Path) -> None:
    """Where all may make folders, whoever was there first could replace the keys that workers admit."""
    ours, open_to_all, link = tmp_path / "ours", tmp_path / "open", tmp_path / "link"
    make_private(ours)
    refuse_strangers(ours)
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    link.symlink_to(ours)
    for folder in (open_to_all, link):
        make_private(folder)
        with pytest.raises(StateUnusable, match="another one may have made it"):
            refuse_strangers(folder)
    if os.geteuid() == 0:
        os.chown(ours, 65534, 65534)
        with pytest.raises(StateUnusable, match="arena_dir"):
            refuse_strangers(ours)


def test_an_arena_that_exists_is_found_again_whatever_the_room(tmp_path: Path) -> None:
    memory, state = tmp_path / "shm", tmp_path / "state"
    memory.mkdir()
    chosen = choose_arena_dir(state, memory, needed=1)
    chosen.mkdir()
    (chosen / "arena.bin").touch()
    assert choose_arena_dir(state, memory, needed=1 << 62) == chosen


def test_workers_share_one_address() -> None:
    listeners = sockets.listen("127.0.0.1", 0, 3)
    try:
        assert len({one.getsockname() for one in listeners}) == 1
        assert all(not one.get_inheritable() for one in listeners)
    finally:
        sockets.close(listeners)


@pytest.mark.parametrize("shared", [False, True])
def test_a_taken_port_is_refused_even_where_its_owner_would_share_it(shared: bool) -> None:
    with socket.socket() as other:
        if shared:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        other.listen(1)
        port = other.getsockname()[1]
        with pytest.raises(PortInUse, match=f"port {port} is in use"):
            sockets.listen("127.0.0.1", port, 2)
        with pytest.raises(PortInUse, match=f"port {port} is in use"):
            sockets.check_free("127.0.0.1", port)


def test_an_unknown_address_is_named() -> None:
    with pytest.raises(PortInUse, match=r"192\.0\.2\.1"):
        sockets.listen("192.0.2.1", 0, 1)
    with pytest.raises(PortInUse, match="no such address"):
        sockets.listen("name.invalid", 1, 1)
