"""Imported rows of cameras taken apart: what goes to the registry, and the log-ins, which never do."""

from typing import Any, NamedTuple

from core.errors import InvalidInput
from devices.camera_address import parse_address
from devices.camera_secrets import LogIn
from devices.parsing import RowError, Rows

_SETTINGS = ("sub_url", "audio")
_SECRETS = ("user", "password")
_NOT_KEPT = "holds a log-in, and log-ins of cameras are not kept here; leave user and password out"


class CameraRows(NamedTuple):
    """rows: with addresses without log-ins, and without the columns of settings and secrets. By camera id: settings
    that the file changes (None: takes out), and log-ins, from columns or addresses."""

    rows: Rows
    settings: dict[str, dict[str, object]]
    log_ins: dict[str, LogIn]
    errors: list[RowError]


def taken_apart(rows: Rows, *, keeps_log_ins: bool) -> CameraRows:
    """Good rows; the errors of the others name no password. keeps_log_ins: False: rows with one are refused."""
    own = [name for name in rows.columns if name not in (*_SETTINGS, *_SECRETS)]
    apart = CameraRows(Rows(tuple(own)), {}, {}, [])
    for number, values in zip(rows.numbers, rows.values, strict=True):
        row: dict[str, Any] = dict(zip(rows.columns, values, strict=True))
        try:
            log_in = _without_log_in(row)
            if log_in is not None and not keeps_log_ins:
                raise InvalidInput(f"{'url' if row.get('user') is None else 'user'}: {_NOT_KEPT}")
        except InvalidInput as error:
            name, _, reason = str(error).partition(": ")
            apart.errors.append(RowError(number, name, reason))
            continue
        apart.rows.numbers.append(number)
        apart.rows.values.append([row[name] for name in own])
        changes = {name: row[name] or None for name in _SETTINGS if name in rows.columns}
        if changes:
            apart.settings[row["id"]] = changes
        if log_in is not None:
            apart.log_ins[row["id"]] = log_in
    return apart


def _without_log_in(row: dict[str, Any]) -> LogIn | None:
    """Takes the log-in out of the row's addresses; columns of their own come first."""
    found: LogIn | None = None
    for field in ("sub_url", "url"):
        if row.get(field) is not None:
            address = parse_address(row[field], field)
            row[field], found = address.url, address.log_in or found
    if row.get("user") is not None:
        return LogIn(row["user"], row.get("password") or "")
    if row.get("password") is not None:
        raise InvalidInput("user: is missing beside the password")
    return found
