"""fastgate: a self-hosted LLM gateway that counts money exactly, at full speed."""

from fastgate.version import __version__

__all__ = ["__version__"]
