"""What can go wrong with the state store.

::

    Exception
    └── StateError              the store cannot be used; the message says why
        ├── NewerState          it was written by a later version
        └── SharedAway          what hosts share cannot be changed now
"""


class StateError(Exception):
    """The message names the file and the reason."""


class NewerState(StateError):
    """A later version wrote the file: reading it might misunderstand it, writing it might damage it."""


class SharedAway(StateError):
    """The database that hosts share does not answer, or this host must not use it."""
