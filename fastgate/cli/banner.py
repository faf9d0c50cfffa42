"""The first screen of `serve` and `demo`: at most fifteen lines, a curl that works as it stands among them.

Secrets appear on a terminal only; anywhere else the screen names the 0600 file that holds them.
"""

import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fastgate.version import __version__

LINES = 15
PROBE_SECONDS = 1.0

FIRST_MODELS = {"sim": "sim-small", "openai": "gpt-5-nano", "anthropic": "claude-haiku-4-5"}
"""A small model of each provider type that has known ones, for the curl."""


@dataclass(frozen=True)
class ProviderLine:
    """A provider as the screen shows it. ``url`` None: known but not usable by this version."""

    name: str
    type: str
    where: str
    url: str | None


@dataclass(frozen=True)
class Access:
    """What the curl calls with: a key's ``secret``, the 0600 file that holds it, and a ``model`` that the key may use.

    ``secret`` None: only its digest is configured, so the curl names a variable that the operator fills in.
    """

    secret: str | None
    secret_file: Path
    model: str
    anthropic: bool


@dataclass(frozen=True)
class Screen:
    """Everything that the first screen says."""

    source: str
    workers: int
    api_url: str
    admin_url: str
    link_token: str
    """Opens the dashboard once."""
    state_dir: Path
    providers: Sequence[ProviderLine]
    access: Access | None
    token_configured: bool = False
    """The admin token is the configuration's, and in no file of ours."""

    def lines(self, terminal: bool) -> list[str]:
        """The screen's lines; ``terminal`` decides whether secrets may be among them."""
        link = f"?token={self.link_token}" if terminal else f"   one-time token in {self.state_dir / 'dashboard-token'}"
        workers = f"{self.workers} worker{'s' if self.workers != 1 else ''}"
        head = [f"fastgate {__version__} · {workers} · configuration: {self.source}"]
        tail = [
            f"  API          {self.api_url}",
            f"  dashboard    {self.admin_url}/{link}",
            f"  admin token  in {'the configuration' if self.token_configured else self.state_dir / 'admin-token'}",
            *self._call(terminal),
        ]
        return head + _provider_lines(self.providers, LINES - len(head) - len(tail)) + tail

    def facts(self) -> dict[str, Any]:
        """What the screen says, for a log that machines read: no secret, and no curl."""
        states = _states(self.providers)
        return {
            "version": __version__,
            "workers": self.workers,
            "configuration": self.source,
            "api": self.api_url,
            "admin": self.admin_url,
            "providers": [
                {"name": one.name, "type": one.type, "found": one.where, "state": state}
                for one, state in zip(self.providers, states, strict=True)
            ],
        }

    def _call(self, terminal: bool) -> list[str]:
        if self.access is None:
            return []
        lines = ["", curl(self.api_url, self.access, terminal)]
        if not terminal and self.access.secret is not None:
            lines.insert(0, f"  virtual key  in {self.access.secret_file}")
        return lines


def curl(api_url: str, access: Access, terminal: bool) -> str:
    """A command line that asks one question and shows the answer with its headers, cost included."""
    shown = access.secret if terminal else f"$(cat {access.secret_file})"
    key = "$FASTGATE_KEY" if access.secret is None else shown
    path, extra = ("v1/messages", '"max_tokens":64,') if access.anthropic else ("v1/chat/completions", "")
    body = f'{{"model":"{access.model}",{extra}"messages":[{{"role":"user","content":"Hello"}}]}}'
    # The address is this host's own, and seldom the name that a certificate is for.
    unverified = " -k" if api_url.startswith("https:") else ""
    return (
        f'curl -sS -i{unverified} {api_url}/{path} -H "authorization: Bearer {key}" '
        f"-H 'content-type: application/json' -d '{body}'"
    )


def _provider_lines(providers: Sequence[ProviderLine], room: int) -> list[str]:
    lines = [_provider_line(*pair) for pair in zip(providers, _states(providers), strict=True)]
    if len(lines) > room:
        lines = [*lines[: room - 1], f"  and {len(lines) - room + 1} more providers"]
    return lines


def _states(providers: Sequence[ProviderLine]) -> list[str]:
    """Whether each can be used, asked of all at once."""
    with ThreadPoolExecutor(max_workers=16) as pool:
        return list(pool.map(lambda one: "not supported yet" if one.url is None else reachability(one.url), providers))


def _provider_line(provider: ProviderLine, state: str) -> str:
    kind = "" if provider.type == provider.name else f" ({provider.type})"
    return f"  {'provider':<12} {provider.name}{kind} · {provider.where} · {state}"


def reachability(url: str) -> str:
    """``reachable`` when something accepts connections there, else why not; nothing is sent."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        with socket.create_connection((parts.hostname or "", port), PROBE_SECONDS):
            return "reachable"
    except TimeoutError:
        return "not reachable (timed out)"
    except OSError as error:
        return f"not reachable ({error.strerror or error})"
