"""What can keep a supervisor from serving.

::

    SupervisorError
    ├── AlreadyRunning      another supervisor holds the state folder
    ├── PortInUse           a listening address is taken, or may not be bound
    ├── StateUnusable       the state or arena folder cannot be created, read or written
    └── ChildFailed         a child ended before it was ever ready
"""


class SupervisorError(Exception):
    """The supervisor cannot serve; the message is one sentence for the operator.

    ``exit_code`` is what the command line ends with.
    """

    exit_code = 1


class AlreadyRunning(SupervisorError):
    """Another supervisor holds the lock of this state folder."""


class PortInUse(SupervisorError):
    """A listening address cannot be bound."""


class StateUnusable(SupervisorError):
    """The state folder or the arena folder cannot be used."""


class ChildFailed(SupervisorError):
    """A child ended before it was ever ready; ``exit_code`` is the child's own when it means something."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code
