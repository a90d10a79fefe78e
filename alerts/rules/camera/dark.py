"""CAM-04 too dark at night: nothing can be made out by night. (By day a dark picture is a covered one: CAM-02.)"""

from pydantic import Field

from alerts.rules.camera.counting import Counts
from core.camera import Light, QualityFigures


class DarkSettings(Counts):
    """CAM-04."""

    luma_p95: float = Field(
        default=40.0, ge=0, le=255, description="95th percentile of luma below which nothing in the picture is lit …"
    )
    luma_ratio: float = Field(default=0.25, ge=0, le=1, description="… or less than this, ÷ reference.")


def dark(figures: QualityFigures, light: int | None, settings: DarkSettings) -> str:
    """`dark`, or nothing."""
    if light != Light.NIGHT:
        return ""
    below = figures.luma_ratio is not None and figures.luma_ratio < settings.luma_ratio
    return "dark" if below or figures.luma_p95 < settings.luma_p95 else ""
