"""A model of the package ``sentence-transformers`` (extra ``semantic``), on the processor."""

import os
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from fastgate.cache.embedder_files import Unfit, check_installed, published
from fastgate.semantic.embedder import Embedded, has_word
from fastgate.semantic.errors import EmbedderUnusable
from fastgate.semantic.settings import EmbedderSettings
from fastgate.semantic.weights import go_offline

_EXTRA: Final = "pip install 'fastgate[semantic]'"
_AT_ONCE: Final = 32


class SentenceModel:
    """Loads a folder, or a name that the packages' own store has; fetches nothing unless that is configured."""

    def __init__(self, settings: EmbedderSettings) -> None:
        try:
            check_installed("sentence-transformers")
            digest = published(settings.model, settings.sha256)
        except Unfit as error:
            raise EmbedderUnusable(str(error)) from error
        if not settings.download:
            go_offline(os.environ)
        self._model = _load(settings)
        self.identity = f"sentence-transformers {settings.model} {digest}"

    def embed(self, texts: Sequence[str]) -> Embedded:
        """See Model."""
        vectors = self._model.encode(
            list(texts),
            batch_size=_AT_ONCE,
            normalize_embeddings=True,
            convert_to_numpy=True,
            show_progress_bar=False,
        )
        return Embedded(np.asarray(vectors, dtype=np.float32), tuple(self._whole(text) for text in texts))

    def _whole(self, text: str) -> bool:
        """Whether all words of a text were read: none is cut off, and none has the token of all that are not known."""
        tokenizer = self._model.tokenizer
        known = tokenizer(text, truncation=False, verbose=False, return_offsets_mapping=tokenizer.is_fast)
        ids = known["input_ids"]
        if len(ids) > self._model.max_seq_length:
            return False
        unknown = tokenizer.unk_token_id
        if unknown is None or unknown not in ids:
            return True
        if not tokenizer.is_fast:  # it does not say which piece of the text that is
            return False
        places = [at for at, token in zip(known["offset_mapping"], ids, strict=True) if token == unknown]
        return not any(has_word(text[start:end]) for start, end in places)


def _load(settings: EmbedderSettings) -> Any:
    try:
        import torch
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise EmbedderUnusable(f"the embedder needs {error.name}, which is not installed: {_EXTRA}") from error
    torch.set_num_threads(settings.threads)
    try:
        return SentenceTransformer(settings.model, device="cpu", local_files_only=not settings.download)
    except Exception as error:  # the packages' own errors have no common class
        raise EmbedderUnusable(f"the embedder {settings.model} cannot be loaded: {error}") from error
