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
