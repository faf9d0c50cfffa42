"""One request to the semantic process by who may wait: whatever is wrong over there, it is none within the time."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fastgate.cache.semantic_ask import ask
from fastgate.wire.semantic import SOCKET, Ping, Pong, framed


@contextmanager
def answering(folder: Path, *pieces: bytes) -> Iterator[None]:
    """A process that answers whoever connects with these bytes, piece by piece, and then closes."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(folder / SOCKET))
    listener.listen()

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(4096)
            for piece in pieces:
                connection.sendall(piece)

    thread = threading.Thread(target=serve)
    thread.start()
    yield
    thread.join()
    listener.close()


def test_a_reply_is_found_however_it_is_cut(tmp_path: Path) -> None:
    reply = framed(Pong(1, 2, 3, 4))
    with answering(tmp_path, reply[:3], reply[3:9], reply[9:]):
        assert ask(tmp_path, Ping(1), 5) == Pong(1, 2, 3, 4)


@pytest.mark.parametrize("pieces", [(), (b"\x00\x00\x00\x00",), (b"\x01\x00\x00\x00\xc1",), (b"\x09",)])
def test_one_that_is_confused_or_goes_says_nothing(tmp_path: Path, pieces: tuple[bytes, ...]) -> None:
    with answering(tmp_path, *pieces):
        assert ask(tmp_path, Ping(1), 5) is None


def test_one_that_is_not_there_or_does_not_answer_is_waited_for_no_longer(tmp_path: Path) -> None:
    assert ask(tmp_path, Ping(1), 5) is None
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(tmp_path / SOCKET))
        listener.listen()
        began = time.monotonic()
        assert ask(tmp_path, Ping(1), 0.1) is None
        assert 0.09 < time.monotonic() - began < 2
