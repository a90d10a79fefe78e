"""The configuration files that we write for PostgreSQL at every start, and what may be changed in them.

Sized for the machine it stands on; a 2-core, 24 GiB box is the yardstick. Durability is not for sale: `fsync`,
`full_page_writes` and `synchronous_commit` stay on, and are given on the command line too, which outranks
`ALTER SYSTEM`.
"""

from collections.abc import Mapping
from pathlib import Path

import psutil

from core.errors import ConfigurationError

DURABILITY = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on"}
_TRUE_WORDS = {"on", "true", "yes", "1"}
_OURS = ("listen_addresses", "port", "unix_socket_directories", "hba_file", "data_directory", "password_encryption")

HBA = """\
# Written by wangge at every start. Every connection needs a password.
local all         all                scram-sha-256
host  all         all  127.0.0.1/32  scram-sha-256
host  replication all  127.0.0.1/32  scram-sha-256
"""


def check_extra_settings(extra: Mapping[str, str]) -> None:
    """Raise ConfigurationError for settings that would weaken durability or take what the launcher decides."""
    for name, value in extra.items():
        key = name.strip().lower()
        if key in DURABILITY and str(value).strip().strip("'").lower() not in _TRUE_WORDS:
            raise ConfigurationError(f"store.settings: {key} must stay on: acknowledged means stored.")
        if key in _OURS or not key.replace("_", "").replace(".", "").isalnum():
            raise ConfigurationError(f"store.settings: {name!r} is not yours to set; remove it.")


def memory_bytes() -> int:
    """Memory that we may use: the machine's, or the control group's limit where that is lower."""
    total = int(psutil.virtual_memory().total)
    for name in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            limit = int(Path(name).read_text())
        except (OSError, ValueError):
            continue
        if 0 < limit < total:
            total = limit
    return total


def configuration(major: int, extra: Mapping[str, str]) -> str:
    """The text of `postgresql.conf` for one major version."""
    megabytes = memory_bytes() >> 20
    shared = max(32, min(512, megabytes // 64))
    settings: dict[str, str] = {
        **DURABILITY,
        "unix_socket_directories": "",
        "password_encryption": "scram-sha-256",
        "max_connections": "60",
        "shared_buffers": f"{shared}MB",
        "effective_cache_size": f"{max(128, megabytes // 2)}MB",
        "work_mem": "8MB",
        "maintenance_work_mem": f"{max(32, min(256, megabytes // 32))}MB",
        "max_worker_processes": "8",
        "max_parallel_workers": "2",
        "max_parallel_workers_per_gather": "1",
        "jit": "off",
        "wal_compression": "on",
        "wal_buffers": "16MB",
        "max_wal_size": "4GB",
        "min_wal_size": "256MB",
        "checkpoint_timeout": "15min",
        "checkpoint_completion_target": "0.9",
        "max_wal_senders": "4",
        "wal_level": "replica",
        "random_page_cost": "1.1",
        "autovacuum_max_workers": "2",
        "autovacuum_naptime": "30s",
        "idle_in_transaction_session_timeout": "10min",
        "tcp_keepalives_idle": "30",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "lc_messages": "C",
        "datestyle": "ISO, YMD",
        "logging_collector": "off",
        "log_line_prefix": "%m [%p] %q%u@%d ",
        "log_checkpoints": "off",
        "log_lock_waits": "on",
        "log_min_duration_statement": "5s",
        "log_parameter_max_length": "0",
        "log_parameter_max_length_on_error": "0",
        "log_min_error_statement": "panic",  # statements and details may carry what must not reach a log
        "log_error_verbosity": "terse",
    }
    if major >= 18:
        settings["io_method"] = "worker"
        settings["io_workers"] = "2"
    settings.update({name.strip().lower(): str(value) for name, value in extra.items()})
    lines = [f"{name} = {quoted(value)}" for name, value in settings.items()]
    return "# Written by wangge at every start; change store.settings instead.\n" + "\n".join(lines) + "\n"


def quoted(value: str) -> str:
    """A value as postgresql.conf wants it."""
    if any(character in value for character in "\n\r\0"):
        raise ConfigurationError("store.settings: a value must stay on one line.")
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


def command_line(port: int) -> list[str]:
    """Arguments that outrank every file."""
    chosen = {**DURABILITY, "listen_addresses": "127.0.0.1", "port": str(port)}
    return [part for name, value in chosen.items() for part in ("-c", f"{name}={value}")]
