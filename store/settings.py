"""Settings of the store (section `store`): the embedded PostgreSQL, or one of your own."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator


class StoreSettings(BaseModel):
    """Where facts are kept. Without `dsn` and `dsn_file`, `wangge up` runs a private PostgreSQL of its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dsn: SecretStr | None = Field(
        default=None, description="A PostgreSQL 16 or newer of your own: postgresql://user:password@host/database."
    )
    dsn_file: Path | None = Field(
        default=None, description="File that holds the DSN, so that no password stands in the configuration."
    )
    flavour: Literal["auto", "plain", "timescale"] = Field(
        default="auto", description="For a new database: TimescaleDB where the server has it (auto), or not."
    )
    major: Literal[16, 18] = Field(default=18, description="PostgreSQL of a new embedded store.")
    port: int = Field(
        default=0, ge=0, le=65535, description="TCP port of the embedded store; 0 lets the system choose."
    )
    user: str | None = Field(
        default=None,
        description="Who runs the embedded PostgreSQL when we are root (name or number); unset: uid 65534.",
    )
    settings: dict[str, str] = Field(
        default_factory=dict, description="More lines for the embedded postgresql.conf; durability stays on."
    )
    connections: int = Field(default=12, ge=4, le=200, description="Most connections of the service's pool.")

    @model_validator(mode="after")
    def _one_source(self) -> "StoreSettings":
        if self.dsn is not None and self.dsn_file is not None:
            raise ValueError("dsn and dsn_file are both set; give one of them")
        return self
