"""How many files the processes of a host may have open: a request takes two of them in its worker."""

import resource


def allow_most() -> None:
    """Raises the limit of this process, which its children inherit, as far as its user may."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
