"""``${NAME}``, ``${NAME:-default}`` and ``${file:PATH}`` in the values of a configuration; ``$${`` stands for ``${``.

As in a shell, the default holds where the variable is absent or empty. A path that is not absolute starts at the folder
of the configuration. A file's last line break is dropped. What comes out is never looked through again.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

MAX_FILE_BYTES: Final = 64 * 1024
_REFERENCE = re.compile(r"\$\$\{|\$\{([^}]*)(\}?)")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class VariableError(Exception):
    """A reference that cannot be resolved; the message never holds what a variable or file holds."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class Variables:
    """Resolves references against an environment and a folder."""

    def __init__(self, env: Mapping[str, str], folder: Path) -> None:
        self._env = env
        self.folder = folder

    def expand(self, text: str) -> tuple[str, bool]:
        """``text`` with its references resolved, and whether there were any. Raises :class:`VariableError`."""
        if "${" not in text:
            return text, False
        return _REFERENCE.sub(self._replace, text), True

    def _replace(self, match: re.Match[str]) -> str:
        if match[0] == "$${":
            return "${"
        if not match[2]:
            raise VariableError("a reference that begins with ${ has no }", "write $${ for the characters ${")
        if match[1].startswith("file:"):
            return self._file(match[1].removeprefix("file:"))
        name, has_default, default = match[1].partition(":-")
        if not _NAME.fullmatch(name):
            raise VariableError(
                f"${{{match[1]}}} is not a reference", "write ${NAME}, ${NAME:-default} or ${file:PATH}, or $${ for ${"
            )
        value = self._env.get(name, "")
        if value:
            return self._clean(value, f"environment variable {name}")
        if has_default:
            return default
        state = "empty" if name in self._env else "not set"
        raise VariableError(f"environment variable {name} is {state}", f"set it, or write ${{{name}:-default}}")

    def _file(self, name: str) -> str:
        path = self.folder / name
        try:
            if not path.is_file():
                raise VariableError(f"{path} is not a file")
            with path.open("rb") as file:
                data = file.read(MAX_FILE_BYTES + 1)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not a path"
            raise VariableError(f"{path} cannot be read: {reason}") from None
        if len(data) > MAX_FILE_BYTES:
            raise VariableError(f"{path} is larger than {MAX_FILE_BYTES // 1024} KiB")
        try:
            text = data.decode()
        except UnicodeDecodeError:
            raise VariableError(f"{path} is not UTF-8 text") from None
        return self._clean(text.removesuffix("\n").removesuffix("\r"), str(path))

    @staticmethod
    def _clean(value: str, what: str) -> str:
        if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
            raise VariableError(f"{what} holds bytes that are not text")
        return value
