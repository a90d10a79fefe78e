"""Under which user PostgreSQL runs, and which folder that user can use.

PostgreSQL refuses to run as root. A service started as root stays root; only PostgreSQL and its tools run as
`store.user` or uid 65534. Where that uid cannot reach the data folder, the store lives in
`/var/lib/wangge/<hash of the data folder>`. A service started as an ordinary user runs everything as itself.
"""

import hashlib
import os
import pwd
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from core.errors import ConfigurationError, StoreError

NOBODY_UID = 65534
SYSTEM_HOME = Path("/var/lib/wangge")


class SubprocessArguments(TypedDict, total=False):
    """What `subprocess` needs to drop rights; empty when we run as ourselves."""

    user: int
    group: int
    extra_groups: list[int]
    env: dict[str, str]


@dataclass(frozen=True, slots=True)
class Account:
    """The user of PostgreSQL. drops: we are root and give rights up for it."""

    uid: int
    gid: int
    drops: bool

    def subprocess_arguments(self, **environment: str) -> SubprocessArguments:
        """Arguments for `subprocess`: the user, and an environment free of PG* variables and locale."""
        env = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC", **environment}
        if library_path := os.environ.get("LD_LIBRARY_PATH"):
            env["LD_LIBRARY_PATH"] = library_path
        if not self.drops:
            return {"env": env}
        return {"env": env, "user": self.uid, "group": self.gid, "extra_groups": []}

    def can_read(self, path: Path) -> bool:
        """True where every folder on the way can be passed and `path` read (execute bit too for a program)."""
        if not self.drops:
            return os.access(path, os.R_OK)
        return self.can_pass(path.parent) and self._has(path, os.R_OK)

    def can_pass(self, folder: Path) -> bool:
        """True where the user may pass through `folder` and every folder above it."""
        folder = folder.resolve()
        if not self.drops:
            return os.access(folder, os.X_OK)
        return all(self._has(part, os.X_OK) for part in (folder, *folder.parents))

    def _has(self, path: Path, right: int) -> bool:
        """Permission bits alone, as the kernel reads them: owner, else group, else others (no ACLs)."""
        try:
            found = path.stat()
        except OSError:
            return False
        shift = 6 if found.st_uid == self.uid else 3 if found.st_gid == self.gid else 0
        return bool((found.st_mode >> shift) & right)


def account_for(user: str | None) -> Account:
    """The account for setting `store.user` (a name, a number or None for the default).

    Raises ConfigurationError for an unknown user, for root, or for another user when we are not root.
    """
    if user is None:
        if os.geteuid() != 0:
            return Account(os.geteuid(), os.getegid(), drops=False)
        return _numbered(NOBODY_UID)
    if user.isdecimal():
        account = _numbered(int(user))
    else:
        try:
            entry = pwd.getpwnam(user)
        except KeyError:
            raise ConfigurationError(f"store.user: this machine has no user {user!r}; name one that exists.") from None
        account = Account(entry.pw_uid, entry.pw_gid, drops=True)
    if account.uid == 0:
        raise ConfigurationError("store.user: PostgreSQL refuses to run as root; name an ordinary user.")
    if os.geteuid() == account.uid:
        return Account(account.uid, os.getegid(), drops=False)
    if os.geteuid() != 0:
        raise ConfigurationError("store.user: only root may run PostgreSQL as another user; remove the setting.")
    return account


def _numbered(uid: int) -> Account:
    try:
        return Account(uid, pwd.getpwuid(uid).pw_gid, drops=True)
    except KeyError:
        return Account(uid, uid, drops=True)


def system_folder(folder: Path) -> Path:
    """Where the store of data folder `folder` lives when PostgreSQL's user cannot reach it."""
    return SYSTEM_HOME / hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:16]


def make_system_folder(place: Path, account: Account) -> Path:
    """Make `place` below /var/lib/wangge (0700, owned by the account; the folder above 0711) and return it.

    Raises StoreError where something else stands there.
    """
    SYSTEM_HOME.mkdir(mode=0o711, parents=True, exist_ok=True)
    SYSTEM_HOME.chmod(0o711)
    place.mkdir(mode=0o700, exist_ok=True)
    found = place.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise StoreError(f"{place} is no folder; remove it.")
    os.chown(place, account.uid, account.gid)
    place.chmod(0o700)
    return place


def chown_tree(folder: Path, account: Account) -> None:
    """Give `folder` and all in it to the account (nothing to do where we run as ourselves)."""
    if not account.drops:
        return
    for parent, _, names in os.walk(folder):
        os.chown(parent, account.uid, account.gid, follow_symlinks=False)
        for name in names:
            os.chown(os.path.join(parent, name), account.uid, account.gid, follow_symlinks=False)


def remove_tree(folder: Path) -> None:
    """Remove `folder` and all in it; absent is fine, any other failure is raised."""
    if folder.is_symlink():
        folder.unlink()
    elif folder.exists():
        shutil.rmtree(folder)
