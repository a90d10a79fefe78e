"""Initialisation sections: `ftyp` + `moov` without samples, and the parts of a `moov` that whole files need too.

Sample entries are `avc1` and `hvc1`, although parameter sets stay in band as well: Apple's players refuse `hev1` and
some browsers `avc3`, while Chromium, ffmpeg and Apple's all take the former and skip parameter sets that they know.
"""

import struct
from collections.abc import Iterator

from core.errors import DecodeError
from core.media import TICKS_PER_S, AudioFormat, TrackFormats, VideoFormat
from streams.mp4.boxes import AUDIO_TRACK, UNITY_MATRIX, VIDEO_TRACK, box, children, full_box, header, only, walk

FTYP = box(b"ftyp", b"iso6", struct.pack(">I", 1), b"iso5iso6mp41")
_SYNC_SAMPLE = 0x02000000
_LANGUAGE_UNKNOWN = 0x55C4


def init_section(formats: TrackFormats) -> bytes:
    """`ftyp` + `moov` of a fragmented file; track 1 is video, track 2 audio, both in ticks of 1/90 000 s.

    The same formats always make the same bytes, so a digest of them tells sections apart.
    """
    nothing = full_box(b"stts", 0, 0, bytes(4)) + full_box(b"stsc", 0, 0, bytes(4))
    nothing += full_box(b"stsz", 0, 0, bytes(8)) + full_box(b"stco", 0, 0, bytes(4))
    tracks = [video_track((formats.video.width, formats.video.height), stsd(video_entry(formats.video)) + nothing)]
    extends = [_trex(VIDEO_TRACK, 0)]
    if formats.audio is not None:
        tracks.append(audio_track(stsd(audio_entry(formats.audio)) + nothing))
        extends.append(_trex(AUDIO_TRACK, _SYNC_SAMPLE))
    return FTYP + box(b"moov", mvhd(0), *tracks, box(b"mvex", *extends))


def mvhd(duration: int) -> bytes:
    """Movie header in ticks of 1/90 000 s (version 1: durations may pass 13 hours)."""
    return full_box(
        b"mvhd",
        1,
        0,
        struct.pack(">QQIQIHHQ", 0, 0, TICKS_PER_S, duration, 0x10000, 0x100, 0, 0),
        UNITY_MATRIX,
        bytes(24),
        struct.pack(">I", AUDIO_TRACK + 1),
    )


def video_track(size: tuple[int, int], table: bytes, *, duration: int = 0, shown: int = 0, edits: bytes = b"") -> bytes:
    """`trak` of track 1. size: width and height, pixels; table: what goes into its `stbl`; duration: of the media,
    shown: of what is presented (ticks); edits: a whole `edts` box or nothing."""
    return _track(VIDEO_TRACK, b"vide", full_box(b"vmhd", 0, 1, bytes(8)), table, duration, shown, edits, size)


def audio_track(table: bytes, *, duration: int = 0, shown: int = 0, edits: bytes = b"") -> bytes:
    """`trak` of track 2; like video_track."""
    return _track(AUDIO_TRACK, b"soun", full_box(b"smhd", 0, 0, bytes(4)), table, duration, shown, edits, (0, 0))


def _track(
    number: int,
    handler: bytes,
    media_header: bytes,
    table: bytes,
    duration: int,
    shown: int,
    edits: bytes,
    size: tuple[int, int],
) -> bytes:
    volume = 0x100 if handler == b"soun" else 0
    tkhd = full_box(
        b"tkhd",
        1,
        3,
        struct.pack(">QQIIQQHHHH", 0, 0, number, 0, shown, 0, 0, int(handler == b"soun"), volume, 0),
        UNITY_MATRIX,
        struct.pack(">II", size[0] << 16, size[1] << 16),
    )
    mdhd = full_box(b"mdhd", 1, 0, struct.pack(">QQIQHH", 0, 0, TICKS_PER_S, duration, _LANGUAGE_UNKNOWN, 0))
    hdlr = full_box(b"hdlr", 0, 0, bytes(4), handler, bytes(12), b"\0")
    dinf = box(b"dinf", full_box(b"dref", 0, 0, struct.pack(">I", 1), full_box(b"url ", 0, 1)))
    minf = box(b"minf", media_header, dinf, box(b"stbl", table))
    return box(b"trak", tkhd, edits, box(b"mdia", mdhd, hdlr, minf))


def stsd(*entries: bytes) -> bytes:
    """Sample description with its entries, numbered from 1."""
    return full_box(b"stsd", 0, 0, struct.pack(">I", len(entries)), *entries)


def video_entry(video: VideoFormat) -> bytes:
    """Sample entry `avc1` or `hvc1` around the configuration record."""
    kind, record = (b"avc1", b"avcC") if video.codec == "h264" else (b"hvc1", b"hvcC")
    return box(
        kind,
        struct.pack(">6xH16xHH", 1, video.width, video.height),
        struct.pack(">IIIH32xHh", 0x480000, 0x480000, 0, 1, 24, -1),
        box(record, video.config),
    )


def audio_entry(audio: AudioFormat) -> bytes:
    """Sample entry `mp4a` with an `esds` (ISO/IEC 14496-14, 5.6) around the AudioSpecificConfig."""
    decoder = struct.pack(">BB3xII", 0x40, 0x15, 0, 0) + _descriptor(5, audio.config)
    stream = struct.pack(">HB", 0, 0) + _descriptor(4, decoder) + _descriptor(6, b"\x02")
    rate = audio.rate_hz << 16 if audio.rate_hz < 1 << 16 else 0
    return box(
        b"mp4a",
        struct.pack(">6xH8xHH4xI", 1, audio.channels, 16, rate),
        full_box(b"esds", 0, 0, _descriptor(3, stream)),
    )


def sample_entries(init: bytes) -> dict[int, bytes]:
    """The first sample entry of each track of an init section, by track number. Raises DecodeError."""
    try:
        return dict(_sample_entries(init))
    except struct.error as error:
        raise DecodeError("The init section is broken.") from error


def _sample_entries(init: bytes) -> Iterator[tuple[int, bytes]]:
    for moov in (found for found in walk(init, 0, len(init)) if found.kind == b"moov"):
        for trak in children(init, moov).get(b"trak", []):
            (number,) = struct.unpack_from(">I", init, only(init, trak, b"tkhd").body + 20)
            minf = only(init, only(init, trak, b"mdia"), b"minf")
            description = only(init, only(init, minf, b"stbl"), b"stsd")
            entry = header(init, description.body + 8, description.end)
            yield int(number), init[entry.start : entry.end]


def _descriptor(tag: int, body: bytes) -> bytes:
    """A descriptor of ISO/IEC 14496-1 with its length in four bytes of seven bits, as most writers do."""
    size = len(body)
    length = bytes((size >> 21 & 127 | 128, size >> 14 & 127 | 128, size >> 7 & 127 | 128, size & 127))
    return bytes((tag,)) + length + body


def _trex(track: int, default_flags: int) -> bytes:
    return full_box(b"trex", 0, 0, struct.pack(">IIIII", track, 1, 0, 0, default_flags))
