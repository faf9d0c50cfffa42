"""What can go wrong with the database that hosts share.

::

    Exception
    └── PostgresAway            it cannot be asked now; the message says why, without a secret
        └── NewerSchema         a later version changed its tables so that this one must not use them
"""


class PostgresAway(Exception):
    """The message names the server and the reason."""


class NewerSchema(PostgresAway):
    """Reading the tables might misunderstand them, writing them might damage them."""
