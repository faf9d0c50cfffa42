"""Small files by which processes tell each other or their successors something: each is whole at any moment."""

import os
from pathlib import Path


def replace(path: Path, content: bytes, *, private: bool = False) -> None:
    """A kill leaves what was there, or this. ``private``: only its owner may read it. Raises OSError."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600 if private else 0o666)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    draft.replace(path)
