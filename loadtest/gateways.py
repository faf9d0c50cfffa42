"""Other gateways, each as its own documents have it for production: one process that serves, on the subject's core.

They relay what all subjects are sent to the upstreams of all. ``.ci/rivals`` installs them.
"""

import json
import os
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from loadtest import nginx, streamed
from loadtest.errors import RigError
from loadtest.figures import LITELLM, PORTKEY
from loadtest.house import CONSTANT, KEY, SOURCE
from loadtest.machine import ROOT, first_line, packages
from loadtest.programs import free_port, until
from loadtest.stage import Stage, Subject

FOLDER: Final = ROOT / ".venv" / "rivals"
START_SECONDS: Final = 120.0
"""LiteLLM imports for many seconds."""
_MODULES: Final = FOLDER / "portkey" / "node_modules"
_PORTKEY: Final = "@portkey-ai/gateway"
_PYTHON: Final = FOLDER / "litellm" / "bin" / "python"


def portkey(stage: Stage) -> tuple[Subject, Subject]:
    """Portkey's gateway, for whole answers and for streams: which upstream is meant is said by each request."""
    script, port = _installed(_MODULES / _PORTKEY / "build" / "start-server.js"), free_port()
    pid = stage.programs.start(
        "portkey",
        ["node", str(script), "--headless", f"--port={port}"],
        stage.cores.subject,
        port=port,
        environment=_environment(stage, NODE_ENV="production", TRUSTED_CUSTOM_HOSTS="127.0.0.1"),
    )
    described = ", ".join([*map(_module, (_PORTKEY, "@hono/node-server")), f"Node {first_line(['node', '--version'])}"])

    def subject(upstream: int, process: Mapping[str, int]) -> Subject:
        headers = portkey_headers(upstream)
        return Subject(PORTKEY, port, {"subject": pid, **process}, headers=headers, rewrites=True, version=described)

    return subject(stage.upstream.port, stage.constant), subject(stage.source_port, stage.streaming)


def portkey_headers(upstream: int) -> dict[str, str]:
    """What has its gateway relay a request to a port, as to OpenAI."""
    return {"x-portkey-provider": "openai", "x-portkey-custom-host": f"http://127.0.0.1:{upstream}/v1"}


def litellm(stage: Stage) -> tuple[Subject, Subject]:
    """LiteLLM's proxy with one worker, on the server that its documents have for more throughput."""
    python, port = _installed(_PYTHON), free_port()
    path = stage.programs.folder / "litellm.yaml"
    path.write_text(json.dumps(litellm_configuration(stage.upstream.port, stage.source_port)))  # JSON is YAML
    listen = ["--host", "127.0.0.1", "--port", str(port), "--num_workers", "1", "--run_granian"]
    parent = stage.programs.start(
        "litellm",
        [str(python.with_name("litellm")), "--config", str(path), *listen],
        stage.cores.subject,
        environment=_environment(
            stage,
            LITELLM_MASTER_KEY=KEY,
            LITELLM_MODE="PRODUCTION",
            LITELLM_LOG="ERROR",
            LITELLM_LOCAL_MODEL_COST_MAP="True",
        ),
    )

    def serves() -> bool:
        stage.programs.check()
        with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/health/liveliness", timeout=5):
            return True
        return False

    until(serves, "LiteLLM serves", START_SECONDS)
    pids = {"subject": _only_child(parent), "parent": parent}
    described = packages(python, "litellm", "granian", "uvloop")
    return (
        Subject(LITELLM, port, {**pids, **stage.constant}, rewrites=True, version=described),
        Subject(LITELLM, port, {**pids, **stage.streaming}, rewrites=True, version=described),
    )


def litellm_configuration(constant: int, streaming: int) -> dict[str, Any]:
    """Both upstreams by the names that all clients use; no database, no callbacks, no retries."""
    ports = {(CONSTANT, nginx.MODEL): constant, (SOURCE, streamed.MODEL): streaming}
    models = [
        {
            "model_name": f"{provider}/{model}",
            "litellm_params": {
                "model": f"openai/{model}",
                "api_base": f"http://127.0.0.1:{port}/v1",
                "api_key": "upstream-secret",
            },
        }
        for (provider, model), port in ports.items()
    ]
    settings = {"set_verbose": False, "json_logs": True, "request_timeout": 600, "num_retries": 0, "callbacks": []}
    return {"model_list": models, "litellm_settings": settings}


def _installed(path: Path) -> Path:
    if not path.exists():
        raise RigError(f"{path} is not there: `make bench-rivals` installs it")
    return path


def _module(name: str) -> str:
    """A package of npm's with its version."""
    return f"{name} {json.loads((_MODULES / name / 'package.json').read_text())['version']}"


def _environment(stage: Stage, **settings: str) -> dict[str, str]:
    """Nothing of the caller's but where programs are: neither its proxies nor its providers' keys."""
    return {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(stage.programs.folder), **settings}


def _only_child(pid: int) -> int:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    if len(children) != 1:
        raise RigError(f"process {pid} was to have one worker, it has {len(children)} children")
    return int(children[0])
