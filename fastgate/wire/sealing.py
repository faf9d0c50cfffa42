"""Secrets of providers at rest: AES-256-GCM, bound to the object that they belong to.

The key is 64 hexadecimal digits: in ``FASTGATE_STATE_KEY``, else in ``state.key`` (0600) in the state folder, which is
made on the first use. Whoever has what was sealed without the key has no secret.
"""

import os
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

VARIABLE: Final = "FASTGATE_STATE_KEY"
FILE: Final = "state.key"
_NONCE_BYTES: Final = 12
_KEY: Final = re.compile(r"[0-9a-fA-F]{64}")


class SealError(Exception):
    """The key is missing or another one; the message says which place was looked at."""


class WrongKey(SealError):
    """It is not the one that sealed, or the bytes were changed."""


class Sealer:
    """Seals and opens; methods may be called from any thread. The key is looked for when it is first needed."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._path = folder / FILE
        self._given = environment.get(VARIABLE, "").strip()  # a file that became a variable ends a line

    def seal(self, text: str, owner: str) -> bytes:
        """``text`` under the key, to be opened for the same ``owner`` alone. Raises SealError without a usable key."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._cipher(make=True).encrypt(nonce, text.encode(), owner.encode())

    def open(self, sealed: bytes, owner: str) -> str:
        """What was sealed. Raises WrongKey, also where the owner is another one; SealError without a usable key."""
        nonce, rest = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        try:
            return self._cipher(make=False).decrypt(nonce, rest, owner.encode()).decode()
        except InvalidTag:
            raise WrongKey(
                f"the secrets of {owner} do not open with the key in {self._where}: give the one that sealed them"
            ) from None

    @property
    def _where(self) -> str:
        return VARIABLE if self._given else str(self._path)

    def _cipher(self, *, make: bool) -> AESGCM:
        text = self._given or self._read()
        if not text and make:
            text = self._make()
        if not text:
            raise SealError(
                f"the key to the providers' secrets is missing: put {self._path} back, or give it in {VARIABLE}"
            )
        if not _KEY.fullmatch(text):
            raise SealError(f"{self._where} has to hold 64 hexadecimal digits, as of: openssl rand -hex 32")
        return AESGCM(bytes.fromhex(text))

    def _read(self) -> str:
        try:
            return self._path.read_text(encoding="ascii").strip()
        except FileNotFoundError:
            return ""
        except (OSError, UnicodeDecodeError) as error:
            raise SealError(f"{self._path} cannot be read: {error}") from error

    def _make(self) -> str:
        """A new key in a 0600 file, on the disk before anything is sealed with it."""
        text = secrets.token_hex(32)
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(text + "\n")
                file.flush()
                os.fsync(descriptor)
        except OSError as error:
            raise SealError(f"{self._path} cannot be written: {error.strerror}") from error
        return text
