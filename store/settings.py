"""Settings of the store (section `store`): where it is, and how long each kind of row is kept."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator


class RetentionSettings(BaseModel):
    """Section `store.retention`: days that rows are kept, counted from the device's or our time of the row."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fixes_days: int = Field(default=180, ge=2, description="Fixes of handsets, by device time.")
    pos_days: int = Field(default=400, ge=2, description="Records of POS terminals, by device time.")
    quarantine_days: int = Field(default=30, ge=1, description="Input that could not be accepted.")
    security_days: int = Field(default=365, ge=1, description="Refused credentials, forbidden topics, masked cards.")
    messages_days: int = Field(default=400, ge=1, description="Answers, reports and states that devices sent.")
    camera_facts_days: int = Field(
        default=90, ge=2, description="What was measured of cameras and media folders, by time; footage has its own."
    )
    events_days: int = Field(default=1826, ge=30, description="Grid events that reached a final step.")
    audit_days: int = Field(default=365, ge=30, description="The audit log.")
    rollups_days: int = Field(
        default=1826, ge=2, description="Hourly roll-ups of fixes, transactions and picture scores."
    )
    ready_days: int = Field(default=180, ge=2, description="When our own parts were ready.")
    downlink_days: int = Field(default=30, ge=1, description="Messages to devices after delivery or expiry.")
    tokens_days: int = Field(default=30, ge=1, description="Expired and revoked tokens of operators.")
    batches_days: int = Field(
        default=2, ge=1, description="Commit order of facts that every reader has handled; a reader this late is stuck."
    )


class StoreSettings(BaseModel):
    """Section `store`. Without `dsn` and `dsn_file`, `wangge up` runs a private PostgreSQL of its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dsn: SecretStr | None = Field(
        default=None, description="A PostgreSQL 16+ of your own; without it `wangge up` starts an embedded one."
    )
    dsn_file: Path | None = Field(
        default=None, description="File that holds the DSN, so that no password stands in the configuration."
    )
    flavour: Literal["auto", "plain", "timescale"] = Field(
        default="auto", description="For a new database: TimescaleDB where the server has it (auto), or not."
    )
    major: Literal[16, 18] = Field(default=18, description="Major version of the embedded PostgreSQL, when it is made.")
    port: int = Field(
        default=0, ge=0, le=65535, description="TCP port of the embedded PostgreSQL; 0 lets the system choose."
    )
    user: str | None = Field(default=None, description="System user of the embedded PostgreSQL when started as root.")
    settings: dict[str, str] = Field(
        default_factory=dict,
        description="More settings for the embedded PostgreSQL; durability cannot be switched off.",
    )
    pool_size: int = Field(default=8, ge=2, le=200, description="Most database sessions of the pool of one process.")
    statement_timeout_s: float = Field(default=30.0, ge=1, description="Longest time of one statement.")
    retention: RetentionSettings = Field(default_factory=RetentionSettings, description="How long rows are kept.")

    @model_validator(mode="after")
    def _one_source(self) -> "StoreSettings":
        if self.dsn is not None and self.dsn_file is not None:
            raise ValueError("dsn and dsn_file are both set; give one of them")
        return self
