"""What a reload brings into force, what it leaves to a restart, and that each is told from the other."""

import json
import signal
from pathlib import Path
from typing import Any

import httpx

from tests.support.house import House, key, secret, wait_for

SETTINGS: dict[str, Any] = {"keys": [key("one")]}


def restart_needed(house: House, **changed: Any) -> list[str]:
    """What a reload with these settings says."""
    house.write_config({**house.settings, **changed})
    said: list[str] = house.admin("config/reload", "POST")["restart_needed"]
    assert house.admin("status")["config"]["restart_needed"] == said
    return said


def test_a_restart_is_needed_for_what_the_file_has_otherwise_than_what_runs(tmp_path: Path) -> None:
    with House(tmp_path, SETTINGS, workers=1) as house:
        fixed = {"logging": {"format": "json"}, "server": {"cors_origins": ["*"]}}
        assert restart_needed(house, **fixed) == ["logging.format", "server.cors_origins"]
        assert restart_needed(house, server={"drain_seconds": 7}) == []
        assert restart_needed(house, server={"port": 1, "workers": 7}) == [], "the command line has said these"
        assert restart_needed(house, **fixed) == ["logging.format", "server.cors_origins"]
        assert house.process is not None
        house.process.send_signal(signal.SIGUSR2)
        wait_for(lambda: "every process is renewed" in house.log.read_text(), 60, "everything is renewed")
        assert house.admin("status")["config"]["restart_needed"] == ["logging.format"]
        assert restart_needed(house) == ["server.cors_origins"]


def test_streams_have_the_time_to_end_that_the_last_reload_gave_them(tmp_path: Path) -> None:
    with House(tmp_path, {**SETTINGS, "server": {"drain_seconds": 1}}, workers=1) as house:
        house.write_config({**house.settings, "server": {"drain_seconds": 60}})
        house.admin("config/reload", "POST")
        script = json.dumps({"chunks": 60, "chunk_ms": 100})
        asked = {"model": "sim/sim-small", "stream": True, "messages": [{"role": "user", "content": f"sim: {script}"}]}
        headers = {"authorization": f"Bearer {secret('one')}"}
        with (
            httpx.Client(trust_env=False, timeout=30) as client,
            client.stream("POST", f"{house.openai_url}/chat/completions", json=asked, headers=headers) as answer,
        ):
            lines = answer.iter_lines()
            next(lines)
            assert house.process is not None
            house.process.send_signal(signal.SIGTERM)
            rest = [line for line in lines if line]
        assert rest[-1] == "data: [DONE]"
        assert house.stop() == 0
        assert "waiting up to 60 s" in house.log.read_text()


def test_what_was_replaced_leaves_the_memory_with_its_last_request(tmp_path: Path) -> None:
    """Nobody looks for circles in a worker: whatever refers to itself would stay, and take its snapshot along."""
    user = {"user": {"budgets": [{"limit_usd": "1", "window": "day"}]}}
    settings = {"keys": [key("one", trusted_identity=True, each=user)]}
    headers = {"authorization": f"Bearer {secret('one')}", "x-fastgate-user": "ann"}
    body = {"model": "sim/sim-small", "max_tokens": 40, "messages": [{"role": "user", "content": "sim: {}"}]}

    def replaced(worker: int) -> list[str]:
        return [line for line in Path(f"/proc/{worker}/maps").read_text().splitlines() if "snapshot.bin (del" in line]

    with House(tmp_path, settings, workers=1) as house, httpx.Client(trust_env=False, headers=headers) as client:
        [worker] = house.pids("worker")
        url = f"{house.openai_url}/chat/completions"
        for stream in (False, True):
            assert client.post(url, json={**body, "stream": stream}).status_code == 200
        with client.stream("POST", url, json={**body, "stream": True}) as left:
            assert left.status_code == 200
        house.settled()
        house.admin("config/reload", "POST")
        wait_for(lambda: not replaced(worker), 10, "the snapshot before is unmapped")
