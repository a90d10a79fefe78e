"""Settings of ingestion (section `ingest`): what is admitted, how batches are made, what one device may send."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from ingest.mqtt.settings import MqttSettings


class AdmissionSettings(BaseModel):
    """What is judged before a fact is stored."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    off_duty: Literal["strip", "keep"] = Field(
        default="strip",
        description="What happens to positions outside the worker's shift: removed before storing, or kept.",
    )
    sos_keeps_min: float = Field(
        default=30.0, ge=0, le=1440, description="Minutes after an SOS in which positions are kept although off duty."
    )
    future_s: float = Field(
        default=300.0, ge=0, description="A fact further in the future than this goes to quarantine."
    )
    backfill_after_s: float = Field(default=120.0, gt=0, description="A fact older than this on arrival is back-fill.")
    country: tuple[float, float, float, float] = Field(
        default=(3.86, 73.66, 53.55, 135.05),
        description="South, west, north, east (degrees, WGS-84): positions outside are flagged.",
    )


class LaneSettings(BaseModel):
    """How a lane gathers and writes batches."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    batch_rows: int = Field(
        default=5000, ge=1, le=100_000, description="Most rows in one batch (a larger payload goes whole)."
    )
    enough_rows: int = Field(
        default=1000, ge=1, le=50_000, description="A batch of so many rows is written at once, without waiting longer."
    )
    linger_ms: float = Field(
        default=20.0, ge=0, le=1000, description="A batch that is not full waits this long for more."
    )
    urgent_linger_ms: float = Field(default=2.0, ge=0, le=1000, description="The same in the urgent lane.")
    most_rows: int = Field(
        default=50_000, ge=1000, description="Rows that may wait in one lane before senders are held back."
    )
    most_bytes: int = Field(
        default=32 << 20, ge=1 << 20, description="Bytes that may wait in one lane before senders are held back."
    )
    deferred_bytes: int = Field(
        default=128 << 20,
        ge=0,
        description="Payloads of old fixes that find their lane full wait in memory, so that live ones pass them.",
    )
    retry_first_s: float = Field(default=0.1, gt=0, description="First wait before a batch is tried again, store away.")
    retry_most_s: float = Field(
        default=5.0, gt=0, description="Longest wait before a batch is tried again, store away."
    )
    stuck_s: float = Field(
        default=60.0, gt=0, description="A batch that takes longer than this loses its connection and is tried again."
    )
    drain_s: float = Field(
        default=8.0, ge=0, description="At the end, waiting batches are written for at most this long."
    )


class LimitSettings(BaseModel):
    """What one device may send; beyond it MQTT pauses reading and HTTP answers 429."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    messages_per_s: float = Field(default=2000.0, gt=0, description="Messages a second of one device.")
    records_per_s: float = Field(default=50_000.0, gt=0, description="Fixes or POS records a second of one device.")
    burst_s: float = Field(default=10.0, gt=0, description="Seconds of that rate that may come at once.")
    raw_bytes_per_s: float = Field(
        default=4096.0,
        gt=0,
        description="Raw bytes a second kept in quarantine for one device; beyond it only the reason.",
    )
    security_facts_per_s: float = Field(
        default=20.0,
        gt=0,
        description="Security facts a second stored one by one; beyond it they are counted together.",
    )


class HttpSettings(BaseModel):
    """HTTP for devices."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    most_body_bytes: int = Field(
        default=1 << 20, ge=1024, description="Largest body, also after decompression; 413 beyond."
    )
    most_drained_bytes: int = Field(
        default=16 << 20,
        ge=0,
        description="So much of a body that is too large is read off before the connection closes.",
    )
    room_wait_s: float = Field(
        default=2.0, ge=0, description="A request waits this long for room in a full lane, then 503."
    )
    commit_wait_s: float = Field(default=10.0, gt=0, description="A request waits this long for its commit, then 503.")
    retry_after_s: int = Field(default=5, ge=1, description="Retry-After of a 503.")
    attachments_folder: Path | None = Field(
        default=None,
        description="Folder for attachments; unset: `attachments` in the data folder (`wangge serve` takes none then).",
    )
    most_attachment_bytes: int = Field(default=20 << 20, ge=1024, description="Largest attachment.")
    body_wait_s: float = Field(default=30.0, gt=0, description="A request whose body takes longer is given up.")


class IngestSettings(BaseModel):
    """Everything of ingestion."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    admission: AdmissionSettings = Field(
        default=AdmissionSettings.model_validate({}), description="What is judged before storing."
    )
    lanes: LaneSettings = Field(
        default=LaneSettings.model_validate({}), description="How batches are made and written."
    )
    limits: LimitSettings = Field(default=LimitSettings.model_validate({}), description="What one device may send.")
    http: HttpSettings = Field(default=HttpSettings.model_validate({}), description="HTTP for devices.")
    mqtt: MqttSettings = Field(
        default=MqttSettings.model_validate({}), description="The MQTT listener and the consumer of a foreign broker."
    )
