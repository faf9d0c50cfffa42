"""The health check of a container, against a gateway that serves, hangs, and is gone."""

import os
import subprocess
import sys
from pathlib import Path

from tests.support.house import House, key

PROBE = (sys.executable, "-P", "-m", "fastgate.supervisor.probe")


def probe(state_dir: Path) -> tuple[int, str]:
    environment = {**os.environ, "FASTGATE_STATE_DIR": str(state_dir), "http_proxy": "http://127.0.0.1:1"}
    ended = subprocess.run(PROBE, env=environment, capture_output=True, text=True, check=False)
    return ended.returncode, ended.stdout + ended.stderr


def test_a_gateway_is_healthy_as_long_as_it_answers(tmp_path: Path) -> None:
    with House(tmp_path, {"teams": [{"id": "t"}], "keys": [key("one", team="t")]}, workers=1) as house:
        assert probe(house.state_dir) == (0, "")
        house.pause("worker")
        code, said = probe(house.state_dir)
        assert code == 1
        assert "timed out" in said
        house.kill_everything()
        code, said = probe(house.state_dir)
        assert code == 1
        assert "Connection refused" in said


def test_where_nothing_ever_ran_the_folder_is_named(tmp_path: Path) -> None:
    code, said = probe(tmp_path)
    assert code == 1
    assert str(tmp_path) in said
    assert len(said.splitlines()) == 1
