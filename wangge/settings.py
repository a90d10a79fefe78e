"""The whole configuration: one section a room, composed of the rooms' own settings classes.

Every field has a default and a description; docs/configuration.md is made from them (`wangge config reference`).
"""

from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, field_validator

from alerts.settings import AlertsSettings
from console.settings import ConsoleSettings, HttpSettings
from devices.settings import DevicesSettings
from ingest.settings import IngestSettings
from store.settings import StoreSettings
from streams.settings import StreamsSettings


class SiteSettings(BaseModel):
    """Section `site`: what holds for the whole city."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    time_zone: str = Field(
        default="Asia/Shanghai", description="Time zone of shifts, working calendar, reports and pages (tz database)."
    )
    city: str = Field(
        default="4311", pattern=r"^[0-9]{4}$", description="Division code of the city, the prefix of all its grids."
    )

    @field_validator("time_zone")
    @classmethod
    def _is_known(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError(f"unknown time zone {name!r}; give a tz database name such as Asia/Shanghai") from error
        return name

    @property
    def zone(self) -> ZoneInfo:
        """The time zone as an object."""
        return ZoneInfo(self.time_zone)


class LogSettings(BaseModel):
    """Section `log`: what is written to stderr."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least level that is written."
    )
    format: Literal["auto", "text", "json"] = Field(
        default="auto", description="auto: text on a terminal, else JSON lines."
    )


class Settings(BaseModel):
    """The effective configuration."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    site: SiteSettings = Field(default_factory=SiteSettings)
    log: LogSettings = Field(default_factory=LogSettings)
    store: StoreSettings = Field(default_factory=StoreSettings)
    devices: DevicesSettings = Field(default_factory=DevicesSettings)
    ingest: IngestSettings = Field(default_factory=IngestSettings)
    streams: StreamsSettings = Field(default_factory=StreamsSettings)
    alerts: AlertsSettings = Field(default_factory=AlertsSettings)
    http: HttpSettings = Field(default_factory=HttpSettings)
    console: ConsoleSettings = Field(default_factory=ConsoleSettings)
