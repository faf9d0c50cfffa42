"""A connection to the PostgreSQL of the configuration, for who may wait for it: never on a request's path."""

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fastgate.config.postgres import PostgresAddress, parse_postgres_url
from fastgate.config.settings import Postgres

if TYPE_CHECKING:
    from fastgate.postgres.patient import Patient

CONNECT_SECONDS: Final = 3
ANSWER_SECONDS: Final = 10.0
"""After so long without an answer to one statement, it counts as away."""
_LOCK_SECONDS: Final = 4
_IDLE_SECONDS: Final = 15
"""After so long a transaction whose host says no more ends: others wait for it."""
_SESSION: Final = (
    f"SET search_path TO fastgate; SET timezone TO 'UTC'; SET lock_timeout TO '{_LOCK_SECONDS}s';"
    f" SET idle_in_transaction_session_timeout TO '{_IDLE_SECONDS}s'"
)


@dataclass(frozen=True)
class Place:
    """Where the database is, and whom it is trusted by."""

    address: PostgresAddress
    ca_file: str | None

    @classmethod
    def of(cls, settings: Postgres, folder: Path) -> "Place":
        """``folder``: of the configuration's file."""
        ca_file = str((folder / settings.ca_file).resolve()) if settings.ca_file else None
        return cls(parse_postgres_url(settings.url.reveal()), ca_file)

    def connect(self, purpose: str, answer_seconds: float = ANSWER_SECONDS) -> "Patient":
        """A connection without a transaction, which gives up a statement that is not answered in time.

        Raises psycopg.Error, also where the server is a standby, which takes no writes, or text is not in UTF-8.
        """
        from psycopg import OperationalError

        from fastgate.postgres.patient import Patient

        address = self.address
        connection = Patient.connect(
            host=address.host,
            port=address.port,
            dbname=address.database,
            user=address.user,
            password=address.password or None,
            sslmode=address.sslmode or ("verify-full" if self.ca_file else "prefer"),
            sslrootcert=self.ca_file or _trusted(address.sslmode),
            connect_timeout=CONNECT_SECONDS,
            client_encoding="utf8",
            application_name=f"fastgate {purpose}",
            target_session_attrs="read-write",
            keepalives_idle=10,
            keepalives_interval=3,
            keepalives_count=3,
            tcp_user_timeout=20_000,
            autocommit=True,
        )
        connection.answer_seconds = answer_seconds
        if (encoding := connection.info.parameter_status("server_encoding")) != "UTF8":
            connection.close()
            raise OperationalError(f"the database {address.database} is in {encoding}: it has to be in UTF8")
        connection.execute(_SESSION)  # poolers refuse most of what may be said at the start
        return connection


def _trusted(sslmode: str) -> str | None:
    """The system's authorities, where Python knows their file: libpq may come with an OpenSSL that looks elsewhere."""
    return (ssl.get_default_verify_paths().cafile or "system") if sslmode == "verify-full" else None
