"""Gaps: what is noted when footage resumes after a while without any. Pure."""

from typing import Literal

from core.camera import CameraFact, KindCode
from core.media import StreamName

GapReason = Literal["signal", "restart", "overload", "disk", "clock"]

_OF_ENDINGS: dict[str, GapReason] = {
    "start": "restart",
    "reconnect": "signal",
    "jump": "clock",
    "drift": "clock",
    "clock_step": "clock",
    "overload": "overload",
    "disk": "disk",
}
"""By the reason of the run that comes after the gap (`footage_runs.reason`)."""


def reason_of_run(reason: str) -> GapReason:
    """What a gap before a run of that reason is put down to."""
    return _OF_ENDINGS.get(reason, "signal")


def gap_fact(camera: int, stream: StreamName, from_us: int, to_us: int, reason: GapReason) -> CameraFact:
    """The fact, at the instant at which footage resumed. camera: registry key. Times: epoch microseconds."""
    figures: dict[str, object] = {
        "stream": stream,
        "from_ms": from_us // 1000,
        "to_ms": to_us // 1000,
        "reason": reason,
    }
    return CameraFact(to_us, KindCode.GAP, camera, figures=figures)
