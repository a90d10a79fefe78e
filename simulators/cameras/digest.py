"""Digest authentication (RFC 2617, MD5, with and without qop=auth) of RTSP and of the ONVIF device's HTTP."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

REALM = "Wangge camera"
_PAIR = re.compile(r'(\w+)=(?:"((?:[^"\\]|\\.)*)"|([^\s,]+))')


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def fields(header: str) -> dict[str, str]:
    """The parameters of an Authorization header, names in lower case."""
    return {pair[1].lower(): pair[2] if pair[2] is not None else pair[3] for pair in _PAIR.finditer(header)}


def expected(user: str, password: str, method: str, given: Mapping[str, str]) -> str:
    """What `response` must be for the given parameters."""
    ha1 = _md5(f"{user}:{given.get('realm', '')}:{password}")
    ha2 = _md5(f"{method}:{given.get('uri', '')}")
    if "qop" in given:
        middle = f"{given.get('nonce', '')}:{given.get('nc', '')}:{given.get('cnonce', '')}:{given['qop']}"
        return _md5(f"{ha1}:{middle}:{ha2}")
    return _md5(f"{ha1}:{given.get('nonce', '')}:{ha2}")


@dataclass(frozen=True, slots=True)
class Gate:
    """Who may come in; its nonce is new for each instance."""

    user: str
    password: str
    qop: bool = False
    nonce: str = field(default_factory=lambda: secrets.token_hex(16))

    def challenge(self) -> str:
        """Value of WWW-Authenticate."""
        return f'Digest realm="{REALM}", nonce="{self.nonce}", algorithm=MD5' + (', qop="auth"' if self.qop else "")

    def admits(self, method: str, authorization: str | None) -> bool:
        """Whether the header proves the password for this method. The address in it is the client's own choice."""
        if authorization is None or not authorization.lower().startswith("digest "):
            return False
        given = fields(authorization[7:])
        same = given.get("username") == self.user and given.get("realm") == REALM and given.get("nonce") == self.nonce
        return same and hmac.compare_digest(
            expected(self.user, self.password, method, given).encode(), given.get("response", "").encode()
        )
