"""Settings of the cleaner (section `streams.cleaner`): how long footage is kept, and what it leaves of the disk."""

from typing import Final

from pydantic import BaseModel, ConfigDict, Field, model_validator

LAW_DAYS: Final = 30
"""Least days for which recordings of public places are kept (domain.md)."""


class CleanerSettings(BaseModel):
    """Section `streams.cleaner`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    main_days: int = Field(
        default=LAW_DAYS, ge=1, le=3650, description="Days for which main-stream footage is kept; the law wants 30."
    )
    sub_days: int = Field(default=7, ge=0, le=3650, description="Days for which sub-stream footage is kept.")
    allow_less_than_30_days: bool = Field(
        default=False, description="Says that a `main_days` below 30 is meant so: the law asks for 30."
    )
    headroom_bytes: int = Field(
        default=5 << 30, ge=0, description="Bytes of the file system that footage never takes, at least."
    )
    headroom_share: float = Field(
        default=0.05, ge=0, lt=1, description="Share of the file system that footage never takes, at least."
    )
    reserve_s: float = Field(
        default=120.0, ge=0, le=86400, description="The oldest goes while there is still room for so many seconds."
    )
    every_s: float = Field(default=10.0, gt=0, le=3600, description="Seconds between two rounds of the cleaner.")
    report_s: float = Field(
        default=300.0, gt=0, le=86400, description="Seconds between two reports of how full the disk is (REC-02)."
    )

    @model_validator(mode="after")
    def _law(self) -> "CleanerSettings":
        if self.main_days < LAW_DAYS and not self.allow_less_than_30_days:
            raise ValueError(
                f"main_days is {self.main_days}, the law wants {LAW_DAYS}; set allow_less_than_30_days = true if this"
                " is meant so"
            )
        return self
