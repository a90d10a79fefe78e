"""Settings of the room streams (section `streams`): where footage goes, how many workers there are, and its parts."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from streams.camera_settings import CameraSettings
from streams.cleaner_settings import CleanerSettings
from streams.clips_settings import ClipsSettings
from streams.live_settings import LiveSettings
from streams.quality_settings import QualitySettings
from streams.recorder_settings import RecorderSettings

FOOTAGE_NAME = "footage"
LOG_INS_NAME = "cameras.toml"


class StreamsSettings(BaseModel):
    """Section `streams`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    workers: int = Field(
        default=1, ge=0, le=64, description="Camera worker processes of this machine; 0: no camera is read here."
    )
    root: Path | None = Field(default=None, description="Folder of the footage; unset: `footage` in the data folder.")
    secrets_file: Path | None = Field(
        default=None,
        description="TOML file with the cameras' log-ins, mode 0600; unset: `cameras.toml` in the data folder.",
    )
    media_host: str = Field(
        default="127.0.0.1",
        description="Address of the workers' internal media port; the console must reach it, wherever it runs.",
    )
    lease_ttl_s: float = Field(
        default=15.0,
        ge=3,
        le=300,
        description="A worker gone for so long loses its cameras to another, seconds.",
    )

    camera: CameraSettings = Field(default_factory=CameraSettings)
    recorder: RecorderSettings = Field(default_factory=RecorderSettings)
    cleaner: CleanerSettings = Field(default_factory=CleanerSettings)
    clips: ClipsSettings = Field(default_factory=ClipsSettings)
    live: LiveSettings = Field(default_factory=LiveSettings)
    quality: QualitySettings = Field(default_factory=QualitySettings)

    def folder(self, data: Path | None) -> Path:
        """Where footage goes. data None: a role of its own without a data folder."""
        return self.root or (data or Path()) / FOOTAGE_NAME

    def log_ins(self, data: Path | None) -> Path:
        """The file with the cameras' log-ins."""
        return self.secrets_file or (data or Path()) / LOG_INS_NAME
