"""SOAP 1.2 as a small ONVIF device speaks it: what was asked, whose token is in it, answers and faults."""

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass, field
from datetime import UTC, datetime
from xml.etree import ElementTree
from xml.sax.saxutils import escape

ENVELOPE = "http://www.w3.org/2003/05/soap-envelope"
CONTENT_TYPE = "application/soap+xml; charset=utf-8"
NAMESPACES = {
    "tds": "http://www.onvif.org/ver10/device/wsdl",
    "trt": "http://www.onvif.org/ver10/media/wsdl",
    "tr2": "http://www.onvif.org/ver20/media/wsdl",
    "tt": "http://www.onvif.org/ver10/schema",
    "ter": "http://www.onvif.org/ver10/error",
}
_SECURITY = "{http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd}"
_UTILITY = "{http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd}"


@dataclass(frozen=True, slots=True)
class Token:
    """WS-UsernameToken with PasswordDigest. created: as the client wrote it."""

    user: str
    digest: str
    nonce: str
    created: str


@dataclass(frozen=True, slots=True)
class Call:
    """One call. prefix: of NAMESPACES, "" for a strange service. parameters: texts of all elements by local name."""

    prefix: str
    name: str
    parameters: dict[str, str] = field(default_factory=dict)
    token: Token | None = None


def call(data: bytes) -> Call | None:
    """What was asked; None where it is no SOAP request. Documents that define entities are none."""
    if b"<!" in data:
        return None
    try:
        root = ElementTree.fromstring(data)  # noqa: S314 - no entities, see above
    except (ElementTree.ParseError, ValueError, LookupError):
        return None
    body = root.find(f"{{{ENVELOPE}}}Body")
    if body is None or len(body) == 0:
        return None
    space, _, name = body[0].tag.lstrip("{").rpartition("}")
    prefix = next((prefix for prefix, known in NAMESPACES.items() if known == space), "")
    parameters = {one.tag.rpartition("}")[2]: (one.text or "").strip() for one in body[0].iter()}
    found = root.find(f".//{_SECURITY}UsernameToken")
    return Call(prefix, name, parameters, None if found is None else _token(found))


def _token(found: ElementTree.Element) -> Token:
    names = (f"{_SECURITY}Username", f"{_SECURITY}Password", f"{_SECURITY}Nonce", f"{_UTILITY}Created")
    return Token(*((found.findtext(name) or "").strip() for name in names))


def admits(token: Token, user: str, password: str, now: datetime, tolerance_s: float) -> bool:
    """Whether the token proves the password (ONVIF Core, WS-UsernameToken profile 1.0) and is fresh by our clock."""
    try:
        nonce = base64.b64decode(token.nonce, validate=True)
        created = datetime.fromisoformat(token.created)
    except (binascii.Error, ValueError):
        return False
    created = created if created.tzinfo else created.replace(tzinfo=UTC)
    if abs((now - created).total_seconds()) > tolerance_s:
        return False
    wanted = base64.b64encode(
        hashlib.sha1(nonce + token.created.encode() + password.encode(), usedforsecurity=False).digest()
    )
    return token.user == user and hmac.compare_digest(wanted, token.digest.encode())


def envelope(body: str) -> bytes:
    """A whole answer."""
    spaces = " ".join(f'xmlns:{prefix}="{space}"' for prefix, space in NAMESPACES.items())
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><env:Envelope xmlns:env="{ENVELOPE}" {spaces}>'
        f"<env:Body>{body}</env:Body></env:Envelope>"
    ).encode()


def fault(code: str, subcode: str, reason: str) -> bytes:
    """A SOAP fault. code: Sender or Receiver; subcode: of ONVIF, e.g. NotAuthorized."""
    inner = element("env:Subcode", text("env:Value", f"ter:{subcode}"))
    said = f'<env:Text xml:lang="en">{escape(reason)}</env:Text>'
    codes = element("env:Code", text("env:Value", f"env:{code}"), inner)
    return envelope(element("env:Fault", codes, element("env:Reason", said)))


def element(name: str, *children: str, **attributes: object) -> str:
    """`<name …>children</name>`; children are XML already."""
    given = "".join(f' {key}="{escape(str(value), {chr(34): "&quot;"})}"' for key, value in attributes.items())
    return f"<{name}{given}>{''.join(children)}</{name}>"


def text(name: str, value: object) -> str:
    """An element with a text."""
    shown = str(value).lower() if isinstance(value, bool) else str(value)
    return f"<{name}>{escape(shown)}</{name}>"
