"""Whether the model of an embedder can be loaded, found without loading it: its folder, its files, what is installed.

For who looks at a configuration, and for the semantic process itself, which alone loads models.
"""

import hashlib
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

MANIFEST: Final = "embedder.json"
MODEL: Final = "model.onnx"
TOKENIZER: Final = "tokenizer.json"
WEIGHTS: Final = "model.safetensors"
_PACKAGES: Final = {
    "onnx": (("onnxruntime", "tokenizers"), "pip install 'fastgate[semantic-onnx]'"),
    "sentence-transformers": (("torch", "sentence_transformers"), "pip install 'fastgate[semantic]'"),
}
_MOST_HEADER: Final = 100 << 20
"""Bytes: what the format allows."""

Digest = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


class Unfit(Exception):
    """The embedder cannot be loaded; the message says what, why, and what to do."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a folder of `fastgate embedder prepare` holds; ``longest``: tokens of the longest text that is read
    whole."""

    format: Literal[1] = 1
    dimensions: Annotated[int, Meta(ge=1)]
    longest: Annotated[int, Meta(ge=1)]
    padding: Annotated[int, Meta(ge=0)]
    """The token that fills up."""
    source_sha256: Digest
    model_sha256: Digest
    tokenizer_sha256: Digest


def unfit(embedder: Mapping[str, Any]) -> str:
    """Why an embedder with these settings (as the semantic process is told them) cannot be loaded; empty: nothing is
    known to be wrong. Reads the files once, where digests say what they should be."""
    kind = embedder["type"]
    if kind not in _PACKAGES:
        return ""
    try:
        check_installed(kind)
        if kind == "onnx":
            prepared(Path(embedder["model"]), embedder["sha256"])
        else:
            published(embedder["model"], embedder["sha256"])
    except Unfit as error:
        return str(error)
    return ""


def check_installed(kind: str) -> None:
    """Raises Unfit where a package is missing that this type of embedder needs."""
    packages, remedy = _PACKAGES[kind]
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        raise Unfit(f"the embedder needs {' and '.join(missing)}, which is not installed: {remedy}")


def prepared(folder: Path, source_sha256: str | None) -> Manifest:
    """What a folder says of itself, whose files are what was prepared. Raises Unfit."""
    manifest = read_manifest(folder)
    if source_sha256 not in (None, manifest.source_sha256):
        raise Unfit(
            f"{folder} was prepared from weights with the SHA-256 {manifest.source_sha256} instead of {source_sha256}:"
            " correct sha256, or prepare it from those"
        )
    for name, wanted in ((MODEL, manifest.model_sha256), (TOKENIZER, manifest.tokenizer_sha256)):
        check_digest(folder / name, wanted, "prepare it anew")
    return manifest


def read_manifest(folder: Path) -> Manifest:
    """Raises Unfit where the folder is none of `fastgate embedder prepare`."""
    try:
        return msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
    except OSError as error:
        raise Unfit(
            f"{folder} was not prepared (no {MANIFEST}: {error.strerror}): fastgate embedder prepare MODEL"
            f" --output {folder}"
        ) from error
    except msgspec.MsgspecError as error:
        raise Unfit(f"{folder / MANIFEST} is of another version ({error}): prepare it anew") from error


def published(model: str, sha256: str | None) -> str:
    """The digest of a model's weights as they were published; of a name that is no folder here, ``unchecked``. Raises
    Unfit."""
    folder = Path(model)
    if folder.is_dir():
        digest = check_digest(folder / WEIGHTS, sha256, "fetch it again, or correct sha256")
        _check_whole(folder / WEIGHTS)
        return digest
    if folder.is_absolute() or model.startswith("."):
        raise Unfit(f"the embedder {model} is no folder that is there: correct cache.semantic.embedder.model")
    if sha256:
        raise Unfit(f"the embedder {model} is no folder, so its sha256 cannot be checked: name a folder")
    return "unchecked"


def digest_of(path: Path) -> str:
    """The SHA-256, in hexadecimal. Raises Unfit where the file cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise Unfit(f"cannot read {path}: {error.strerror}") from error


def check_digest(path: Path, wanted: str | None, remedy: str = "") -> str:
    """The file's SHA-256. Raises Unfit where another one is ``wanted``."""
    found = digest_of(path)
    if wanted is not None and found != wanted:
        what = f": {remedy}" if remedy else ""
        raise Unfit(f"{path} has the SHA-256 {found} instead of {wanted}: it is not read{what}")
    return found


def _check_whole(path: Path) -> None:
    """Whether a safetensors file ends where its head says. Raises Unfit."""
    try:
        with path.open("rb") as file:
            head = file.read(min(int.from_bytes(file.read(8), "little"), _MOST_HEADER))
            tensors = msgspec.json.decode(head, type=dict[str, Any])
            end = file.tell() + max(
                (entry["data_offsets"][1] for name, entry in tensors.items() if name != "__metadata__"), default=0
            )
        whole = end == path.stat().st_size
    except (OSError, msgspec.MsgspecError, KeyError, TypeError, IndexError):
        whole = False
    if not whole:
        raise Unfit(f"{path} is damaged or not whole: fetch it again")
