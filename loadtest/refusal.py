"""A disk that takes no more, for one process: the kernel refuses to let its files grow (``RLIMIT_FSIZE``).

What comes of it is what a full disk brings, an error of ``write`` in the middle of whatever is written; neither a disk
nor rights beyond those of the process's user are needed, and it is over when the limit is.
"""

import resource
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def refused(pid: int, most_bytes: int) -> Iterator[None]:
    """For the block no file of process ``pid`` grows above ``most_bytes``."""
    soft, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (most_bytes, hard))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (soft, hard))
