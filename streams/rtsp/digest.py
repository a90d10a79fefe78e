"""Digest authentication (RFC 7616 and 2617). Basic is not spoken: it would show the password to the network."""

import hashlib
import re
import secrets
from dataclasses import dataclass, field

_PART = re.compile(r'(\w+)\s*=\s*(?:"([^"]*)"|([^\s,]+))')
_HASHES = {"SHA-256": hashlib.sha256, "MD5": hashlib.md5}


@dataclass(slots=True)
class Login:
    """A user's answers to one server's challenge. Neither `repr` nor an error shows the password."""

    user: str = field(repr=False)
    password: str = field(repr=False)
    _challenge: dict[str, str] = field(default_factory=dict, repr=False)
    _count: int = 0

    def challenged(self, headers: list[str]) -> bool:
        """Takes up the best of the `WWW-Authenticate` headers; False when there is none that we speak."""
        found = [
            {match[1].lower(): match[2] or match[3] or "" for match in _PART.finditer(text)}
            for text in headers
            if text.strip().lower().startswith("digest")
        ]
        for name in _HASHES:
            for challenge in found:
                if challenge.get("algorithm", "MD5").upper() == name and "nonce" in challenge:
                    self._challenge, self._count = challenge, 0
                    return True
        return False

    def header(self, method: str, url: str) -> str | None:
        """`Authorization` for a request; None before any challenge."""
        challenge = self._challenge
        if not challenge:
            return None
        make = _HASHES[challenge.get("algorithm", "MD5").upper()]

        def digest(text: str) -> str:
            return make(text.encode()).hexdigest()

        realm, nonce = challenge.get("realm", ""), challenge["nonce"]
        secret, request = digest(f"{self.user}:{realm}:{self.password}"), digest(f"{method}:{url}")
        fields = {"username": self.user, "realm": realm, "nonce": nonce, "uri": url}
        plain = {}
        if "auth" in [one.strip() for one in challenge.get("qop", "").split(",")]:
            self._count += 1
            count, own = f"{self._count:08x}", secrets.token_hex(8)
            fields |= {"cnonce": own, "response": digest(f"{secret}:{nonce}:{count}:{own}:auth:{request}")}
            plain = {"qop": "auth", "nc": count}
        else:
            fields["response"] = digest(f"{secret}:{nonce}:{request}")
        if "opaque" in challenge:
            fields["opaque"] = challenge["opaque"]
        if "algorithm" in challenge:
            plain["algorithm"] = challenge["algorithm"]
        parts = [f'{name}="{value}"' for name, value in fields.items()]
        return "Digest " + ", ".join([*parts, *(f"{name}={value}" for name, value in plain.items())])
