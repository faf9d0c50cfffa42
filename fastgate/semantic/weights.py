"""A model's folder as it is published for sentence-transformers: what it holds, whether it is what it should be."""

from collections.abc import MutableMapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from fastgate.cache import embedder_files
from fastgate.semantic.errors import EmbedderUnusable

Tensors = dict[str, NDArray[np.float32]]
Kind = TypeVar("Kind")
Size = Annotated[int, Meta(ge=1, le=1_000_000)]


class BertConfig(msgspec.Struct, frozen=True, kw_only=True):
    """``config.json`` of a BERT encoder."""

    model_type: Literal["bert"]
    hidden_act: Literal["gelu"]
    hidden_size: Size
    num_attention_heads: Size
    num_hidden_layers: Size
    intermediate_size: Size
    vocab_size: Size
    max_position_embeddings: Size
    layer_norm_eps: float = 1e-12
    position_embedding_type: Literal["absolute"] = "absolute"


class _Length(msgspec.Struct, frozen=True):
    max_seq_length: Size


class _Pooling(msgspec.Struct, frozen=True, kw_only=True):
    pooling_mode_mean_tokens: bool = False
    pooling_mode_cls_token: bool = False
    pooling_mode_max_tokens: bool = False
    pooling_mode_mean_sqrt_len_tokens: bool = False


def go_offline(environment: MutableMapping[str, str]) -> None:
    """Has the libraries that are loaded after it fetch nothing."""
    environment.update({"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"})


def sha256_of(path: Path) -> str:
    """In hexadecimal. Raises EmbedderUnusable where the file cannot be read."""
    return check_digest(path, None)


def check_digest(path: Path, wanted: str | None) -> str:
    """The file's SHA-256. Raises EmbedderUnusable where another one is ``wanted``."""
    try:
        return embedder_files.check_digest(path, wanted)
    except embedder_files.Unfit as error:
        raise EmbedderUnusable(str(error)) from error


def read_config(folder: Path) -> BertConfig:
    """Raises EmbedderUnusable where the model is none that can be prepared."""
    return _read(folder / "config.json", BertConfig)


def longest(folder: Path, config: BertConfig) -> int:
    """Tokens of the longest text that is read whole: the folder's own bound, else the model's."""
    path = folder / "sentence_bert_config.json"
    said = _read(path, _Length).max_seq_length if path.exists() else config.max_position_embeddings
    return min(said, config.max_position_embeddings)


def pools_first(folder: Path) -> bool:
    """Whether a text's vector is that of its first token; else it is the mean. Raises EmbedderUnusable."""
    path = folder / "1_Pooling" / "config.json"
    if not path.exists():
        return False
    pooling = _read(path, _Pooling)
    chosen = [name for name in pooling.__struct_fields__ if getattr(pooling, name)]
    if chosen not in (["pooling_mode_mean_tokens"], ["pooling_mode_cls_token"]):
        raise EmbedderUnusable(f"{path}: pooling by {', '.join(chosen) or 'nothing'} cannot be prepared")
    return pooling.pooling_mode_cls_token


def read_tensors(path: Path) -> Tensors:
    """All tensors of a safetensors file, as single precision. Raises EmbedderUnusable."""
    try:
        from safetensors import SafetensorError
        from safetensors.numpy import load_file
    except ImportError as error:
        raise EmbedderUnusable(
            f"preparing needs {error.name}, which is not installed: pip install 'fastgate[semantic-onnx]'"
        ) from error
    try:
        found: dict[str, Any] = load_file(path)
    except (OSError, SafetensorError, ValueError) as error:
        raise EmbedderUnusable(f"{path} cannot be read: {error}") from error
    # Some folders name all tensors of the encoder below `bert.`.
    return {
        name.removeprefix("bert."): np.asarray(tensor, dtype=np.float32)
        for name, tensor in found.items()
        if tensor.dtype.kind == "f"
    }


def _read(path: Path, kind: type[Kind]) -> Kind:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except OSError as error:
        raise EmbedderUnusable(f"cannot read {path}: {error.strerror}") from error
    except msgspec.MsgspecError as error:
        raise EmbedderUnusable(f"{path} describes no model that can be prepared: {error}") from error
