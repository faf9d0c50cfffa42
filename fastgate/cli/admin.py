"""A small client of the admin API."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from fastgate.cli.exits import Failed, Unreachable

ADMIN_URL: Final = "http://127.0.0.1:8081"


class AdminClient:
    """Asks the control plane of a running fastgate.

    ``url`` and ``token`` are used when given, else what the state folder says.
    """

    def __init__(self, url: str, token: str, state_dir: Path) -> None:
        self._url = (url or _kept_url(state_dir)).rstrip("/")
        self._token = token or _kept_token(state_dir)

    def get(self, path: str, parameters: Mapping[str, str | Sequence[str]]) -> Any:
        """The JSON document under ``/api/v1``.

        Raises:
            Unreachable: nothing answers there, or not within 60 s.
            Failed: it answered with an error; the message is the answer's own.

        """
        import httpx

        try:
            answer = httpx.get(
                f"{self._url}/api/v1/{path}",
                params=dict(parameters),
                headers={"authorization": f"Bearer {self._token}"},
                timeout=60,
                trust_env=False,
            )
        except httpx.HTTPError as error:
            raise Unreachable(
                f"the admin API at {self._url} does not answer ({error}): is `fastgate serve` running?"
            ) from error
        if answer.is_success:
            return answer.json()
        raise Failed(f"the admin API answered {answer.status_code}: {_detail(answer)}")


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
