"""What can go wrong with a backup.

::

    Exception
    └── BackupError         it cannot be made, or not be put back; nothing was changed
        ├── BadArchive      the file is not a whole backup
        ├── NewerArchive    a later version made it
        └── NotEmpty        there is state where it shall go
"""


class BackupError(Exception):
    """The message is one sentence for the operator."""


class BadArchive(BackupError):
    """Truncated, altered, or no backup at all."""


class NewerArchive(BackupError):
    """This version might misunderstand what is in it."""


class NotEmpty(BackupError):
    """State is never overwritten; it can be set aside."""
