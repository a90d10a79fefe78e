"""One database session as every part of ours opens it: UTC, time limits, and only on a server that keeps its word.

"Acknowledged means stored" (design §1) needs fsync, full_page_writes and synchronous_commit; a server with one of them
off is refused. Writer threads and the command line use `connect` (blocking); everything async uses store.pool.
"""

from dataclasses import dataclass

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import TupleRow

from core.errors import ConfigurationError, StoreError
from store.outage import outage_errors

CONNECT_TIMEOUT_S = 5
STATEMENT_TIMEOUT_S = 30.0

_NETWORK: dict[str, int | str] = {
    "connect_timeout": CONNECT_TIMEOUT_S,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}

PREPARE = """
SELECT set_config('TimeZone', 'UTC', false), set_config('statement_timeout', %(statement_ms)s, false),
       set_config('idle_in_transaction_session_timeout', %(idle_ms)s, false),
       set_config('client_min_messages', 'warning', false),
       current_setting('fsync'), current_setting('full_page_writes'), current_setting('synchronous_commit')
"""
"""Sets the session up and reads what durability depends on, in one round trip."""


@dataclass(frozen=True, slots=True)
class Durability:
    """What the server promises about a COMMIT, as its settings say it."""

    fsync: str
    full_page_writes: str
    synchronous_commit: str

    def refusal(self) -> str | None:
        """Why this server must not hold our data, with the remedy; None when it may."""
        settings = {
            "fsync": self.fsync,
            "full_page_writes": self.full_page_writes,
            "synchronous_commit": self.synchronous_commit,
        }
        off = [name for name, value in settings.items() if value == "off"]
        if not off:
            return None
        return (
            f"The database server has {' and '.join(off)} off, so what it acknowledges can be lost; "
            "set it to on in postgresql.conf (or for the role) and reload."
        )


def conninfo(dsn: str, application_name: str = "wangge") -> dict[str, object]:
    """Connection parameters of `dsn` with our time limits added where it names none.

    Raises ConfigurationError for a text that is no DSN; the message never holds the text (it may hold a password).
    """
    try:
        given = conninfo_to_dict(dsn)
    except psycopg.ProgrammingError as error:
        raise ConfigurationError(
            "store.dsn is not a PostgreSQL connection string (postgresql://user@host/db)."
        ) from error
    defaults: dict[str, object] = {**_NETWORK, "application_name": application_name, "client_encoding": "UTF8"}
    return defaults | {name: value for name, value in given.items() if value is not None}


def prepare_parameters(statement_timeout_s: float) -> dict[str, str]:
    """Parameters of PREPARE. statement_timeout_s: 0 means none."""
    statement_ms = str(round(statement_timeout_s * 1000))
    return {
        "statement_ms": statement_ms,
        "idle_ms": "0" if statement_ms == "0" else str(max(60_000, 2 * int(statement_ms))),
    }


def durability_of(row: TupleRow) -> Durability:
    """Reads the row that PREPARE returned."""
    return Durability(*row[-3:])


def read_durability(connection: psycopg.Connection[TupleRow]) -> Durability:
    """The durability settings as the session sees them now."""
    row = connection.execute(
        "SELECT current_setting('fsync'), current_setting('full_page_writes'), current_setting('synchronous_commit')"
    ).fetchone()
    assert row is not None
    return durability_of(row)


def connect(
    dsn: str,
    *,
    application_name: str = "wangge",
    statement_timeout_s: float = STATEMENT_TIMEOUT_S,
    autocommit: bool = True,
    only_checking: bool = False,
) -> psycopg.Connection[TupleRow]:
    """A blocking session for one thread, closed by the caller (`with connect(...) as c:` commits and closes).

    Raises StoreUnavailable when the server is away, StoreError when it is not durable (unless `only_checking`).
    """
    with outage_errors():
        connection = psycopg.connect(**conninfo(dsn, application_name), autocommit=True)  # type: ignore[arg-type]
        try:
            row = connection.execute(PREPARE, prepare_parameters(statement_timeout_s)).fetchone()
            assert row is not None
            refusal = durability_of(row).refusal()
            if refusal and not only_checking:
                raise StoreError(refusal)
            connection.autocommit = autocommit
        except BaseException:
            connection.close()
            raise
    return connection
