"""What can be wrong with the semantic process.

::

    SemanticError
    ├── EmbedderUnusable    the embedder cannot be loaded or prepared: a start fails
    ├── EmbedderFailed      an embedder that was loaded gave no vectors: what was asked is a miss
    ├── JudgeFailed         a judge said nothing: the two answers count as different
    └── StoreUnusable       the store cannot be opened: a start fails
"""


class SemanticError(Exception):
    """The message is one sentence for the operator."""


class EmbedderUnusable(SemanticError):
    """The embedder cannot be loaded or prepared."""


class EmbedderFailed(SemanticError):
    """An embedder gave no vectors this time; another time it may."""


class JudgeFailed(SemanticError):
    """A judge said nothing this time; another time it may."""


class StoreUnusable(SemanticError):
    """The store of entries cannot be opened."""
