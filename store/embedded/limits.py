"""File descriptors: the limit that many connections run into first, raised by ourselves where we may."""

import resource

import structlog

from core.errors import StoreError

log = structlog.get_logger()

NEEDED_FILES = 1024
MOST_FILES = 1 << 20  # some hosts say a thousand million, and programs that we start size tables by it


def raise_file_limit(needed: int = NEEDED_FILES) -> int:
    """Raise the soft limit of open files to the hard one (2^20 at most) and return it; children inherit it.

    Raises StoreError naming `ulimit -n` when the hard limit is below `needed`.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = hard == resource.RLIM_INFINITY
    if not unlimited and hard < needed:
        raise StoreError(
            f"Only {hard} files may be open at once and {needed} are needed; "
            f"raise the hard limit (`ulimit -Hn {needed}` as root, or LimitNOFILE= of the unit) and start again."
        )
    aim = max(soft, needed, MOST_FILES if unlimited else min(hard, MOST_FILES))
    if soft < aim:
        resource.setrlimit(resource.RLIMIT_NOFILE, (aim, hard))
        log.info("file_limit_raised", before=soft, now=aim)
    return aim
