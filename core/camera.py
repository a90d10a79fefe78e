"""Facts about cameras: what the workshop `streams` saw of a camera or of a media root, for the rules to judge.

A fact is what was measured, never a verdict: thresholds, hysteresis and events are the rules' (alerts.rules.camera).
"""

from enum import IntEnum

import msgspec


class KindCode(IntEnum):
    """`camera_facts.kind`, with the figures that each has (SI units)."""

    SIGNAL = 0
    """The stream came or went. stream; state: `up` or `lost`; since_ms; reason (lost: refused, unreachable,
    unauthorized, stalled, garbage, ended)."""
    QUALITY = 1
    """One sample of the picture; `score` 0 (useless) to 1 (as good as this camera's own reference)."""
    CLOCK = 2
    """The camera's clock: offset_s (camera minus ours), source `rtcp` or `onvif`."""
    GAP = 3
    """Footage is missing. stream, from_ms, to_ms; reason: signal (the camera was away), restart, overload, disk,
    clock."""
    STORAGE = 4
    """A media root: free_bytes, total_bytes, written_bytes_per_s, kept_days (of the oldest main footage),
    days_possible (that the disk can hold at this rate), days_wanted, days_left (until footage younger than days_wanted
    must go; null: never)."""
    DISK = 5
    """Writing to a media root: state `ok` or `failing`, error (its text), since_ms."""


class Light(IntEnum):
    """`camera_facts.light`: by the sun at the camera's place."""

    DAY = 0
    NIGHT = 1


class CameraFact(msgspec.Struct, frozen=True, gc=False):
    """A fact to be stored. device: registry key, None for one about a media root. at_us: epoch microseconds.

    picture: path of the picture that shows it, relative to the media root. Two facts with the same device, kind, root,
    time and figures are one row.
    """

    at_us: int
    kind: KindCode
    device: int | None = None
    light: Light | None = None
    score: float | None = None
    root: str | None = None
    figures: dict[str, object] = {}
    picture: str | None = None


class StoredCameraFact(msgspec.Struct, frozen=True, gc=False):
    """One row of `camera_facts` as rules read it. Times: UTC epoch milliseconds."""

    device: int | None
    at_ms: int
    received_at_ms: int
    digest: int
    kind: int
    light: int | None
    score: float | None
    root: str | None
    figures: dict[str, object]
    picture: str | None


class QualityFigures(msgspec.Struct, frozen=True):
    """`figures` of a QUALITY fact. Shares: 0–1. None: not known yet (no reference learned) or not measurable here.

    Luma: 0–255 of the Y plane. *_ratio: this sample ÷ the camera's own reference for this light. In a picture too
    dark to show anything (luma_p95 below streams.quality.measures.BLIND_P95), or burnt out against its reference,
    whatever needs structure is None. A camera without a reference is held against absolute limits of what any usable
    picture has: sharpness_ratio, edges_lost and edges_ratio are then known only when the picture is worse than those.
    """

    luma_mean: float
    luma_p95: float
    dark_share: float
    """Pixels below 32."""
    bright_share: float
    """Pixels of 230 and above (white is 235 in video range)."""
    sharpness_ratio: float | None
    """Laplacian variance after denoising, against the reference: median over the parts of the picture that have
    structure, so that a lorry or headlights in a part of it change little. Low also where the view is not the known
    one."""
    edges_lost: float | None
    """Share of the reference's background edges that are gone, foreground left out (Lee 2015). High when covered and
    when the view is another one; a blurred picture keeps most of these coarse edges."""
    shift_share: float | None
    """Length of the shift against the reference ÷ picture width, by phase correlation; None where not trusted (covered,
    dark, or turned so far that nothing overlaps: edges_lost is high then and edges_ratio is not low)."""
    noise: float
    """Standard deviation of the luma's noise (Immerkær 1996), or of horizontal bands beyond the reference's,
    whichever is greater."""
    cast: float
    """Distance of the mean chroma from grey ÷ 128; None-like 0 for black-and-white pictures."""
    frozen_s: float
    """Seconds for which the decoded picture has not changed at all while packets came."""
    width: int
    height: int
    edges_ratio: float | None = None
    """Coarse edges now ÷ the reference's, counted where the reference's are gone (everywhere while most are there):
    tells a covered lens (low) from a view turned away."""
    contrast_ratio: float | None = None
    """Contrast (90th less 10th percentile of luma) against the reference's: falls behind a bag or thick fog, hardly
    with blur."""
    luma_ratio: float | None = None
    """luma_p95 against the reference's."""
    noise_ratio: float | None = None
    """noise against the reference's (never less than 1 luma step)."""
    cast_change: float | None = None
    """Distance of the mean chroma from the reference's ÷ 128: lamps that are always orange do not count."""
    bright_change: float | None = None
    """bright_share minus the reference's."""
