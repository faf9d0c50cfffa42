"""What a tag may be called, wherever one is said, configured or asked for."""

from typing import Final

TAG_NAME: Final = "[A-Za-z0-9][A-Za-z0-9._-]{0,31}"
"""A regular expression, to be matched against the whole name. Those that begin with ``fastgate.`` are ours."""
