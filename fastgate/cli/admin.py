"""A small client of the admin API."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property, wraps
from pathlib import Path
from typing import IO, Any, Final, TypeVar

from fastgate.cli.exits import Failed, Unreachable
from fastgate.cli.options import STATE_DIR, option, state_dir_option

Function = TypeVar("Function", bound=Callable[..., Any])

ADMIN_URL: Final = "http://127.0.0.1:8081"


def admin_options(function: Function) -> Function:
    """``--admin-url``, ``--admin-token``, ``--state-dir``; the command gets an :class:`AdminClient` as ``client``."""

    @wraps(function)
    def run(*, admin_url: str, admin_token: str, state_dir: Path | None, **arguments: Any) -> Any:
        return function(client=AdminClient(admin_url, admin_token, state_dir or Path(STATE_DIR)), **arguments)

    decorators = (
        option(
            "--admin-url",
            default="",
            show_default=f"that of the fastgate with this state folder, else {ADMIN_URL}",
            help="Where the admin API is.",
        ),
        option(
            "--admin-token",
            default="",
            show_default="the one kept in the state folder",
            help="Bearer token of the admin API.",
        ),
        state_dir_option(),
    )
    for decorator in reversed(decorators):
        run = decorator(run)
    return run  # type: ignore[return-value]


class AdminClient:
    """Asks the control plane of a running fastgate.

    ``url`` and ``token`` are used when given, else what the state folder says.
    """

    def __init__(self, url: str, token: str, state_dir: Path) -> None:
        self.state_dir = state_dir
        self._given = (url, token)

    @property
    def is_elsewhere(self) -> bool:
        """Whether it was told where to ask: that need not be the fastgate with this state folder."""
        return bool(self._given[0])

    @cached_property
    def _url(self) -> str:
        return (self._given[0] or _kept_url(self.state_dir)).rstrip("/")

    @cached_property
    def _token(self) -> str:
        return self._given[1] or _kept_token(self.state_dir)

    def get(self, path: str, parameters: Mapping[str, str | Sequence[str]]) -> Any:
        """The JSON document under ``/api/v1``; raises as :meth:`send` does."""
        return self.send("GET", path, parameters=parameters)

    def all(self, path: str, parameters: Mapping[str, str]) -> list[dict[str, Any]]:
        """Every item of a collection, page by page."""
        items: list[dict[str, Any]] = []
        asked = {"limit": "1000", **parameters}
        while True:
            page = self.get(path, asked)
            items += page["items"]
            if page["next"] is None:
                return items
            asked["cursor"] = page["next"]

    def send(
        self,
        method: str,
        path: str,
        document: Mapping[str, Any] | None = None,
        *,
        parameters: Mapping[str, str | Sequence[str]] | None = None,
    ) -> Any:
        """The document that a request is answered with.

        Raises:
            Unreachable: nothing answers there, or not within 60 s.
            Failed: it answered with an error; the message is the answer's own.

        """
        with self._asked(method, path, params=dict(parameters or {}), json=document) as answer:
            return json.loads(answer.read())

    def download(self, path: str, file: IO[bytes]) -> None:
        """Writes what a POST is answered with into ``file``. Raises as :meth:`send` does, but waits for an hour."""
        with self._asked("POST", path, seconds=3600) as answer:
            for block in answer.iter_bytes():
                file.write(block)

    @contextmanager
    def _asked(self, method: str, path: str, *, seconds: float = 60, **request: Any) -> Iterator[Any]:
        """The answer to a request, with its head read; only one that is a success."""
        import httpx

        headers = {"authorization": f"Bearer {self._token}"}
        limits = httpx.Timeout(60, read=seconds)
        try:
            with (
                httpx.Client(trust_env=False, timeout=limits, headers=headers) as client,
                client.stream(method, f"{self._url}/api/v1/{path}", **request) as answer,
            ):
                if not answer.is_success:
                    answer.read()
                    raise Failed(f"the admin API answered {answer.status_code}: {_detail(answer)}")
                yield answer
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Unreachable(
                f"the admin API at {self._url} does not answer ({error}): is `fastgate serve` running?"
            ) from error


def _kept_url(state_dir: Path) -> str:
    """Where the fastgate with this state folder said that its admin API is."""
    try:
        document = json.loads((state_dir / "supervisor.json").read_bytes())
        return str(document["admin"])
    except (OSError, ValueError, TypeError, KeyError):
        return ADMIN_URL


def _kept_token(state_dir: Path) -> str:
    path = state_dir / "admin-token"
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise Unreachable(
            f"no admin token: {path} cannot be read ({error.strerror}); give --admin-token or the --state-dir of the "
            "running fastgate"
        ) from error


def _detail(answer: Any) -> str:
    try:
        problem = answer.json()
    except ValueError:
        return str(answer.text[:200])
    return str(problem.get("detail") or problem.get("title") or problem)
