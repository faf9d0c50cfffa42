"""Control processes, without workers, that share one database."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import httpx

from tests.support.control_host import CONFIG, ControlHost
from tests.support.postgres import PostgresServer

KEY: Final = "5e" * 32
"""To the secrets of all of them: in ``FASTGATE_STATE_KEY``, which tests set."""


class Hosts:
    """As many control processes as are asked for, on one database."""

    def __init__(self, folder: Path, postgres: PostgresServer, stack: ExitStack) -> None:
        self.postgres, self.database = postgres, postgres.fresh()
        self._folder, self._stack = folder, stack
        self._count = 0

    @property
    def shared(self) -> str:
        return f"{CONFIG}postgres: {{url: '{self.postgres.url(self.database)}'}}\n"

    def host(self, config: str | None = None) -> ControlHost:
        self._count += 1
        folder = self._folder / str(self._count)
        folder.mkdir()
        host = ControlHost(folder, self.shared if config is None else config)
        self._stack.callback(host.close)
        return host

    def pair(self) -> tuple[ControlHost, ControlHost]:
        return self.host(), self.host()


def create(host: ControlHost, collection: str, **values: Any) -> httpx.Response:
    return host.client.post(f"/api/v1/{collection}", json=values)


def has(host: ControlHost, path: str) -> Any:
    answer = host.client.get(f"/api/v1/{path}")
    return answer.json() if answer.status_code == 200 else None


def standing(host: ControlHost) -> dict[str, Any]:
    found: dict[str, Any] = host.get("status")["shared_configuration"]
    return found
