"""Images of a request: in it, or somewhere else."""

from typing import Any, Final

import msgspec

_SHOWN: Final = "data:"


def has_pointers(body: bytes) -> bool:
    """Whether a body, OpenAI's or Anthropic's, has an image that is not in it: an address or an id stands for it.

    What is behind an address can be another image the next time. A body that cannot be read has one, too.
    """
    try:
        waiting: list[Any] = [msgspec.json.decode(body)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return True
    while waiting:
        each = waiting.pop()
        if isinstance(each, list):
            waiting += each
        elif isinstance(each, dict):
            if _points(each):
                return True
            waiting += each.values()
    return False


def _points(part: dict[str, Any]) -> bool:
    """Whether a part of a message is such an image."""
    if "image_url" in part:
        image = part["image_url"]
        address = image.get("url") if isinstance(image, dict) else image
        return not (isinstance(address, str) and address[: len(_SHOWN)].lower() == _SHOWN)
    if part.get("type") == "image":
        source = part.get("source")
        return not (isinstance(source, dict) and source.get("type") == "base64")
    return False
