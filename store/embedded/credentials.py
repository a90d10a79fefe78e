"""The passwords and addresses of the embedded store, in files with mode 0600 in the service's data folder.

`store.password` holds both passwords (JSON: role → password, 256 random bits each); `store.dsn` is the
application's address (role `wangge`, owner of database `wangge`, no superuser); `store.admin.dsn` the superuser's.
"""

import json
import secrets
from dataclasses import dataclass
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict

from core.errors import StoreError
from store.embedded.instance import write_private

ADMIN_ROLE = "postgres"
APPLICATION_ROLE = "wangge"
DATABASE = "wangge"
PASSWORD_NAME = "store.password"  # noqa: S105 (a file name)
DSN_NAME = "store.dsn"
ADMIN_DSN_NAME = "store.admin.dsn"
FILE_NAMES = (PASSWORD_NAME, DSN_NAME, ADMIN_DSN_NAME)


@dataclass(frozen=True, slots=True, repr=False)
class Passwords:
    """The passwords of the two roles. No repr, so that no log shows them."""

    admin: str
    application: str


def load_passwords(folder: Path) -> Passwords | None:
    """The passwords kept in `folder`, None when the file is absent or garbled."""
    try:
        kept = json.loads((folder / PASSWORD_NAME).read_text(encoding="utf-8"))
        return Passwords(admin=kept[ADMIN_ROLE], application=kept[APPLICATION_ROLE])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def new_passwords() -> Passwords:
    """Two random passwords, kept nowhere yet."""
    return Passwords(admin=secrets.token_urlsafe(32), application=secrets.token_urlsafe(32))


def save_passwords(folder: Path, passwords: Passwords) -> Passwords:
    """Keep the passwords in `folder` and return them."""
    kept = {ADMIN_ROLE: passwords.admin, APPLICATION_ROLE: passwords.application}
    write_private(folder / PASSWORD_NAME, json.dumps(kept) + "\n")
    return passwords


def address(role: str, password: str, port: int, database: str) -> str:
    """A DSN as URL; the password is URL-safe by make."""
    return f"postgresql://{role}:{password}@127.0.0.1:{port}/{database}"


def write_addresses(folder: Path, passwords: Passwords, port: int) -> None:
    """Write both DSN files."""
    write_private(folder / DSN_NAME, address(APPLICATION_ROLE, passwords.application, port, DATABASE) + "\n")
    write_private(folder / ADMIN_DSN_NAME, address(ADMIN_ROLE, passwords.admin, port, ADMIN_ROLE) + "\n")


def read_address(folder: Path, name: str = DSN_NAME) -> str:
    """The DSN in `folder`. Raises StoreError where no service has made one there."""
    try:
        dsn = (folder / name).read_text(encoding="utf-8").strip()
        conninfo_to_dict(dsn)
    except OSError as error:
        raise StoreError(f"{folder} has no readable {name}; name the data folder of a service with --data.") from error
    return dsn
