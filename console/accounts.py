"""Operators' accounts, bearer tokens and sessions in the store; what changes them is audited in the same transaction.

Functions take a connection inside the caller's transaction. Secrets are kept as argon2id (passwords) or SHA-256.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from psycopg import AsyncConnection
from psycopg.errors import CheckViolation, ForeignKeyViolation, UniqueViolation
from psycopg.rows import class_row

from console import reach
from console.rights import ROLES, Operator, Role
from core.errors import Conflict, InvalidInput, NotFound
from core.ids import new_token, token_sha256
from store.audit import Entry, record

Connection = AsyncConnection[Any]


@dataclass(frozen=True, slots=True)
class Account:
    """One operator as administrators see it."""

    id: int
    name: str
    role: Role
    division: str
    worker: str | None
    created_at: datetime
    password_changed_at: datetime | None
    disabled_at: datetime | None

    def operator(self, peer: str | None = None) -> Operator:
        """This account as the one who asks."""
        return Operator(self.name, self.role, self.division, self.worker, self.id, peer)


_COLUMNS = "o.id, o.name, o.role, o.division, o.worker, o.created_at, o.password_changed_at, o.disabled_at"


@dataclass(frozen=True, slots=True)
class Session:
    """A session that was just opened; both secrets exist here only."""

    token: str
    csrf: str
    account: Account


async def add(
    connection: Connection,
    by: Operator,
    name: str,
    role: str,
    *,
    division: str = "",
    worker: str | None = None,
    password_hash: str | None = None,
) -> Account:
    """Makes an account. Raises InvalidInput (role, scope, worker that does not exist), Conflict (name taken)."""
    if role not in ROLES:
        raise InvalidInput(f"There is no role {role!r}; choose one of {', '.join(ROLES)}.")
    if (role == "worker") != (worker is not None):
        raise InvalidInput("An account of role worker names its worker (--worker), and no other role does.")
    if worker is not None and by.division and not await reach.has_worker(connection, by, worker=worker):
        raise InvalidInput(f"There is no worker {worker!r} in your scope.")
    try:
        async with connection.transaction(), connection.cursor(row_factory=class_row(Account)) as cursor:
            await cursor.execute(
                f"""INSERT INTO operators AS o (name, role, division, worker, password_hash)
                    VALUES (%s, %s, %s, %s, %s) RETURNING {_COLUMNS}""",  # noqa: S608 (a constant)
                [name, role, division, worker, password_hash],
            )
            account = await cursor.fetchone()
    except UniqueViolation:
        raise Conflict(f"There is an operator {name!r} already; choose another name.") from None
    except ForeignKeyViolation:
        raise InvalidInput(f"There is no worker {worker!r}; import workers first.") from None
    except CheckViolation as error:
        field = "division (digits of a division code)" if "division" in str(error.diag.constraint_name) else "name"
        raise InvalidInput(
            f"The {field} of an operator is not valid; a name has letters, digits and _.@- only."
        ) from None
    assert account is not None
    details: dict[str, object] = {"role": role, "division": division, "worker": worker}
    await record(connection, _entry(by, "operator.add", name, details))
    return account


async def accounts(connection: Connection, division: str = "", after: str = "", limit: int = 500) -> list[Account]:
    """Accounts whose scope lies in `division`, by name, those after `after`."""
    async with connection.cursor(row_factory=class_row(Account)) as cursor:
        await cursor.execute(
            f"SELECT {_COLUMNS} FROM operators o WHERE o.division LIKE %s AND o.name > %s ORDER BY o.name LIMIT %s",  # noqa: S608
            [f"{division}%", after, limit],
        )
        return await cursor.fetchall()


async def account(connection: Connection, name: str) -> Account:
    """One account. Raises NotFound."""
    async with connection.cursor(row_factory=class_row(Account)) as cursor:
        await cursor.execute(f"SELECT {_COLUMNS} FROM operators o WHERE o.name = %s", [name])  # noqa: S608
        found = await cursor.fetchone()
    if found is None:
        raise NotFound(f"There is no operator {name!r}.")
    return found


async def password_hash(connection: Connection, name: str) -> str | None:
    """The hash of an account that may sign in; None when there is none, or it is disabled or has tokens only."""
    cursor = await connection.execute(
        "SELECT password_hash FROM operators WHERE name = %s AND disabled_at IS NULL", [name]
    )
    row = await cursor.fetchone()
    return cast("str | None", row[0]) if row else None


async def set_password(connection: Connection, by: Operator, name: str, kept: str) -> None:
    """Sets a password and ends all sessions of the account. By the person itself: it counts as changed."""
    own = by.name == name and by.id is not None
    cursor = await connection.execute(
        """UPDATE operators SET password_hash = %s,
                  password_changed_at = CASE WHEN %s THEN now() END WHERE name = %s RETURNING id""",
        [kept, own, name],
    )
    row = await cursor.fetchone()
    if row is None:
        raise NotFound(f"There is no operator {name!r}.")
    await _revoke(connection, row[0], "session")
    await record(connection, _entry(by, "operator.password", name))


async def disable(connection: Connection, by: Operator, name: str) -> None:
    """Ends an account: no sign-in, no token. Its history stays."""
    cursor = await connection.execute(
        "UPDATE operators SET disabled_at = now() WHERE name = %s AND disabled_at IS NULL RETURNING id", [name]
    )
    row = await cursor.fetchone()
    if row is None:
        raise NotFound(f"There is no active operator {name!r}.")
    await _revoke(connection, row[0])
    await record(connection, _entry(by, "operator.disable", name))


async def new_bearer(connection: Connection, by: Operator, name: str, *, revoke_others: bool = False) -> str:
    """A new bearer token of an active account; the earlier ones stay valid unless `revoke_others`. Raises NotFound."""
    found = await account(connection, name)
    if found.disabled_at is not None:
        raise Conflict(f"The operator {name!r} is disabled.")
    if revoke_others:
        await _revoke(connection, found.id, "bearer")
    token = new_token()
    await connection.execute(
        "INSERT INTO operator_tokens (token_sha256, operator, purpose) VALUES (%s, %s, 'bearer')",
        [token_sha256(token), found.id],
    )
    await record(connection, _entry(by, "operator.token", name, {"revoke_others": revoke_others}))
    return token


async def open_session(connection: Connection, name: str, hours: float, peer: str | None) -> Session:
    """Opens a session of the page for an account whose password was just checked."""
    found = await account(connection, name)
    token, csrf = new_token(), new_token()
    await connection.execute(
        """INSERT INTO operator_tokens (token_sha256, operator, purpose, csrf_sha256, expires_at)
           VALUES (%s, %s, 'session', %s, now() + make_interval(secs => %s))""",
        [token_sha256(token), found.id, token_sha256(csrf), hours * 3600],
    )
    await connection.execute("DELETE FROM operator_tokens WHERE expires_at < now() - interval '7 days'")
    await record(connection, _entry(found.operator(peer), "session.open", name))
    return Session(token, csrf, found)


async def close_session(connection: Connection, by: Operator, token: str) -> None:
    """Ends the session of this token."""
    await connection.execute(
        "UPDATE operator_tokens SET revoked_at = now() WHERE token_sha256 = %s AND revoked_at IS NULL",
        [token_sha256(token)],
    )
    await record(connection, _entry(by, "session.close", by.name))


async def by_token(connection: Connection, token: str, purpose: str) -> tuple[Account, bytes | None] | None:
    """The account of a valid token and the digest of its CSRF token. Index: primary key of operator_tokens."""
    cursor = await connection.execute(
        f"""SELECT {_COLUMNS}, t.csrf_sha256 FROM operator_tokens t JOIN operators o ON o.id = t.operator
            WHERE t.token_sha256 = %s AND t.purpose = %s AND t.revoked_at IS NULL AND o.disabled_at IS NULL
              AND (t.expires_at IS NULL OR t.expires_at > now())""",  # noqa: S608 (a constant)
        [token_sha256(token), purpose],
    )
    row = await cursor.fetchone()
    return (Account(*row[:-1]), row[-1] and bytes(row[-1])) if row else None


async def valid_bearers(connection: Connection, digests: list[bytes]) -> set[bytes]:
    """Those of these digests that are of valid bearer tokens. Index: primary key of operator_tokens."""
    cursor = await connection.execute(
        """SELECT t.token_sha256 FROM operator_tokens t JOIN operators o ON o.id = t.operator
           WHERE t.token_sha256 = ANY(%s) AND t.purpose = 'bearer' AND t.revoked_at IS NULL
             AND o.disabled_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > now())""",
        [digests],
    )
    return {bytes(row[0]) for row in await cursor.fetchall()}


async def is_empty(connection: Connection) -> bool:
    """Whether nobody has an account yet."""
    row = await (await connection.execute("SELECT EXISTS (SELECT FROM operators)")).fetchone()
    return row is not None and not row[0]


async def _revoke(connection: Connection, operator: int, purpose: str | None = None) -> None:
    await connection.execute(
        """UPDATE operator_tokens SET revoked_at = now()
           WHERE operator = %s AND revoked_at IS NULL AND (%s::text IS NULL OR purpose = %s)""",
        [operator, purpose, purpose],
    )


def _entry(by: Operator, action: str, target: str, details: dict[str, object] | None = None) -> Entry:
    return Entry(by.who, action, by.role, target, by.division, None, by.peer, details or {})
