"""Names of codecs as HLS and Media Source Extensions want them (RFC 6381, ISO/IEC 14496-15 annex E)."""

from core.errors import DecodeError
from core.media import AudioFormat, TrackFormats, VideoFormat

_PROFILE_SPACES = ("", "A", "B", "C")


def codecs(formats: TrackFormats) -> str:
    """Such as `avc1.64001f` or `hvc1.1.6.L93.B0,mp4a.40.2`. Raises DecodeError when a configuration is too short."""
    names = [video_codec(formats.video)]
    if formats.audio is not None:
        names.append(audio_codec(formats.audio))
    return ",".join(names)


def video_codec(video: VideoFormat) -> str:
    """The name of the video track; profile and level from its configuration record."""
    config = video.config
    if len(config) < (4 if video.codec == "h264" else 13):
        raise DecodeError("The video configuration record is cut off.")
    if video.codec == "h264":
        return f"avc1.{config[1:4].hex()}"
    compatibility = int(f"{int.from_bytes(config[2:6], 'big'):032b}"[::-1], 2)
    constraints = config[6:12].rstrip(b"\0")
    parts = [
        f"hvc1.{_PROFILE_SPACES[config[1] >> 6]}{config[1] & 31}",
        f"{compatibility:X}",
        f"{'H' if config[1] & 32 else 'L'}{config[12]}",
        *(f"{byte:X}" for byte in constraints),
    ]
    return ".".join(parts)


def audio_codec(audio: AudioFormat) -> str:
    """The name of the audio track; the object type is the configuration's first five bits (31: escaped)."""
    if len(audio.config) < 2:
        raise DecodeError("The audio configuration is cut off.")
    kind = audio.config[0] >> 3
    if kind == 31:
        kind = 32 + ((audio.config[0] & 7) << 3 | audio.config[1] >> 5)
    return f"mp4a.40.{kind}"
