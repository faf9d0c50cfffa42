"""The Dockerfile and its example in the documents, as far as they can be judged without carrying them out."""

import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
import yaml

from fastgate.cli.main import cli
from fastgate.config.settings import Server

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / ".ci" / "image"))
import dockerfile  # noqa: E402

PAGE = ROOT / "docs" / "operations.md"


def image() -> dockerfile.Stage:
    return dockerfile.read(ROOT / "Dockerfile")[-1]


def examples() -> list[str]:
    return re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)


def variables() -> set[str]:
    command = cli.get_command(click.Context(cli), "serve")
    assert command is not None
    return {str(option.envvar) for option in command.params if isinstance(option, click.Option)}


def test_the_image_is_not_root_and_names_what_serve_knows() -> None:
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", image().user)
    assert {name for name in image().environment if name.startswith("FASTGATE_")} <= variables()
    assert image().environment["FASTGATE_STATE_DIR"] in image().volumes
    assert image().command == ["serve"]


def test_the_build_takes_what_git_has_and_nothing_else() -> None:
    listed = subprocess.run(["git", "ls-files", "fastgate"], cwd=ROOT, capture_output=True, text=True, check=True)
    taken = {str(file.relative_to(ROOT)) for file in dockerfile.context(ROOT)}
    beside = {"pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "CHANGELOG.md", "LICENSE"}
    tracked = {name for name in listed.stdout.split() if (ROOT / name).exists()}
    assert tracked <= taken
    assert not {name for name in taken - tracked - beside if name.endswith((".so", ".c", ".html", ".pyc"))}
    assert beside <= taken


def test_the_example_for_compose_fits_the_image() -> None:
    document = yaml.safe_load(examples()[0])
    service = document["services"]["fastgate"]
    assert set(service["environment"]) <= variables()
    assert f"state:{image().environment['FASTGATE_STATE_DIR']}" in service["volumes"]
    assert f"./fastgate.yaml:{image().workdir}/fastgate.yaml:ro" in service["volumes"]
    assert set(service["secrets"]) == set(document["secrets"])
    assert int(service["stop_grace_period"].removesuffix("s")) > Server().drain_seconds + 16


def test_the_configuration_beside_it_is_one_that_serves(tmp_path: Path) -> None:
    secrets = set(re.findall(r"/run/secrets/(\w+)", examples()[1]))
    assert secrets == set(yaml.safe_load(examples()[0])["secrets"])
    for name in secrets:
        (tmp_path / name).write_text(f"sk-a-secret-of-the-example-{name}\n")
    config = tmp_path / "fastgate.yaml"
    config.write_text(examples()[1].replace("/run/secrets", str(tmp_path)))
    checked = subprocess.run(
        [sys.executable, "-m", "fastgate", "check", str(config)], capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stdout) == (0, f"{config}: ok\n"), checked.stdout


def test_the_image_with_the_semantic_cache_is_the_other_one_but_for_what_is_installed() -> None:
    stages = {stage.name: stage for stage in dockerfile.read(ROOT / "Dockerfile")}
    semantic, plain = stages["semantic"], image()
    assert (semantic.image, semantic.environment, semantic.user) == (plain.image, plain.environment, plain.user)
    assert (semantic.entrypoint, semantic.command, semantic.volumes) == (plain.entrypoint, plain.command, plain.volumes)
    assert [step.stage for step in (*semantic.steps, *plain.steps)] == ["build-semantic", "build"]
    [*_, installed] = stages["build-semantic"].steps
    assert "[semantic-onnx]" in installed.text
    assert installed.environment["HNSWLIB_NO_NATIVE"] == "1"


@pytest.mark.parametrize("line", ["ADD x y", "RUN --mount=type=cache true", "ONBUILD RUN true"])
def test_an_instruction_that_the_replay_does_not_know_is_an_error(tmp_path: Path, line: str) -> None:
    (tmp_path / "Dockerfile").write_text(f"FROM python:3.11-slim-bookworm AS build\n# a comment\n{line}\n")
    with pytest.raises(ValueError, match=r"know"):
        dockerfile.read(tmp_path / "Dockerfile")
