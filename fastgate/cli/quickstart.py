"""The configuration of a `fastgate serve` that was given none: provider keys found in the environment.

It is written into the state folder as an ordinary configuration file, so that everything after this point, reload
included, knows one kind of configuration only. Secrets stay where they were: the file refers to the variables.
"""

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fastgate.supervisor.folders import keep_secret
from fastgate.wire.whole_files import replace

KEY_FILE = "quickstart-key"
OLLAMA = ("127.0.0.1", 11434)
PROBE_SECONDS = 0.3

SUPPORTED = {"OPENAI_API_KEY": "openai", "ANTHROPIC_API_KEY": "anthropic"}

LATER = {
    "GEMINI_API_KEY": "gemini",
    "GOOGLE_API_KEY": "gemini",
    "AWS_ACCESS_KEY_ID": "bedrock",
    "AZURE_OPENAI_API_KEY": "azure",
    "GROQ_API_KEY": "groq",
    "MISTRAL_API_KEY": "mistral",
    "COHERE_API_KEY": "cohere",
    "DEEPSEEK_API_KEY": "deepseek",
    "XAI_API_KEY": "xai",
    "OPENROUTER_API_KEY": "openrouter",
    "TOGETHER_API_KEY": "together",
    "FIREWORKS_API_KEY": "fireworks",
}


@dataclass(frozen=True)
class Found:
    """A provider that the environment offers; ``where`` is the variable or address. ``supported`` False: named, not
    used.
    """

    provider: str
    where: str
    supported: bool = True


def find_providers(environment: Mapping[str, str]) -> list[Found]:
    """Provider keys in the environment and a local Ollama, those that this version can use first."""
    found = [Found(kind, name) for name, kind in SUPPORTED.items() if environment.get(name)]
    if _answers(*OLLAMA):
        found.append(Found("ollama", f"http://{OLLAMA[0]}:{OLLAMA[1]}"))
    later: dict[str, str] = {}
    for name, kind in LATER.items():
        if environment.get(name):
            later.setdefault(kind, name)
    return found + [Found(kind, name, supported=False) for kind, name in later.items()]


def write(state_dir: Path, found: list[Found], simulator_port: int | None) -> Path:
    """Writes the configuration and the quick-start key (each 0600); returns the configuration's path.

    ``simulator_port`` adds the provider ``sim``. The key survives restarts.
    """
    keep_secret(state_dir / KEY_FILE, prefix="sk-fg-")
    lines = [
        "# Written by `fastgate serve` at each start without a configuration; edits are lost.",
        "# `fastgate config init` writes one to keep.",
        "providers:",
    ]
    for one in found:
        if one.supported:
            lines += _provider(one)
    if simulator_port is not None:
        lines += _simulator(simulator_port)
    lines += [
        "teams:",
        "  - {id: quickstart}",
        "keys:",
        f'  - {{id: quickstart, team: quickstart, secret: "${{file:{KEY_FILE}}}"}}',  # beside the file
    ]
    path = state_dir / "quickstart.yaml"
    replace(path, "".join(f"{line}\n" for line in lines).encode(), private=True)
    return path


def simulator_url(port: int) -> str:
    """Where the simulator answers."""
    return f"http://127.0.0.1:{port}"


def free_port(preferred: int) -> int:
    """``preferred`` when nothing listens there, else a free port; the simulator's address is ours to choose."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    return preferred


def _provider(found: Found) -> list[str]:
    if found.provider == "ollama":
        return [
            "  ollama:",
            "    type: openai-compatible",
            f"    base_url: {found.where}/v1",
            "    keys: [{name: none, value: none}]",
        ]
    return [
        f"  {found.provider}:",
        f"    type: {found.provider}",
        f'    keys: [{{name: environment, value: "${{{found.where}}}"}}]',
    ]


def _simulator(port: int) -> list[str]:
    return [
        "  sim:",
        "    type: sim",
        f"    base_url: {simulator_url(port)}",
        "    keys: [{name: sim, value: sim}]",
    ]


def _answers(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), PROBE_SECONDS):
            return True
    except OSError:
        return False
