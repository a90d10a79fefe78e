"""The whole configuration: one section a room, composed of the rooms' own settings classes.

Every field has a default and a description; docs/configuration.md is made from them (`wangge config reference`).
"""

from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, field_validator

from console.settings import ConsoleSettings, HttpSettings


class SiteSettings(BaseModel):
    """Section `site`: where this service stands."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(default="网格", min_length=1, max_length=80, description="Name shown on the page.")
    timezone: str = Field(
        default="Asia/Shanghai", description="Time zone of people: shifts, working hours, reports, pages."
    )

    @field_validator("timezone")
    @classmethod
    def _is_known(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError(f"no time zone {value!r} is known; name one like Asia/Shanghai") from error
        return value


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
    http: HttpSettings = Field(default_factory=HttpSettings)
    console: ConsoleSettings = Field(default_factory=ConsoleSettings)
