"""Grid events: the catalogue of codes with severity, level and limit, and the finding that opens or changes one."""

from dataclasses import dataclass, field
from typing import Literal

Level = Literal["grid", "district", "city"]
Step = Literal[
    "reported",
    "accepted",
    "dispatched",
    "in_progress",
    "answered",
    "verified",
    "archived",
    "rejected",
    "merged",
    "self_ended",
]
FINAL_STEPS: frozenset[str] = frozenset({"archived", "rejected", "merged", "self_ended"})


@dataclass(frozen=True, slots=True)
class Code:
    """One line of the event catalogue (domain.md). limit: (amount, unit), unit min, h (clock), wh, wd (working)."""

    code: str
    name: str
    name_en: str
    severity: int
    level: Level
    limit: tuple[int, Literal["min", "h", "wh", "wd"]]
    momentary: bool = False
    """Never ends by itself."""
    budgeted: bool = True
    """Counts against the daily budget of the rule (SOS and tamper do not)."""


CATALOGUE: dict[str, Code] = {
    c.code: c
    for c in (
        Code("TRK-01", "一键求助", "SOS pressed or fall", 1, "grid", (5, "min"), momentary=True, budgeted=False),
        Code("TRK-02", "失联", "silent on duty", 3, "grid", (30, "min")),
        Code("TRK-03", "越界", "out of grid", 4, "grid", (1, "wh")),
        Code("TRK-04", "脱离", "handset removed", 2, "grid", (2, "h")),
        Code("TRK-05", "低电量", "low power", 4, "grid", (4, "h")),
        Code("TRK-06", "轨迹异常", "implausible track", 3, "district", (1, "wd"), momentary=True),
        Code("TRK-07", "未巡查", "not patrolling", 4, "grid", (1, "wd")),
        Code("POS-01", "离线", "terminal offline", 3, "grid", (4, "h")),
        Code("POS-02", "拆机/移机", "tampered or moved", 1, "district", (1, "h"), momentary=True, budgeted=False),
        Code("POS-03", "故障/缺纸", "fault or out of paper", 4, "grid", (1, "wd")),
        Code("POS-04", "集中拒付", "declines in a burst", 2, "district", (4, "h"), momentary=True),
        Code("POS-05", "交易异常", "unusual for this terminal", 3, "district", (1, "wd"), momentary=True),
        Code("POS-06", "重复扣款", "repeated charge", 2, "district", (1, "wd"), momentary=True),
        Code("POS-07", "流水缺失", "missing records", 3, "district", (1, "wd")),
        Code("CAM-01", "信号丢失", "camera signal lost", 2, "district", (4, "wh")),
        Code("CAM-02", "遮挡", "covered or tampered", 1, "grid", (2, "h"), budgeted=False),
        Code("CAM-03", "清晰度异常", "blurred", 3, "district", (2, "wd")),
        Code("CAM-04", "夜间过暗", "too dark at night", 3, "district", (2, "wd")),
        Code("CAM-05", "画面冻结", "frozen picture", 2, "district", (4, "wh")),
        Code("CAM-06", "视角偏移", "view moved", 3, "grid", (1, "wd")),
        Code("CAM-07", "时钟偏差", "camera clock off", 3, "district", (1, "wd")),
        Code("REC-01", "录像缺失", "recording gap", 2, "district", (4, "wh")),
        Code("REC-02", "存储不足 30 天", "kept under 30 days", 1, "city", (1, "wd")),
        Code("REC-03", "存储故障", "disk fault or full", 2, "district", (4, "wh")),
        Code("SEC-01", "凭证异常", "credential abuse", 1, "city", (30, "min"), momentary=True),
        Code("DQ-01", "数据质量异常", "bad data", 3, "district", (1, "wd")),
    )
}


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule step says about one subject; the engine turns it into an event change, idempotently.

    kind `open` makes the event `key` (or merges into the open event of the same condition when `merge_into` names its
    key); `repeat` counts one more occurrence; `correct` moves `began_at` or marks it (`causes`); `end` closes it.
    Times: UTC epoch milliseconds.
    """

    kind: Literal["open", "repeat", "correct", "end"]
    code: str
    key: str
    subject: str
    at_ms: int
    lat: float | None = None
    lon: float | None = None
    late: bool = False
    causes: dict[str, object] = field(default_factory=dict)
    evidence: tuple[dict[str, object], ...] = ()
