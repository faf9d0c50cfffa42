"""A small client of the admin API."""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property, wraps
from pathlib import Path
from typing import IO, Any, Final, TypeVar

import click

from fastgate.cli.exits import Failed, Unreachable
from fastgate.cli.options import STATE_DIR, option, state_dir_option

Function = TypeVar("Function", bound=Callable[..., Any])

ADMIN_URL: Final = "http://127.0.0.1:8081"


def admin_options(function: Function) -> Function:
    """``--admin-url``, ``--admin-token``, ``--state-dir``; the command gets an :class:`AdminClient` as ``client``."""

    @wraps(function)
    def run(*, admin_url: str, admin_token: str, state_dir: Path | None, **arguments: Any) -> Any:
        client = AdminClient(admin_url, admin_token, state_dir or Path(STATE_DIR))
        try:
            return function(client=client, **arguments)
        except UnicodeEncodeError as error:  # bytes of the command line that are no text, in what is sent
            part = error.object[error.start : error.end]
            raise click.UsageError(f"{part!a} in an argument is not text in UTF-8: nothing was asked") from None

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
            show_default="that of the configuration which is served, else the one kept in the state folder",
            help="Bearer token of the admin API. On a command line it shows in `ps`: the variable does not.",
        ),
        state_dir_option(),
    )
    for decorator in reversed(decorators):
        run = decorator(run)
    return run  # type: ignore[return-value]


class AdminClient:
    """Asks the control plane of a running fastgate.

    ``url`` and ``token`` are used when given, else what the state folder and the configuration served from it say.
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
        return (self._given[0] or _said(self.state_dir, "admin") or ADMIN_URL).rstrip("/")

    @cached_property
    def _token(self) -> str:
        token = self._given[1] or _kept_token(self.state_dir)
        if not (token.isascii() and token.isprintable()):
            raise Failed("the admin token has characters that no header may have: only visible ASCII can be one")
        return token

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
        """The document that a request is answered with; None where the answer is empty.

        Raises:
            Unreachable: nothing answers there, or not within 60 s.
            Failed: it answered with an error; the message is the answer's own.

        """
        with self._asked(method, path, params=dict(parameters or {}), json=document) as answer:
            said = answer.read()
            return json.loads(said) if said else None

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


def _said(state_dir: Path, name: str) -> str | None:
    """What the fastgate with this state folder said of itself; None: none ever ran there."""
    try:
        return str(json.loads((state_dir / "supervisor.json").read_bytes())[name])
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _kept_token(state_dir: Path) -> str:
    """The token that the configuration says, else the one that the state folder keeps."""
    from fastgate.config.documents import admin_token
    from fastgate.config.problems import ConfigErrors
    from fastgate.config.variables import VariableError

    config, path, unknown = _said(state_dir, "config"), state_dir / "admin-token", ""
    try:
        if config is not None and (token := admin_token(Path(config), os.environ)):
            return token
    except (ConfigErrors, VariableError) as error:
        unknown = f"admin.token of {config}: {error}"
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = unknown or f"{path} cannot be read ({getattr(error, 'strerror', 'it is not text')})"
        raise Unreachable(
            f"no admin token: {why}; set FASTGATE_ADMIN_TOKEN or give the --state-dir of the running fastgate"
        ) from error


def _detail(answer: Any) -> str:
    """What an error says of itself, and what it advises."""
    try:
        problem = answer.json()
    except ValueError:
        return str(answer.text[:200])
    detail = str(problem.get("detail") or problem.get("title") or problem)
    hints = dict.fromkeys(each["hint"] for each in problem.get("problems", ()) if each.get("hint"))
    return f"{detail} ({'; '.join(hints)})" if hints else detail
