"""The one family of errors: a machine-readable kind and a sentence that says what to do.

Every error that a person or another program may see is a `WanggeError`. `kind` is stable (a program may
branch on it, a metric may count it); `str(error)` is the sentence; `details` are facts for the log.
"""

from typing import ClassVar


class WanggeError(Exception):
    """Base of all errors of this project.

    kind: stable lower-case word of the class, e.g. `store_unavailable`.
    details: facts beside the sentence; never a secret, never a card number.
    """

    kind: ClassVar[str] = "error"

    def __init__(self, message: str, **details: object) -> None:
        super().__init__(message)
        self.details = details


class ConfigurationError(WanggeError):
    """A setting is unknown, out of range or contradicts another. The command line ends with status 2."""

    kind = "configuration"


class StoreError(WanggeError):
    """The store refuses for good: wrong major version, second instance, not ours. Trying again does not help."""

    kind = "store"


class StoreUnavailable(WanggeError):
    """The store cannot be reached or written just now. Trying again later helps; HTTP answers 503."""

    kind = "store_unavailable"


class LeaseLost(WanggeError):
    """Another process holds the lease: what was about to be written must not be."""

    kind = "lease_lost"


class DecodeError(WanggeError):
    """Bytes of a device that are not what its protocol says. The only error a decoder raises."""

    kind = "malformed"


class NotAllowed(WanggeError):
    """The caller is known but has no right to this (HTTP 403)."""

    kind = "forbidden"


class NotFound(WanggeError):
    """Nothing of that name exists in the caller's scope (HTTP 404)."""

    kind = "not_found"


class Conflict(WanggeError):
    """The present state does not allow it (HTTP 409)."""

    kind = "conflict"


class InvalidInput(WanggeError):
    """What a person or program sent is wrong; the sentence names the field (HTTP 400 or 422)."""

    kind = "invalid"
