"""The rules: one module each, and the table that names them with the facts that they listen to.

Adding a rule means adding its module and one line here (and its settings' line in alerts.settings).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from alerts.rule import AnyRule
from alerts.rules.camera.clock import Clock
from alerts.rules.camera.disk import Disk
from alerts.rules.camera.gap import Gap
from alerts.rules.camera.kept import Kept
from alerts.rules.camera.lost import Lost
from alerts.rules.camera.picture import Clarity, Covered, Dark, Frozen, Moved
from alerts.rules.data import Data
from alerts.rules.mass import Mass
from alerts.rules.security import Security
from alerts.rules.terminal.declines import Declines
from alerts.rules.terminal.fault import Fault
from alerts.rules.terminal.missing import Missing
from alerts.rules.terminal.offline import Offline
from alerts.rules.terminal.repeated import Repeated
from alerts.rules.terminal.tamper import Tamper
from alerts.rules.terminal.unusual import Unusual
from alerts.rules.track.boundary import Boundary
from alerts.rules.track.idle import Idle
from alerts.rules.track.implausible import Implausible
from alerts.rules.track.power import Power
from alerts.rules.track.removed import Removed
from alerts.rules.track.silence import Silence
from alerts.rules.track.sos import Sos
from core.lane import Lane

SubjectKind = Literal["handset", "terminal", "camera", "storage", "sender", "division"]
DEVICE_KINDS: frozenset[str] = frozenset({"handset", "terminal", "camera"})
"""Subjects that are devices of the registry; `storage` is a media root, known by its id."""

_URGENT: frozenset[int] = frozenset({Lane.URGENT})
_NOW: frozenset[int] = frozenset({Lane.URGENT, Lane.LIVE})
_ALL: frozenset[int] = frozenset({Lane.URGENT, Lane.LIVE, Lane.BACKFILL})


@dataclass(frozen=True, slots=True)
class RuleLine:
    """One rule: what it watches, the lanes whose facts it takes, and how it is made from its settings.

    settings: the name of its section. absence: opens events because nothing came (alerts.absence).
    """

    code: str
    settings: str
    kind: SubjectKind
    lanes: frozenset[int]
    make: Callable[[Any], AnyRule]
    absence: bool = False

    @property
    def memory(self) -> str:
        """The name of the rule's state in a subject's row."""
        return self.make.__name__.lower()


RULE_TABLE: tuple[RuleLine, ...] = (
    RuleLine("TRK-01", "trk_01", "handset", _URGENT, Sos),
    RuleLine("TRK-02", "trk_02", "handset", _ALL, Silence, absence=True),
    RuleLine("TRK-03", "trk_03", "handset", _NOW, Boundary),
    RuleLine("TRK-04", "trk_04", "handset", _NOW, Removed),
    RuleLine("TRK-05", "trk_05", "handset", _NOW, Power),
    RuleLine("TRK-06", "trk_06", "handset", _ALL, Implausible),
    RuleLine("TRK-07", "trk_07", "handset", _NOW, Idle),
    RuleLine("POS-01", "pos_01", "terminal", _ALL, Offline, absence=True),
    RuleLine("POS-02", "pos_02", "terminal", _ALL, Tamper),
    RuleLine("POS-03", "pos_03", "terminal", _ALL, Fault),
    RuleLine("POS-04", "pos_04", "terminal", _ALL, Declines),
    RuleLine("POS-05", "pos_05", "terminal", _ALL, Unusual),
    RuleLine("POS-06", "pos_06", "terminal", _ALL, Repeated),
    RuleLine("POS-07", "pos_07", "terminal", _ALL, Missing),
    RuleLine("CAM-01", "cam_01", "camera", _ALL, Lost, absence=True),
    RuleLine("CAM-02", "picture", "camera", _ALL, Covered),
    RuleLine("CAM-03", "picture", "camera", _ALL, Clarity),
    RuleLine("CAM-04", "picture", "camera", _ALL, Dark),
    RuleLine("CAM-05", "picture", "camera", _ALL, Frozen),
    RuleLine("CAM-06", "picture", "camera", _ALL, Moved),
    RuleLine("CAM-07", "cam_07", "camera", _ALL, Clock),
    RuleLine("REC-01", "rec_01", "camera", _ALL, Gap),
    RuleLine("REC-02", "rec_02", "storage", _ALL, Kept),
    RuleLine("REC-03", "rec_03", "storage", _ALL, Disk),
    RuleLine("SEC-01", "sec_01", "sender", _ALL, Security),
    RuleLine("DQ-01", "dq_01", "division", _ALL, Data),
    RuleLine("DQ-01", "dq_01", "division", frozenset(), Mass),
)
