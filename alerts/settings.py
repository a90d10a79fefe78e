"""Settings of the room (section `alerts`): one section a rule with production defaults, budget, calendar, engine."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from alerts.limits import WorkingCalendar
from alerts.rules.camera.clarity import ClaritySettings
from alerts.rules.camera.clock import ClockSettings
from alerts.rules.camera.covered import CoveredSettings
from alerts.rules.camera.dark import DarkSettings
from alerts.rules.camera.disk import DiskSettings
from alerts.rules.camera.frozen import FrozenSettings
from alerts.rules.camera.gap import GapSettings
from alerts.rules.camera.kept import KeptSettings
from alerts.rules.camera.lost import LostSettings
from alerts.rules.camera.moved import MovedSettings
from alerts.rules.camera.picture import PictureSettings
from alerts.rules.data import DataSettings
from alerts.rules.security import SecuritySettings
from alerts.rules.terminal.declines import DeclinesSettings
from alerts.rules.terminal.fault import FaultSettings
from alerts.rules.terminal.missing import MissingSettings
from alerts.rules.terminal.offline import OfflineSettings
from alerts.rules.terminal.repeated import RepeatedSettings
from alerts.rules.terminal.tamper import TamperSettings
from alerts.rules.terminal.unusual import UnusualSettings
from alerts.rules.track.boundary import BoundarySettings
from alerts.rules.track.idle import IdleSettings
from alerts.rules.track.implausible import ImplausibleSettings
from alerts.rules.track.power import PowerSettings
from alerts.rules.track.removed import RemovedSettings
from alerts.rules.track.silence import SilenceSettings
from alerts.rules.track.sos import SosSettings


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RulesSettings(_Section):
    """Section `alerts.rules`: thresholds of the event catalogue."""

    trk_01: SosSettings = Field(default_factory=SosSettings, description="SOS pressed or fall.")
    trk_02: SilenceSettings = Field(default_factory=SilenceSettings, description="Silent on duty.")
    trk_03: BoundarySettings = Field(default_factory=BoundarySettings, description="Out of grid.")
    trk_04: RemovedSettings = Field(default_factory=RemovedSettings, description="Handset removed.")
    trk_05: PowerSettings = Field(default_factory=PowerSettings, description="Low power.")
    trk_06: ImplausibleSettings = Field(default_factory=ImplausibleSettings, description="Implausible track.")
    trk_07: IdleSettings = Field(default_factory=IdleSettings, description="Not patrolling.")
    pos_01: OfflineSettings = Field(default_factory=OfflineSettings, description="Terminal offline.")
    pos_02: TamperSettings = Field(default_factory=TamperSettings, description="Tampered or moved.")
    pos_03: FaultSettings = Field(default_factory=FaultSettings, description="Fault or out of paper.")
    pos_04: DeclinesSettings = Field(default_factory=DeclinesSettings, description="Declines in a burst.")
    pos_05: UnusualSettings = Field(default_factory=UnusualSettings, description="Unusual for this terminal.")
    pos_06: RepeatedSettings = Field(default_factory=RepeatedSettings, description="Repeated charge.")
    pos_07: MissingSettings = Field(default_factory=MissingSettings, description="Missing records.")
    cam_01: LostSettings = Field(default_factory=LostSettings, description="Camera signal lost.")
    cam_02: CoveredSettings = Field(default_factory=CoveredSettings, description="Camera covered or tampered.")
    cam_03: ClaritySettings = Field(default_factory=ClaritySettings, description="Blurred, or otherwise unclear.")
    cam_04: DarkSettings = Field(default_factory=DarkSettings, description="Too dark at night.")
    cam_05: FrozenSettings = Field(default_factory=FrozenSettings, description="Frozen picture.")
    cam_06: MovedSettings = Field(default_factory=MovedSettings, description="View moved.")
    cam_07: ClockSettings = Field(default_factory=ClockSettings, description="Camera clock off.")
    rec_01: GapSettings = Field(default_factory=GapSettings, description="Recording gap.")
    rec_02: KeptSettings = Field(default_factory=KeptSettings, description="Kept under 30 days.")
    rec_03: DiskSettings = Field(default_factory=DiskSettings, description="Disk fault or full.")
    sec_01: SecuritySettings = Field(default_factory=SecuritySettings, description="Credential abuse.")
    dq_01: DataSettings = Field(default_factory=DataSettings, description="Bad data.")

    def section(self, name: str) -> Any:
        """The settings of one rule; `picture`: those of the five rules that share one judgement."""
        if name == "picture":
            return PictureSettings(self.cam_02, self.cam_03, self.cam_04, self.cam_05, self.cam_06)
        return getattr(self, name)


class BudgetSettings(_Section):
    """Section `alerts.budget`: events a day, rule and division; beyond, findings merge into one event."""

    enabled: bool = Field(default=True, description="Off in rule tests and benchmarks.")
    least: int = Field(default=20, ge=0, description="Events that every division may have.")
    per_thousand: float = Field(default=5.0, ge=0, description="Events per thousand devices of the division.")


class EngineSettings(_Section):
    """Section `alerts.engine`: how the engine cuts its work. Defaults hold a city on part of one core."""

    urgent_rows: int = Field(default=200, ge=1, description="Most urgent facts in one transaction.")
    live_rows: int = Field(default=1000, ge=1, description="Most live facts in one transaction.")
    backfill_rows: int = Field(default=500, ge=1, description="Most back-filled facts in one transaction.")
    live_gather_s: float = Field(
        default=0.5, ge=0, le=5, description="Live facts are gathered this long: fewer transactions."
    )
    poll_s: float = Field(default=2.0, gt=0, le=60, description="Look for facts this often even without a notice.")
    tick_s: float = Field(default=1.0, gt=0, le=60, description="Look this often for what is due by the clock.")
    tick_subjects: int = Field(default=200, ge=1, description="Most due subjects in one transaction.")
    lease_ttl_s: float = Field(
        default=6.0, ge=1, le=60, description="The engine's lease lives this long without renewal."
    )


class AlertsSettings(_Section):
    """Section `alerts`."""

    engine: EngineSettings = Field(default_factory=EngineSettings, description="How the engine cuts its work.")
    rules: RulesSettings = Field(default_factory=RulesSettings, description="Thresholds, a section a rule.")
    budget: BudgetSettings = Field(default_factory=BudgetSettings, description="Daily budget of events.")
    calendar: WorkingCalendar = Field(default_factory=WorkingCalendar, description="Working hours and days.")
