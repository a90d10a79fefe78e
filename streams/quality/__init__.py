"""quality: is what a camera shows worth looking at? (Video quality diagnosis, 视频质量诊断.)

In: packets of a hub's reader. `sampler` picks a key frame of each camera every 10 s, `decoder` decodes it, `measures`
says what is in the picture, `comparison` holds it against what `learning` has learned of this camera for this
`light`, and `frozen` against the pictures before. Out: a QUALITY fact (core.camera.QualityFigures) with a score, now
and then a JPEG of the fault (`pictures`), and references for the store. Thresholds, hysteresis and events:
alerts.rules.camera.
"""

from streams.quality.sampler import MOST_PACKETS, PacketSource, Sampler, references_of
from streams.quality.watch import LearnedReference, QualityStats, SampledCamera
from streams.quality_settings import CameraQuality, QualitySettings

__all__ = [
    "MOST_PACKETS",
    "CameraQuality",
    "LearnedReference",
    "PacketSource",
    "QualitySettings",
    "QualityStats",
    "SampledCamera",
    "Sampler",
    "references_of",
]
