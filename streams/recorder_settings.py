"""Settings of the recorder: how long files are, how soon footage is safe, what may wait for a slow disk."""

from pydantic import BaseModel, ConfigDict, Field


class RecorderSettings(BaseModel):
    """How footage is written."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    segment_s: float = Field(
        default=60.0, ge=2, le=600, description="Seconds after which a file ends, at the next key frame."
    )
    fragment_s: float = Field(
        default=0.65,
        ge=0.1,
        le=0.7,
        description="Seconds of footage that are gathered before they are written; what a killed worker loses at most.",
    )
    sync_s: float = Field(
        default=5.0, ge=0.2, le=60, description="Every so many seconds footage is made safe against a power cut."
    )
    row_s: float = Field(
        default=5.0, ge=0.5, le=5, description="Every so many seconds the row of an open file is brought up to date."
    )
    gap_s: float = Field(default=2.0, ge=0.5, le=60, description="Missing footage longer than this is noted as a gap.")
    ring_packets: int = Field(
        default=4000, ge=100, description="Packets of a stream that may wait for a slow disk; then they are dropped."
    )
    ring_bytes: int = Field(
        default=24 << 20,
        ge=1 << 20,
        description="Bytes of a stream that may wait for a slow disk (the default: 30 s of 6 Mbit/s).",
    )
    retry_s: float = Field(
        default=3.0, gt=0, le=60, description="After a failed write, seconds until writing is tried again."
    )
