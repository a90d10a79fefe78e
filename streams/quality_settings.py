"""Settings of picture quality (section `streams.quality`), and what the registry may say for one camera."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field


class QualitySettings(BaseModel):
    """How pictures are sampled, references learned, and pictures of suspicion kept. Thresholds of events: the
    rules'."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    on: bool = Field(default=True, description="Pictures are judged at all.")
    interval_s: float = Field(
        default=10.0, ge=1, le=600, description="Seconds between samples of a camera (the next key frame after them)."
    )
    most_decode_ms: float = Field(
        default=40.0,
        gt=0,
        description="A camera whose key frames take longer to decode is sampled so much less often (milliseconds).",
    )
    learn_samples: int = Field(default=12, ge=3, le=60, description="Healthy samples from which a reference is made.")
    adapt_share: float = Field(
        default=0.02, gt=0, le=0.5, description="Share by which a healthy sample moves the reference (0–1)."
    )
    accept_view_days: float = Field(
        default=7.0,
        gt=0,
        description="A view that stays another one, and sharp, for so many days becomes the reference.",
    )
    day_from_deg: float = Field(default=4.0, ge=-6, le=30, description="Day: the sun stands higher (degrees).")
    night_below_deg: float = Field(default=-6.0, ge=-18, le=4, description="Night: the sun stands lower (degrees).")
    latitude: float = Field(default=26.42, ge=-90, le=90, description="Place of cameras without one (degrees, WGS-84).")
    longitude: float = Field(default=111.61, ge=-180, le=180, description="Place of cameras without one (degrees).")
    picture_below: float = Field(
        default=0.6, ge=0, le=1, description="A sample with a lower score leaves a picture (0–1; 0: none)."
    )
    pictures_per_day: int = Field(default=24, ge=0, le=8640, description="Most pictures of one camera and day.")
    picture_spacing_s: float = Field(default=60.0, ge=0, description="Seconds between two pictures of one camera.")
    pictures_days: float = Field(default=90.0, gt=0, description="Days for which pictures are kept.")
    most_waiting_bytes: int = Field(
        default=4 << 20,
        ge=1 << 16,
        description="Bytes of one stream that may wait for the sampler; beyond, it starts anew.",
    )


class CameraQuality(BaseModel):
    """`devices.settings` key `quality` of one camera. Rules read their own keys beside it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    off: bool = Field(default=False, description="This camera's picture is not judged.")
    interval_s: float | None = Field(default=None, ge=1, le=3600, description="Seconds between samples.")
    relearned_at_ms: int | None = Field(
        default=None,
        description="An operator says the view is meant to be as it is: older references are void (UTC ms).",
    )


def root_of_pictures(root: Path, camera: str) -> Path:
    """Folder of a camera's pictures: `<root>/<camera>/pictures`, below it one folder a UTC day."""
    return root / camera / "pictures"
