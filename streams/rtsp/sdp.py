"""Session description: the one video track of it that we read (RFC 4566, RFC 6184 8.1, RFC 7798 7.1)."""

import base64
import binascii
from dataclasses import dataclass
from itertools import pairwise
from urllib.parse import urlsplit, urlunsplit

from core.errors import DecodeError
from streams.annexb import Codec

_CODECS: dict[str, Codec] = {"H264": "h264", "H265": "h265", "HEVC": "h265"}
_SETS = {"h264": ("sprop-parameter-sets",), "h265": ("sprop-vps", "sprop-sps", "sprop-pps")}
_LARGEST = 1 << 16


@dataclass(frozen=True, slots=True)
class VideoTrack:
    """payload_type, control: of the media section. sets: parameter sets from beside the stream, in the order given."""

    codec: Codec
    payload_type: int
    control: str
    sets: tuple[bytes, ...]


def video_track(text: str) -> VideoTrack:
    """The first video section with a codec that we know. Raises DecodeError."""
    if len(text) > _LARGEST:
        raise DecodeError("The camera's description is too long.")
    lines = [line.strip() for line in text.splitlines()]
    starts = [at for at, line in enumerate(lines) if line.startswith("m=")]
    for start, end in pairwise([*starts, len(lines)]):
        if lines[start].startswith("m=video"):
            track = _section(lines[start:end])
            if track is not None:
                return track
    raise DecodeError("The camera sends neither H.264 nor H.265.")


def _section(lines: list[str]) -> VideoTrack | None:
    codec: Codec | None = None
    payload_type, control, parameters = -1, "", ""
    for line in lines:
        name, _, value = line.partition(":")
        if name == "a=control":
            control = value.strip()
        elif name == "a=rtpmap" and codec is None:
            number, _, form = value.strip().partition(" ")
            kind, _, clock = form.strip().partition("/")
            codec = _CODECS.get(kind.upper())
            if codec is not None and number.isdigit() and clock.split("/")[0] == "90000":
                payload_type = int(number)
            else:
                codec = None
        elif name == "a=fmtp":
            parameters = value.strip().partition(" ")[2]
    if codec is None:
        return None
    return VideoTrack(codec, payload_type, control, tuple(_parameter_sets(codec, parameters)))


def _parameter_sets(codec: Codec, parameters: str) -> list[bytes]:
    """Broken ones are left out: those in the stream count more."""
    found = []
    for part in parameters.split(";"):
        name, _, value = part.strip().partition("=")
        if name.lower() in _SETS[codec]:
            for text in value.split(","):
                try:
                    found.append(base64.b64decode(text.strip(), validate=False))
                except (binascii.Error, ValueError):
                    continue
    return [one for one in found if one]


def track_url(control: str, base: str) -> str:
    """Address of a track (RFC 2326 C.1.1, as live555 and libav join: a base may carry a query)."""
    if not control or control == "*":
        return base
    if control.lower().startswith(("rtsp://", "rtsps://")):
        return control
    return base + ("" if base.endswith("/") else "/") + control


def repaired_base(base: str | None, asked: str) -> str:
    """What the camera calls itself, with the host that we dialled: cameras behind a router do not know theirs."""
    if not base:
        return asked
    try:
        named, dialled = urlsplit(base.strip()), urlsplit(asked)
    except ValueError:
        return asked
    if named.scheme not in ("rtsp", "rtsps"):
        return asked
    return urlunsplit((dialled.scheme, dialled.netloc, named.path, named.query, ""))
