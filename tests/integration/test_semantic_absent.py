"""An embedder that cannot be loaded: everything but the semantic cache serves, and whoever looks is told why."""

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.integration.test_semantic_cache import connected, metric, post, settings
from tests.support.house import House, wait_for
from tests.support.semantic import PREPARED

QUESTION = "What is the capital of Peru?"


def command(house: House, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "fastgate.cli.main", *arguments], cwd=house.folder, env=house.environment,
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def doctor(house: House) -> list[dict[str, str]]:
    """What it says of the semantic cache."""
    ports = ("--port", str(house.port), "--admin-port", str(house.admin_port))
    where = ("--config", str(house.config), "--state-dir", str(house.state_dir))
    found = json.loads(command(house, "doctor", "--json", *where, *ports).stdout)
    return [each for each in found if each["check"] == "semantic"]


def child(house: House, name: str) -> dict[str, Any]:
    children = json.loads((house.state_dir / "supervisor.json").read_text())["children"]
    return next(each for each in children if each["name"] == name)


def with_embedder(model: str, **embedder: Any) -> dict[str, Any]:
    found = settings()
    found["cache"]["semantic"]["embedder"] = {"type": "onnx", "model": model, **embedder}
    return found


def test_all_is_served_and_said_and_it_begins_once_the_model_is_there(tmp_path: Path) -> None:
    why = f"{tmp_path / 'embedder'} was not prepared"
    with House(tmp_path, with_embedder("./embedder"), workers=1) as house:
        for name in ("plain", "one", "both"):
            assert post(house, name, QUESTION).status == 200
        assert f"semantic does not serve ({why}" in house.log.read_text()
        said = child(house, "semantic")
        assert why in said["error"]
        told = {each["name"]: each["error"] for each in house.admin("status")["processes"]}
        assert why in told.pop("semantic")
        assert not any(told.values())
        assert metric(house, "fastgate_semantic_up") == 0
        [finding] = doctor(house)
        assert finding["level"] == "failed"
        assert why in finding["message"]
        assert "fastgate embedder prepare MODEL" in finding["message"]
        checked = command(house, "check", str(house.config))
        assert checked.returncode == 0, "the file may be checked on another machine"
        assert f"warning: cache.semantic.embedder: {why}" in checked.stderr

        shutil.copytree(PREPARED, tmp_path / "embedder")
        wait_for(lambda: child(house, "semantic")["state"] == "ready", 100, "it is tried again")
        assert child(house, "semantic")["error"] is None
        connected(house, 1)
        [finding] = doctor(house)
        assert finding["level"] == "ok"
        assert "warning" not in command(house, "check", str(house.config)).stderr


def test_a_reload_with_a_bad_embedder_leaves_the_one_that_runs(tmp_path: Path) -> None:
    with House(tmp_path, settings(), workers=1) as house:
        connected(house, 1)
        before = child(house, "semantic")
        house.write_config(with_embedder("./elsewhere"))
        assert house.admin("config/reload", "POST")["restart_needed"] == ["cache.semantic.embedder"]
        assert (
            f"the embedder that runs stays in force; of the file's: cache.semantic.embedder:"
            f" {tmp_path / 'elsewhere'} was not prepared"
        ) in house.log.read_text()
        assert child(house, "semantic") == before
        [finding] = doctor(house)
        assert "was not prepared" in finding["message"]
        assert post(house, "one", QUESTION).headers["x-fastgate-cache"] in ("miss", "semantic")


@pytest.mark.parametrize("model", ["{good}", "{bad}"])
def test_a_process_that_is_down_is_found_by_the_doctor(tmp_path: Path, model: str) -> None:
    """Where nothing is wrong with the files that the file names now, too."""
    good, bad = shutil.copytree(PREPARED, tmp_path / "good"), tmp_path / "bad"
    with House(tmp_path, with_embedder(str(bad)), workers=1) as house:
        house.write_config(with_embedder(model.format(good=good, bad=bad)))
        [finding] = doctor(house)
        assert finding["level"] == "failed"
        assert f"{bad} was not prepared" in finding["message"]
        assert finding["remedy"]


def test_a_renewal_leaves_one_whose_model_went_bad_and_renews_the_rest(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(PREPARED, tmp_path / "embedder"))
    with House(tmp_path, with_embedder("./embedder"), workers=1) as house:
        before = {name: child(house, name)["pid"] for name in ("semantic", "control", "worker 0")}
        (folder / "model.onnx").write_bytes(b"damage")
        assert house.process is not None
        house.process.send_signal(signal.SIGUSR2)
        wait_for(lambda: "every process is renewed" in house.log.read_text(), 60, "everything else is renewed")
        said = next(line for line in house.log.read_text().splitlines() if "semantic is not renewed" in line)
        assert "goes on as it is" in said
        assert f"{folder / 'model.onnx'} has the SHA-256" in said
        assert child(house, "semantic")["pid"] == before["semantic"]
        wait_for(lambda: child(house, "worker 0")["pid"] != before["worker 0"], 5, "the health says so")
        assert child(house, "control")["pid"] != before["control"]
        assert post(house, "one", QUESTION).status == 200
