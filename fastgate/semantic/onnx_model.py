"""A model that `fastgate embedder prepare` made, run by onnxruntime (extra ``semantic-onnx``): no torch.

The folder holds ``model.onnx``, ``tokenizer.json`` and ``embedder.json``::

    {"format": 1, "dimensions": 384, "longest": 256, "padding": 0, "source_sha256": "...", "model_sha256": "...",
     "tokenizer_sha256": "..."}
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from fastgate.cache.embedder_files import MODEL, TOKENIZER, Unfit, check_installed, prepared
from fastgate.semantic.embedder import Embedded, Vectors, has_word
from fastgate.semantic.errors import EmbedderUnusable
from fastgate.semantic.settings import EmbedderSettings

_EXTRA: Final = "pip install 'fastgate[semantic-onnx]'"
_AT_ONCE: Final = 16
"""Texts of like length that are computed together: more of them gain nothing, and padding costs."""

UNKNOWN: Final = "[UNK]"
"""BERT's one token for whatever it has none for: a word in a script that it was not taught, or of 100 letters."""


class OnnxModel:
    """Loads a prepared folder; its files have to be those that were prepared."""

    def __init__(self, settings: EmbedderSettings) -> None:
        folder = Path(settings.model)
        try:
            check_installed("onnx")
            manifest = prepared(folder, settings.sha256)
        except Unfit as error:
            raise EmbedderUnusable(str(error)) from error
        self.identity = f"onnx {manifest.model_sha256}"
        self._tokenizer = load_tokenizer(folder / TOKENIZER, manifest.longest, manifest.padding)
        self._session = open_session((folder / MODEL).read_bytes(), settings.threads)

    def embed(self, texts: Sequence[str]) -> Embedded:
        """See Model."""
        return run(self._session, self._tokenizer, texts)


def load_tokenizer(path: Path, longest: int, padding: int) -> Any:
    """Raises EmbedderUnusable."""
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise EmbedderUnusable(f"the embedder needs {error.name}, which is not installed: {_EXTRA}") from error
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the package raises nothing more precise
        raise EmbedderUnusable(f"{path} is no tokenizer: {error}") from error
    tokenizer.enable_truncation(longest)
    tokenizer.enable_padding(pad_id=padding)
    return tokenizer


def open_session(model: bytes, threads: int) -> Any:
    """A model, ready to run in ``threads`` threads. Raises EmbedderUnusable."""
    try:
        import onnxruntime
    except ImportError as error:
        raise EmbedderUnusable(f"the embedder needs {error.name}, which is not installed: {_EXTRA}") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Threads that wait for the next operation by turning would take a core from the workers.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the package's own errors have no common class
        raise EmbedderUnusable(f"the prepared model cannot be loaded: {error}") from error


def run(session: Any, tokenizer: Any, texts: Sequence[str]) -> Embedded:
    """The vectors of texts, computed in batches of like length."""
    if len(texts) == 1:  # the usual case, in which there is nothing to put into order
        encoding = tokenizer.encode(texts[0])
        ids = np.array([encoding.ids], dtype=np.int64)
        (vectors,) = session.run(["vectors"], {"ids": ids, "mask": np.ones_like(ids)})
        return Embedded(vectors, (_whole(tokenizer, texts[0], encoding),))
    encodings = tokenizer.encode_batch_fast(list(texts))
    lengths = [sum(each.attention_mask) for each in encodings]
    order = sorted(range(len(texts)), key=lengths.__getitem__)
    rows: list[Vectors] = []
    for start in range(0, len(order), _AT_ONCE):
        chosen = order[start : start + _AT_ONCE]
        most = lengths[chosen[-1]]
        ids = np.array([encodings[each].ids[:most] for each in chosen], dtype=np.int64)
        mask = np.array([encodings[each].attention_mask[:most] for each in chosen], dtype=np.int64)
        rows.append(session.run(["vectors"], {"ids": ids, "mask": mask})[0])
    vectors = np.empty_like(together := np.concatenate(rows))
    vectors[order] = together
    return Embedded(vectors, tuple(_whole(tokenizer, *each) for each in zip(texts, encodings, strict=True)))


def _whole(tokenizer: Any, text: str, encoding: Any) -> bool:
    """Whether all of a text was read: no words are cut off, and none has the token of all that are not known."""
    if encoding.overflowing:
        return False
    unknown = tokenizer.token_to_id(UNKNOWN)
    if unknown is None or unknown not in encoding.ids:
        return True
    encoding = tokenizer.encode(text)  # in batches no offsets are counted
    places = [at for at, token in zip(encoding.offsets, encoding.ids, strict=True) if token == unknown]
    return not any(has_word(text[start:end]) for start, end in places)
