"""A real PostgreSQL of the tests' own, which can be stopped, killed and started, with a database for each test."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import psycopg

from tests.support.certificates import Pair
from tests.support.house import free_port, wait_for

PASSWORD: Final = "hidden/by:gate"
_WRITTEN: Final = "hidden%2Fby%3Agate"
_SETTINGS: Final = {
    "listen_addresses": "127.0.0.1",
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "16MB",
    "max_connections": "50",
    "timezone": "Asia/Kolkata",  # of the server: nothing may depend on it
}


class PostgresServer:
    """``with PostgresServer() as server``: on a port of the loopback interface and on a Unix socket.

    ``tls``: its certificate, for clients that want one. Its user ``gate`` needs a password by TCP. Where this process
    is root it runs as ``postgres``.
    """

    def __init__(self, tls: Pair | None = None) -> None:
        self.port = free_port()
        self._place = tempfile.TemporaryDirectory(prefix="fg-postgres-")
        self.socket = self._place.name
        self._data = Path(self._place.name, "data")
        self._log = Path(self._place.name, "log")
        self._user = "postgres" if os.geteuid() == 0 else None
        self._process: subprocess.Popen[bytes] | None = None
        self._databases = 0
        self._tls = tls

    def __enter__(self) -> Self:
        if self._user is not None:
            os.chown(self._place.name, pwd.getpwnam(self._user).pw_uid, -1)
        secret = Path(self._place.name, "password")
        secret.write_text(PASSWORD)
        secret.chmod(0o644)  # in a folder of its user alone
        self._run("initdb", "-D", self._data, "-U", "gate", "-A", "scram-sha-256", "--auth-local", "trust",
                  "--pwfile", secret, "--no-sync", "-E", "UTF8", "--locale", "C").wait()  # fmt: skip
        if self._tls is not None:
            self._keep_pair(self._tls)
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self.kill()
        self._place.cleanup()

    def fresh(self) -> str:
        """The name of a new database."""
        self._databases += 1
        name = f"test{self._databases}"
        with self.client("postgres") as client:
            client.execute(f"CREATE DATABASE {name}".encode())
        return name

    def url(self, database: str) -> str:
        """What a configuration calls it."""
        return f"postgresql://gate:{_WRITTEN}@127.0.0.1:{self.port}/{database}"

    def client(self, database: str) -> psycopg.Connection[tuple[Any, ...]]:
        """By its socket, without a transaction."""
        return psycopg.connect(host=self.socket, port=self.port, user="gate", dbname=database, autocommit=True)

    def start(self) -> None:
        """Run; returns when it answers."""
        said = [each for name, value in _SETTINGS.items() for each in ("-c", f"{name}={value}")]
        self._process = self._run("postgres", "-D", self._data, "-p", self.port, "-k", self.socket, *said)
        wait_for(self._answers, 20, "PostgreSQL answers")

    def stop(self) -> None:
        """As whoever looks after it does: sessions are ended."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """As if its machine had gone."""
        self._end(signal.SIGQUIT)

    @contextmanager
    def away(self) -> Iterator[None]:
        """Stopped, and back at the end."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        assert process is not None
        process.send_signal(how)
        process.wait(20)

    def _keep_pair(self, tls: Pair) -> None:
        """The key has to be its user's alone."""
        for source, name in ((tls.cert, "server.crt"), (tls.key, "server.key")):
            target = self._data / name
            target.write_bytes(source.read_bytes())
            target.chmod(0o600)
            if self._user is not None:
                shutil.chown(target, self._user)
        with (self._data / "postgresql.conf").open("a") as settings:
            settings.write("ssl = on\n")

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self._log.read_text()
        with suppress(psycopg.Error), self.client("postgres"):
            return True
        return False

    def _run(self, program: str, *arguments: object) -> subprocess.Popen[bytes]:
        folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
        path = os.pathsep.join([*map(str, folders), os.environ.get("PATH", os.defpath)])
        found = shutil.which(program, path=path)
        assert found is not None, f"{program} is not installed: .ci/packages tests"
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [found, *map(str, arguments)], stdout=log, stderr=log, cwd="/", user=self._user, group=self._user
            )
