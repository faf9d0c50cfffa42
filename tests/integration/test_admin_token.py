"""The admin token where the configuration says it: in no file of ours, and commands on the same host find it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.house import House

TOKEN = "a-token-of-the-configuration"


def printed(house: House, **environment: str) -> subprocess.CompletedProcess[str]:
    """`fastgate keys list` of an operator who knows the state folder alone."""
    command = [sys.executable, "-m", "fastgate.cli.main", "keys", "list", "--state-dir", str(house.state_dir)]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=house.folder, env={**os.environ, **environment}
    )


@pytest.mark.parametrize("said", [TOKEN, "${TOKEN_OF_OURS}", None], ids=["in the file", "by reference", "by default"])
def test_a_configured_token_is_not_written_down(tmp_path: Path, said: str | None) -> None:
    variable = {"TOKEN_OF_OURS": TOKEN} if said else {"FASTGATE_ADMIN_TOKEN": TOKEN}
    house = House(tmp_path, {"admin": {"token": said}} if said else {}, workers=1, environment=variable)
    house.state_dir.mkdir(mode=0o700)
    (house.state_dir / "admin-token").write_text("one-of-before\n")
    with house:
        assert not (house.state_dir / "admin-token").exists()
        done = printed(house, **variable)
        assert (done.returncode, done.stderr) == (0, "")
        if said and said.startswith("$"):
            lost = printed(house)
            assert lost.returncode == 4
            assert "environment variable TOKEN_OF_OURS is not set" in lost.stderr
    for path in house.state_dir.rglob("*"):
        assert not path.is_file() or TOKEN.encode() not in path.read_bytes(), path
