"""What can go wrong with the ledger.

::

    LedgerError
    ├── LedgerUnavailable   the file is locked, damaged, or its disk is full
    │   └── NewerLedger     it was written by a later version
    ├── QueryTimeout        a query was interrupted at its time limit
    └── BadQuery            what was asked for makes no sense: the caller's fault
"""


class LedgerError(Exception):
    """The message is one sentence for the operator."""


class LedgerUnavailable(LedgerError):
    """Nothing can be read or written now; later it may be."""


class NewerLedger(LedgerUnavailable):
    """A later version wrote the file: nothing may be served beside it, since nothing can be booked in it."""


class QueryTimeout(LedgerError):
    """The query took too long and was interrupted."""


class BadQuery(LedgerError):
    """``parameter`` names what is at fault in the caller's terms (``by``, ``where``, ``cursor``, ...)."""

    def __init__(self, parameter: str, message: str) -> None:
        super().__init__(message)
        self.parameter = parameter


def sentence(error: Exception) -> str:
    """The first line of what DuckDB says."""
    return str(error).strip().partition("\n")[0] or type(error).__name__
