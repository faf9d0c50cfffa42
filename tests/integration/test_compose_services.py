"""The compose file's Redis, by its own command, settings and health check; a host with the configuration beside it."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.support.house import House, free_port, wait_for
from tests.support.manifests import PACKAGING, with_secrets_in
from tests.support.shared_hosts import known

COMPOSE = PACKAGING / "compose"
QUESTION = {"model": "sim/sim-small", "messages": [{"role": "user", "content": "hello"}]}


def here(text: str, folder: Path, port: int) -> str:
    """What stands in the compose file, as it is on this machine."""
    told = {"$$": "$", "/run/secrets": str(folder), "/etc/redis.conf": str(folder / "redis.conf"), "/data": str(folder)}
    told |= {"redis-cli ": f"redis-cli -p {port} ", "bind * -::*": f"bind 127.0.0.1\nport {port}"}
    for written, meant in told.items():
        text = text.replace(written, meant)
    return text


@contextmanager
def redis(folder: Path, port: int) -> Iterator[None]:
    service: dict[str, Any] = yaml.safe_load((COMPOSE / "compose.yaml").read_text())["services"]["redis"]
    (folder / "redis.conf").write_text(here((COMPOSE / "redis.conf").read_text(), folder, port))
    command = [here(word, folder, port) for word in service["command"]]
    _, check = service["healthcheck"]["test"]
    with (folder / "redis.log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            healthy = here(check, folder, port)
            wait_for(lambda: subprocess.run(["sh", "-c", healthy], check=False).returncode == 0, 20, "it is healthy")
            assert Path(f"/proc/{process.pid}/comm").read_text() == "redis-server\n", "it gets the signals itself"
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(20)


def settings(folder: Path, port: int) -> dict[str, Any]:
    text, names = with_secrets_in((COMPOSE / "fastgate.yaml").read_text(), "/run/secrets", folder)
    for name in names:
        text = text.replace(f"${{file:{folder}/{name}}}", (folder / name).read_text().strip())
    found: dict[str, Any] = yaml.safe_load(text.replace("@redis:6379", f"@127.0.0.1:{port}"))
    del found["providers"]  # the simulator is
    found["server"]["drain_delay_seconds"] = 0
    return found


def test_a_host_of_the_compose_file_leases_from_its_redis(tmp_path: Path) -> None:
    secrets, port = tmp_path / "secrets", free_port()
    secrets.mkdir()
    said = settings(secrets, port)
    [key] = said["keys"]
    with redis(secrets, port), House(tmp_path, said, workers=1) as house:
        wait_for(lambda: known(house) == 1, 20, "the store, which is empty, has learned who there is")
        headers = {"authorization": f"Bearer {key['secret']}"}
        answer = httpx.post(f"{house.openai_url}/chat/completions", json=QUESTION, headers=headers, trust_env=False)
        assert answer.status_code == 200, answer.text
        leases = house.admin("status")["leases"]
        assert (leases["error"], leases["hosts"], leases["windows"]) == (None, 1, 1)
        assert house.stop() == 0
    assert any(os.path.getsize(file) for file in secrets.glob("appendonlydir/*.incr.aof")), "it is kept"
