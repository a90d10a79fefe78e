"""Figures of a recorder, for metrics."""

from dataclasses import dataclass


@dataclass(slots=True)
class RecorderStats:
    """Counts since the recorder began; packets unless said otherwise."""

    fragments: int = 0
    bytes: int = 0
    files: int = 0
    runs: int = 0
    gaps: int = 0
    dropped: int = 0
    """Because a ring was full: the disk is too slow."""
    skipped: int = 0
    """Between the beginning of a run and its first key frame."""
    lost: int = 0
    """Because a write failed."""
    failures: int = 0
    """Times that writing to the media root failed, or its headroom was reached."""
    slowest_tick_s: float = 0.0
    nonsense: int = 0
    """Runs ended because a camera sent what cannot be written."""
