"""Settings of clips (section `streams.clips`): how long a clip may be, and how much work at once."""

from pydantic import BaseModel, ConfigDict, Field


class ClipsSettings(BaseModel):
    """Section `streams.clips`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    longest_h: float = Field(
        default=24.0, gt=0, le=168, description="Longest span of one clip or playlist, hours; more is refused."
    )
    read_threads: int = Field(
        default=4, ge=1, le=64, description="Threads that read footage from disk and compute clips, a worker."
    )
    read_bytes: int = Field(
        default=512 << 10, ge=16 << 10, le=16 << 20, description="Footage read from disk in one piece, bytes."
    )
    cached_bytes: int = Field(
        default=64 << 20,
        ge=0,
        description="Heads of clips (their sample tables) kept for the player's next range, bytes a worker.",
    )
    playlist_entry_s: float = Field(
        default=4.0, gt=0, le=60, description="An HLS entry gathers whole GOPs until it is as long as this, seconds."
    )
    pictures_at_once: int = Field(
        default=2, ge=1, le=16, description="Snapshots decoded at the same time, a worker; others wait."
    )
    pictures_waiting: int = Field(
        default=64, ge=1, description="Snapshots that may wait; further ones are refused for the moment."
    )
    picture_reach_s: float = Field(
        default=10.0, gt=0, le=3600, description="A snapshot's picture may be so much older than the instant asked for."
    )
