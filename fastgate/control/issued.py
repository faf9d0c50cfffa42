"""Secrets of virtual keys as they are issued: said once, and kept as their SHA-256."""

import hashlib
import secrets
from typing import Final

from fastgate.config.owners import Key
from fastgate.config.owners_check import digest_of

PREFIX: Final = "sk-fg-"
_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_LENGTH: Final = 43


def issued_secret() -> str:
    """``sk-fg-`` and 43 characters of base 62: 256 bits."""
    number, text = secrets.randbelow(62**_LENGTH), PREFIX
    for _ in range(_LENGTH):
        number, digit = divmod(number, 62)
        text += _ALPHABET[digit]
    return text


def digest_of_secret(secret: str) -> bytes:
    """Under what its key is found."""
    return hashlib.sha256(secret.encode()).digest()


def first_secret(key: Key) -> tuple[str | None, bytes]:
    """The secret to say once, None where its creator knows it, and its digest."""
    if key.secret is not None or key.secret_sha256 is not None:
        return None, digest_of(key)
    secret = issued_secret()
    return secret, digest_of_secret(secret)
