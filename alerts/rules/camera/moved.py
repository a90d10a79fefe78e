"""CAM-06 view moved: the picture is shifted against the camera's own reference, or shows another place.

Measure: phase correlation (Kuglin and Hines 1975) where it is trusted; where nothing overlaps any more, the reference's
edges are gone and others are in their place.
"""

from pydantic import Field

from alerts.rules.camera.counting import Counts
from core.camera import QualityFigures


class MovedSettings(Counts):
    """CAM-06."""

    shift_share: float = Field(default=0.02, gt=0, le=1, description="Shift that makes a sample bad, ÷ picture width.")
    edges_lost: float = Field(
        default=0.7, gt=0, le=1, description="Share of the background's edges gone that shows another place …"
    )
    edges_ratio: float = Field(default=0.5, gt=0, description="… with at least this of its edges in the whole picture.")


def moved(figures: QualityFigures, light: int | None, settings: MovedSettings) -> str:
    """`shifted`, `elsewhere`, or nothing."""
    if figures.shift_share is not None:
        return "shifted" if figures.shift_share > settings.shift_share else ""
    if figures.edges_lost is None or figures.edges_ratio is None:
        return ""
    elsewhere = figures.edges_lost >= settings.edges_lost and figures.edges_ratio >= settings.edges_ratio
    return "elsewhere" if elsewhere else ""
