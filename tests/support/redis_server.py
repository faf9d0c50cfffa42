"""A real Redis of a test's own, which can be stopped, made to hang, emptied and started again."""

import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.support.certificates import Pair
from tests.support.house import free_port, wait_for


def redis_program() -> str:
    """Which can be a sentinel, too."""
    program = shutil.which("redis-server", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")
    assert program is not None, "redis-server is not installed: .ci/packages tests"
    return program


class RedisServer:
    """``with RedisServer(folder) as server``: on a port of the loopback interface and on a Unix socket, without a disk.

    ``tls``: its certificate; then there is no port without TLS. ``password``: of the user ``default``. ``more``:
    settings. It may rewrite all of them itself, and finds them again when it is started again.
    """

    def __init__(
        self,
        folder: Path,
        *,
        tls: Pair | None = None,
        password: str = "",
        more: Mapping[str, str] | None = None,
    ) -> None:
        self.port = free_port()
        self._place = tempfile.TemporaryDirectory(prefix="fg-redis-")  # a socket's path has to be short
        self.socket = f"{self._place.name}/s"
        self._password = password
        self._log = folder / "redis.log"
        said = {
            "bind": "127.0.0.1",
            "port": "0" if tls else str(self.port),
            "unixsocket": self.socket,
            "save": "",
            "appendonly": "no",
            "dir": str(folder),
        }
        if tls is not None:
            said |= {"tls-port": str(self.port), "tls-cert-file": str(tls.cert), "tls-key-file": str(tls.key)}
            said |= {"tls-auth-clients": "no"}
        if password:
            said["requirepass"] = password
        said |= more or {}
        self._settings = Path(self._place.name) / "conf"
        self._settings.write_text("".join(f"{name} {value or json.dumps(value)}\n" for name, value in said.items()))
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.runs:
            self.kill()
        self._place.cleanup()

    @property
    def runs(self) -> bool:
        """Whether it was started, and not killed since."""
        return self._process is not None

    @property
    def url(self) -> str:
        """What a configuration calls it."""
        return f"redis://:{self._password}@127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Run; returns when it answers."""
        program = redis_program()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen([program, str(self._settings)], stdout=log, stderr=log)
        wait_for(self._answers, 20, "Redis answers")

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self._log.read_text()
        with suppress(redis.RedisError), self.client() as client:
            return bool(client.ping())
        return False

    def client(self, **more: Any) -> "redis.Redis":
        """By its socket, whatever clients of the port need."""
        once = Retry(NoBackoff(), 0)
        password = self._password or None
        return redis.Redis(unix_socket_path=self.socket, password=password, protocol=2, retry=once, **more)

    def kill(self) -> None:
        """As if its machine had gone; also where it hangs."""
        process, self._process = self._process, None
        assert process is not None
        process.kill()
        process.wait()

    def hang(self) -> None:
        """It accepts connections, or the kernel does, and says nothing."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """After it has hung."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGCONT)
