"""Addresses of cameras: what may be registered, and how a log-in in them is taken out."""

from typing import NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from core.errors import InvalidInput
from devices.camera_secrets import LogIn


class CameraAddress(NamedTuple):
    """url: without user and password. log_in: what was in it; None when it held none."""

    url: str
    log_in: LogIn | None = None


def parse_address(address: str, field: str = "url") -> CameraAddress:
    """Takes an RTSP address apart. field: for the error. Raises InvalidInput, which never quotes the address."""
    parts = _parts(address, field)
    user, password = parts.username, parts.password
    if user is None and password is None:
        return CameraAddress(address)
    try:
        log_in = LogIn(unquote(user or ""), unquote(password or ""))
    except InvalidInput as error:
        raise InvalidInput(f"{field}: the log-in in it cannot be used: {error}") from None
    return CameraAddress(urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])), log_in)


def check_camera_url(url: str | None, field: str = "url") -> None:
    """Raises InvalidInput when it is no RTSP address, or one that holds a user or password."""
    parts = _parts(url, field)
    if "@" in parts.netloc:
        raise InvalidInput(f"{field}: leave user and password out of the address; they are kept in the secrets file.")


def _parts(url: str | None, field: str) -> SplitResult:
    try:
        parts = urlsplit(url or "")
        well_formed = parts.scheme in ("rtsp", "rtsps") and bool(parts.hostname) and (parts.port or 1) > 0
        well_formed = well_formed and str(url).isprintable() and " " not in str(url) and len(str(url)) <= 500
    except ValueError:
        well_formed = False
    if not well_formed:
        raise InvalidInput(f"{field}: a camera needs an address like rtsp://192.168.1.10:554/stream1.")
    return parts
