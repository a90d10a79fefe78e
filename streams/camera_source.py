"""Where a camera's stream is and how to log in there, and what its failures mean.

A log-in is held here and in the address that libav is handed, nowhere else: not in `repr`, not in an error (libav's
name the whole address, so none of theirs leaves the reader), not in a log (libav's own messages stay switched off).
"""

from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import quote, urlsplit

import av
import av.error
import av.logging

from core.errors import InvalidInput

Reason = Literal["refused", "unreachable", "unauthorized", "stalled", "garbage", "ended"]
"""Why a stream is lost (core.camera.KindCode.SIGNAL)."""

av.logging.set_level(None)

FAILURES = (
    av.error.FFmpegError,
    OSError,
    ValueError,
    RuntimeError,
    LookupError,
    TypeError,
    ArithmeticError,
    AssertionError,
    MemoryError,
)
"""What PyAV may raise on account of what a camera sends; each ends a session, never the process."""


@dataclass(frozen=True, slots=True)
class Source:
    """One stream of a camera. url: rtsp or rtsps, without log-in. audio: whether its sound is wanted."""

    url: str
    user: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    audio: bool = False

    def __post_init__(self) -> None:
        """Raises InvalidInput for an address that is none, or that holds a log-in; the text is not repeated."""
        try:
            parts = urlsplit(self.url)
            is_good = parts.scheme in ("rtsp", "rtsps") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            is_good = False
        if not is_good:
            raise InvalidInput("A camera's address must look like rtsp://host:554/path.")
        if parts.username is not None or parts.password is not None:
            raise InvalidInput("A camera's log-in belongs into the file of secrets, not into its address.")

    def address(self) -> str:
        """What libav is handed; holds the log-in, so it must not be kept or shown."""
        if not self.user:
            return self.url
        parts = urlsplit(self.url)
        login = quote(self.user, safe="") + ":" + quote(self.password or "", safe="")
        return parts._replace(netloc=f"{login}@{parts.netloc}").geturl()


_REASONS: tuple[tuple[type[BaseException], Reason], ...] = (
    (av.error.HTTPUnauthorizedError, "unauthorized"),
    (av.error.HTTPForbiddenError, "unauthorized"),
    (av.error.HTTPError, "refused"),
    (av.error.HTTPClientError, "refused"),
    (ConnectionRefusedError, "refused"),
    (TimeoutError, "stalled"),
    (av.error.ExitError, "stalled"),
    (ConnectionError, "ended"),
    (av.error.EOFError, "ended"),
    (av.error.InvalidDataError, "garbage"),
    (av.error.OSError, "unreachable"),
    (OSError, "unreachable"),
)


def reason_of(error: BaseException, has_opened: bool) -> Reason:
    """What a failure says about the camera. has_opened: the session had been set up before."""
    if isinstance(error, Stalled):
        return "stalled"
    if isinstance(error, Refused):
        return "unauthorized" if error.status in (401, 403) else "refused"
    reason: Reason = next((reason for kind, reason in _REASONS if isinstance(error, kind)), "garbage")
    if not has_opened and reason == "stalled":
        return "unreachable"
    if has_opened and reason == "unreachable":
        return "ended"
    return reason


def says_later(error: BaseException) -> bool:
    """Whether the camera answered that it cannot serve us now: 453, 503 and such, which libav does not tell apart."""
    return isinstance(error, Refused | av.error.HTTPError | av.error.HTTPClientError)


class Stalled(Exception):
    """Pictures have stopped, or their time stands still."""


class Refused(Exception):
    """The camera answered with an error. status: of RTSP."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the camera answered {status}")
        self.status = status
