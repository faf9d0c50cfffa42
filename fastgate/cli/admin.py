"""A small client of the admin API."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fastgate.cli.exits import Failed, Unreachable


class AdminClient:
    """Asks the control plane of a running fastgate.

    The token is ``token`` when given, else what the state folder keeps.
    """

    def __init__(self, url: str, token: str, state_dir: Path) -> None:
        self._url = url.rstrip("/")
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
