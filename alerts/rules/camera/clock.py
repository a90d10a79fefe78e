"""CAM-07 camera clock off: several measurements in a row say that the camera's clock is wrong.

What the camera says of its clock by ONVIF counts more than the times in its RTCP reports, which many cameras fill with
nonsense: for a day after an ONVIF measurement, RTCP is not asked.
"""

import msgspec
from pydantic import Field

from alerts.rule import NOTHING, Context, Findings, Rule, key_of
from alerts.rules.camera.counting import Counts, appended, ends, opens
from alerts.rules.camera.evidence import is_older, number, of_camera, word
from alerts.rules.camera.thresholds import one_section
from alerts.rules.evidence import ended
from core.camera import KindCode, StoredCameraFact

_ONVIF_HOLDS_MS = 24 * 3_600_000


class ClockSettings(Counts):
    """CAM-07."""

    offset_s: float = Field(default=3.0, gt=0, description="Seconds that the clock may be off.")


class ClockState(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """heard_ms: newest measurement; onvif_ms: newest one by ONVIF. since_ms: first bad one of those that count."""

    heard_ms: int = 0
    onvif_ms: int = 0
    marks: tuple[int, ...] = ()
    since_ms: int = 0
    key: str = ""


class Clock(Rule[ClockState, StoredCameraFact]):
    """Judges measurements in order of their time."""

    code = "CAM-07"

    def __init__(self, settings: ClockSettings) -> None:
        self.start = ClockState()
        self._settings = one_section("cam_07", settings)

    def step(self, state: ClockState, fact: StoredCameraFact, at: Context) -> tuple[ClockState, Findings]:
        offset_s = number(fact, "offset_s")
        if fact.kind != KindCode.CLOCK or offset_s is None or is_older(fact, state.heard_ms):
            return state, NOTHING
        source, onvif_ms = word(fact, "source"), state.onvif_ms
        if source == "onvif":
            onvif_ms = fact.at_ms
        elif onvif_ms and fact.at_ms - onvif_ms < _ONVIF_HOLDS_MS:
            return state, NOTHING
        settings = self._settings.of(at)
        off = abs(offset_s) > settings.offset_s
        marks = appended(state.marks, int(off))
        since_ms = (state.since_ms or fact.at_ms) if 1 in marks[-settings.of :] else 0
        key, findings = state.key, NOTHING
        if not key and opens(marks, 1, settings):
            key = key_of(self.code, at.id, since_ms, fact.digest)
            causes: dict[str, object] = {
                "offset_s": round(offset_s, 3),
                "limit_s": settings.offset_s,
                "source": source,
            }
            findings = (of_camera(self.code, key, at.id, fact, causes, since_ms),)
        elif key and ends(marks, settings):
            findings = (ended(self.code, key, at.id, fact.at_ms, {"offset_s_at_end": round(offset_s, 3)}),)
            key, marks, since_ms = "", (), 0
        return ClockState(fact.at_ms, onvif_ms, marks, since_ms, key), findings
