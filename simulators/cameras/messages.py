"""RTSP 1.0 messages as the server reads and writes them (RFC 2326). Pure: no I/O, no clock."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote

MOST_HEAD = 16_384
MOST_BODY = 65_536
REASONS = {
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    413: "Request Entity Too Large",
    454: "Session Not Found",
    455: "Method Not Valid in This State",
    459: "Aggregate Operation Not Allowed",
    461: "Unsupported Transport",
    501: "Not Implemented",
    505: "RTSP Version Not Supported",
}
_REQUEST_LINE = re.compile(r"([A-Z_]{1,20}) (\S{1,2048}) RTSP/(\d\.\d)")
_HEADER_NAME = re.compile(r"[!-9;-~]+")
_TRACK = re.compile(r"/?trackID=(\d{1,3})/?$")
_INTERLEAVED = re.compile(r"interleaved=(\d{1,3})(?:-(\d{1,3}))?")


class MessageError(Exception):
    """What came is no RTSP request; the connection cannot go on."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request; header names in lower case."""

    method: str
    url: str
    version: str = "1.0"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Interleaved:
    """A binary frame of the client: receiver reports."""

    channel: int
    data: bytes


class MessageReader:
    """Takes bytes as they come, gives whole messages. Bounded: never holds more than one message."""

    def __init__(self) -> None:
        self._waiting = bytearray()

    def feed(self, data: bytes) -> list[Request | Interleaved]:
        """The messages that are whole now. Raises MessageError; then nothing more can be read."""
        self._waiting += data
        found: list[Request | Interleaved] = []
        while self._waiting:
            one = self._frame() if self._waiting[0] == 0x24 else self._request()
            if one is None:
                break
            found.append(one)
        return found

    def _frame(self) -> Interleaved | None:
        waiting = self._waiting
        if len(waiting) < 4:
            return None
        end = 4 + int.from_bytes(waiting[2:4], "big")
        if len(waiting) < end:
            return None
        one = Interleaved(waiting[1], bytes(waiting[4:end]))
        del waiting[:end]
        return one

    def _request(self) -> Request | None:
        waiting = self._waiting
        while waiting and waiting[0] in b"\r\n":
            del waiting[:1]
        head, size = _head_end(waiting)
        if head < 0:
            if len(waiting) > MOST_HEAD:
                raise MessageError("head too long")
            return None
        if head > MOST_HEAD:
            raise MessageError("head too long")
        request = parsed_head(bytes(waiting[:head]))
        length = request.headers.get("content-length", "0").strip()
        if not length.isascii() or not length.isdigit() or len(length) > 9 or int(length) > MOST_BODY:
            raise MessageError("impossible Content-Length")
        end = head + size + int(length)
        if len(waiting) < end:
            return None
        body = bytes(waiting[head + size : end])
        del waiting[:end]
        return Request(request.method, request.url, request.version, request.headers, body)


def _head_end(data: bytearray) -> tuple[int, int]:
    """Where the head ends and how long the blank line is; (−1, 0): it has not come yet. Bare LF is taken, too."""
    ends = [(at, size) for mark, size in ((b"\r\n\r\n", 4), (b"\n\n", 2)) if (at := data.find(mark)) >= 0]
    return min(ends) if ends else (-1, 0)


def parsed_head(head: bytes) -> Request:
    """Request line and headers. Raises MessageError."""
    lines = head.decode("utf-8", "replace").replace("\r\n", "\n").split("\n")
    first = _REQUEST_LINE.fullmatch(lines[0].strip())
    if first is None:
        raise MessageError("no request line")
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon or not _HEADER_NAME.fullmatch(name.strip()):
            raise MessageError("no header")
        headers.setdefault(name.strip().lower(), value.strip())
    return Request(first[1], first[2], first[3], headers)


def response(status: int, request: Request | None, headers: Mapping[str, str] | None = None, body: str = "") -> bytes:
    """An answer; CSeq is the request's."""
    lines = [f"RTSP/1.0 {status} {REASONS[status]}"]
    cseq = "" if request is None else "".join(c for c in request.headers.get("cseq", "") if c.isdigit())[:12]
    if cseq:
        lines.append(f"CSeq: {cseq}")
    lines.append("Server: wangge-simulator")
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    data = body.encode()
    if data:
        lines.append(f"Content-Length: {len(data)}")
    return "\r\n".join([*lines, "", ""]).encode() + data


@dataclass(frozen=True, slots=True)
class Target:
    """What an address names. stream: main or sub; track: None for the whole presentation."""

    camera: str
    stream: str
    track: int | None


def target(url: str) -> Target | None:
    """`rtsp://host/ID[/sub][?anything][/trackID=N]`; None where no camera is named so."""
    rest = re.sub(r"^[a-zA-Z]+://[^/?]*", "", url)
    track = _TRACK.search(rest)
    path = rest[: track.start()] if track else rest
    words = [unquote(word) for word in path.partition("?")[0].split("/") if word]
    if not 1 <= len(words) <= 2 or (len(words) == 2 and words[1] not in ("main", "sub")):
        return None
    return Target(words[0], words[1] if len(words) == 2 else "main", int(track[1]) if track else None)


def channels(transport: str) -> tuple[int, int] | None:
    """RTP and RTCP channel of the first TCP transport offered; (−1, −1): ours to choose; None: there is no TCP."""
    for offer in transport.split(","):
        if "RTP/AVP/TCP" not in offer.upper():
            continue
        named = _INTERLEAVED.search(offer)
        if named is None:
            return -1, -1
        first = int(named[1])
        second = int(named[2]) if named[2] else first + 1
        return (first, second) if max(first, second) < 256 and first != second else None
    return None
