"""What keeps an embedder from being loaded is known without loading it, with what to do."""

import json
import shutil
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import pytest

from fastgate.cache import embedder_files
from fastgate.cache.embedder_files import MANIFEST, MODEL, TOKENIZER, WEIGHTS, unfit
from tests.support.semantic import PREPARED, SHA256
from tests.support.semantic import WEIGHTS as FOLDER


def settings(model: Path | str, type_: str = "onnx", sha256: str | None = None) -> dict[str, Any]:
    return {"type": type_, "model": str(model), "sha256": sha256}


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    return Path(shutil.copytree(PREPARED, tmp_path / "embedder"))


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model's folder, where what loads it is installed."""
    has(monkeypatch, "torch", "sentence_transformers")
    return Path(shutil.copytree(FOLDER, tmp_path / "published"))


def has(monkeypatch: pytest.MonkeyPatch, *installed: str) -> None:
    def found(name: str) -> ModuleSpec | None:
        return ModuleSpec(name, None) if name in installed else None

    monkeypatch.setattr(embedder_files, "find_spec", found)


def test_nothing_is_wrong_with_what_can_be_loaded(prepared: Path) -> None:
    assert unfit(settings(prepared)) == ""
    assert unfit(settings(prepared, sha256=SHA256)) == ""
    assert unfit(settings("text-embedding-3-small", "openai-compatible")) == ""


def test_a_folder_that_is_not_there_or_was_not_prepared(tmp_path: Path) -> None:
    for folder in (tmp_path / "nonexistent", tmp_path):
        said = unfit(settings(folder))
        assert f"{folder} was not prepared" in said
        assert f"fastgate embedder prepare MODEL --output {folder}" in said


def test_what_was_prepared_from_other_weights(prepared: Path) -> None:
    said = unfit(settings(prepared, sha256="0" * 64))
    assert f"SHA-256 {SHA256} instead of {'0' * 64}: correct sha256, or prepare it from those" in said


@pytest.mark.parametrize("name", [MODEL, TOKENIZER])
def test_a_damaged_file(prepared: Path, name: str) -> None:
    with (prepared / name).open("r+b") as file:
        file.seek(100)
        file.write(b"damage")
    said = unfit(settings(prepared))
    assert str(prepared / name) in said
    assert "it is not read: prepare it anew" in said
    (prepared / name).unlink()
    assert unfit(settings(prepared)) == f"cannot read {prepared / name}: No such file or directory"


def test_a_folder_of_another_version(prepared: Path) -> None:
    manifest = json.loads((prepared / MANIFEST).read_bytes())
    (prepared / MANIFEST).write_text(json.dumps({**manifest, "format": 2}))
    assert "is of another version" in unfit(settings(prepared))


@pytest.mark.parametrize(
    ("type_", "installed", "said"),
    [
        ("onnx", ["tokenizers"], "needs onnxruntime, which is not installed: pip install 'fastgate[semantic-onnx]'"),
        (
            "sentence-transformers",
            ["sentence_transformers"],
            "needs torch, which is not installed: pip install 'fastgate[semantic]'",
        ),
        ("sentence-transformers", [], "needs torch and sentence_transformers, which is not installed"),
    ],
)
def test_a_package_that_is_not_installed(
    monkeypatch: pytest.MonkeyPatch, type_: str, installed: list[str], said: str
) -> None:
    has(monkeypatch, *installed)
    assert said in unfit(settings(PREPARED, type_))


def test_a_published_model(published: Path) -> None:
    assert unfit(settings(published, "sentence-transformers", SHA256)) == ""
    assert unfit(settings(published, "sentence-transformers")) == ""
    assert unfit(settings("all-MiniLM-L6-v2", "sentence-transformers")) == "", "a name that the packages may know"
    said = unfit(settings(published, "sentence-transformers", "0" * 64))
    assert f"has the SHA-256 {SHA256} instead of {'0' * 64}" in said


@pytest.mark.parametrize("size", [0, 7, 9, 5_000, 50_000_000])
def test_a_published_model_that_is_cut_off(published: Path, size: int) -> None:
    with (published / WEIGHTS).open("r+b") as file:
        file.truncate(size)
    said = unfit(settings(published, "sentence-transformers"))
    assert said == f"{published / WEIGHTS} is damaged or not whole: fetch it again"


@pytest.mark.parametrize("head", [b"\xff" * 8, b"\x02" + bytes(7) + b"[]", b"\x08" + bytes(7) + b'{"a": 1}'])
def test_a_published_model_whose_head_is_none(published: Path, head: bytes) -> None:
    (published / WEIGHTS).write_bytes(head + bytes(100))
    assert "damaged" in unfit(settings(published, "sentence-transformers"))


def test_a_published_model_that_is_not_there(published: Path, tmp_path: Path) -> None:
    said = unfit(settings(tmp_path / "nonexistent", "sentence-transformers"))
    assert said == (
        f"the embedder {tmp_path / 'nonexistent'} is no folder that is there: correct cache.semantic.embedder.model"
    )
    (published / WEIGHTS).unlink()
    assert f"cannot read {published / WEIGHTS}" in unfit(settings(published, "sentence-transformers"))
    assert "is no folder, so its sha256" in unfit(settings("a-name", "sentence-transformers", SHA256))
