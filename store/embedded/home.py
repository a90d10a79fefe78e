"""Where the cluster of a data folder lives, decided once and then kept.

`folder` itself where PostgreSQL's user can reach it and the programs; else `/var/lib/wangge/<hash of folder>`.
A store that exists is always found again: the file `store.place` in the folder names its home, and the home
outside the folder names its folder in the file `owner`, so that a moved folder keeps its store and a copied one
does not touch the store of its original.
"""

import os
from pathlib import Path

import structlog

from core.errors import StoreError
from store.embedded.account import Account, make_system_folder, system_folder
from store.embedded.cluster import Place, version_of
from store.embedded.failures import disk_errors
from store.embedded.instance import write_private
from store.embedded.wheel import binaries, copied, reachable_by

log = structlog.get_logger()

DATA_NAME = "postgres"
LOG_NAME = "postgres.log"
PLACE_NAME = "store.place"
_OWNER_NAME = "owner"


def make_folder(folder: Path) -> None:
    """Make the data folder when absent: only for us, but passable for PostgreSQL's user where we are root."""
    if folder.is_dir():
        return
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o711 if os.geteuid() == 0 else 0o700)


def known_home(folder: Path) -> Path | None:
    """The home of the store that `folder` has already; None when it has none.

    Raises StoreError where `folder` is a copy of another data folder, or its store has vanished.
    """
    try:
        named = Path((folder / PLACE_NAME).read_text(encoding="utf-8").strip())
    except OSError:
        candidates = [folder, system_folder(folder)]
        return next((home for home in candidates if _has_cluster(home)), None)
    if named == folder or _owner(named) is None:
        home = folder
    elif _owner(named) == folder:
        home = named
    elif (original := _owner(named)) is not None and original.exists():
        raise StoreError(
            f"{folder} is a copy of {original}, whose store lives in {named}; remove {folder / PLACE_NAME} to start "
            "with an empty store, or bring the data over with `wangge backup` and `wangge restore`."
        )
    else:
        home = named  # the folder was moved
    if not _has_cluster(home):
        raise StoreError(
            f"The store of {folder} was in {home} and is gone; bring it back, or remove {folder / PLACE_NAME} "
            "to start with an empty one or to restore a backup."
        )
    return home


def place_for(folder: Path, major: int, account: Account) -> Place:
    """The place of the cluster of `folder`, made ready: folders made, programs copied where needed."""
    make_folder(folder)
    bin_dir = binaries(major)
    programs_reachable = reachable_by(account, bin_dir)
    home = known_home(folder)
    if home is None:
        home = folder if programs_reachable and account.can_pass(folder) else system_folder(folder)
    if home == folder and not account.can_pass(folder):
        raise StoreError(
            f"User {account.uid}, who runs PostgreSQL, may not pass into {folder}, where the store lives; "
            f"give the right (chmod o+x on it and the folders above) or set store.user."
        )
    if home != folder:
        make_system_folder(home, account)
        if _owner(home) != folder:
            write_private(home / _OWNER_NAME, f"{folder}\n")
    if not programs_reachable:
        bin_dir = copied(major, make_system_folder(system_folder(folder) if home == folder else home, account), account)
    return Place(home / DATA_NAME, bin_dir, major, account, folder / LOG_NAME)


def remember(folder: Path, home: Path) -> None:
    """Note in `folder` where its store lives; call once the cluster exists."""
    if _read(folder / PLACE_NAME) != str(home):
        write_private(folder / PLACE_NAME, f"{home}\n")


def store_version(folder: Path) -> int | None:
    """Major version of the store of `folder`, None when it has none."""
    home = known_home(folder)
    return version_of(home / DATA_NAME) if home is not None else None


def _has_cluster(home: Path) -> bool:
    """True for a cluster, and for one that an interrupted upgrade has set aside."""
    return version_of(home / DATA_NAME) is not None or any(home.glob(f"{DATA_NAME}.old-*"))


def _owner(home: Path) -> Path | None:
    text = _read(home / _OWNER_NAME)
    return Path(text) if text else None


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return None
