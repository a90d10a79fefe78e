"""CAM-02 covered or tampered: the background's edges are gone and nothing takes their place.

Measure: share of the reference's background edges that are gone, foreground left out (Lee et al. 2015, edge
disappearance). A blurred picture keeps most of these coarse edges; a view turned away has others in their place. By day
a black picture is a covered one too.
"""

from pydantic import Field

from alerts.rules.camera.counting import Counts
from core.camera import Light, QualityFigures


class CoveredSettings(Counts):
    """CAM-02."""

    bad: int = Field(default=3, ge=1, le=16, description="Samples that open, of the last `of`.")
    of: int = Field(default=4, ge=1, le=16, description="Samples that are looked at.")
    edges_lost: float = Field(default=0.55, gt=0, le=1, description="Share of the background's edges that are gone …")
    edges_ratio: float = Field(
        default=0.35, ge=0, description="… with less than this of its edges in the whole picture."
    )
    contrast_ratio: float = Field(
        default=0.45, ge=0, le=1, description="Contrast, ÷ reference, below which a lit picture is behind a veil …"
    )
    veiled_edges: float = Field(default=0.1, ge=0, le=1, description="… with less than this of its edges.")
    black_p95: float = Field(
        default=40.0, ge=0, le=255, description="95th percentile of luma: a darker picture by day is black …"
    )
    luma_ratio: float = Field(default=0.25, ge=0, le=1, description="… and so is one with less than this, ÷ reference.")


def covered(figures: QualityFigures, light: int | None, settings: CoveredSettings) -> str:
    """What speaks for a covered lens: `flat`, `veiled`, `black`, or nothing."""
    below = figures.luma_ratio is not None and figures.luma_ratio < settings.luma_ratio
    if light == Light.DAY and (below or figures.luma_p95 < settings.black_p95):
        return "black"
    if light is not None and _is_veiled(figures, settings):
        return "veiled"
    if figures.edges_lost is None or figures.edges_lost < settings.edges_lost:
        return ""
    return "flat" if figures.edges_ratio is None or figures.edges_ratio < settings.edges_ratio else ""


def _is_veiled(figures: QualityFigures, settings: CoveredSettings) -> bool:
    """Behind a bag or thin cloth: the edges are where they were, but all contrast has gone while there is light."""
    if figures.contrast_ratio is None or figures.edges_ratio is None or figures.luma_p95 < 1.2 * settings.black_p95:
        return False
    return figures.contrast_ratio < settings.contrast_ratio and figures.edges_ratio < settings.veiled_edges
