"""Which footage answers a question about a span: rows → pieces and gaps. Pure.

Runs are taken in the order in which they began. Two recorders may have recorded the same time (a lease was taken over
while the old one went on): the run that began first counts until it ends, the other one from its first key picture
after that. Runs of one recorder (the same epoch) never overlap in truth, only by an error of the clock map: they are
all taken whole, and so are others that overlap by no more than such an error. So the same rows always give the same
pieces, and more rows only ever append.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from store.footage import ClockRow
from store.footage_spans import StoredSegment
from streams.clips.clock_map import ClockMap

GapReason = Literal["nothing", "elsewhere", "lost", "codec"]
"""nothing: no footage; elsewhere: in a folder that this process does not serve; lost: the file is missing or shorter
than its row says; codec: not in the clip's codec."""
SMALLEST_GAP_US = 500_000
"""What is missing for a shorter time is no gap worth a word: a picture of a slow camera, the error of a clock."""

CLOCK_ERROR_US = 1_000_000
"""A run whose clock errs by more is ended. Showing so much twice is better than losing a group of pictures."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Time without footage in the answer, UTC epoch microseconds."""

    from_us: int
    to_us: int
    reason: GapReason = "nothing"


@dataclass(frozen=True, slots=True)
class Piece:
    """Segments of one run, each the next of the one before.

    from_us: pictures from this instant on are wanted; with starts_on_key the first one taken must itself be a key at
    or after it, otherwise decoding begins at the last key before. to_us: pictures before it are wanted.
    """

    segments: tuple[StoredSegment, ...]
    clock: ClockMap
    from_us: int
    to_us: int
    starts_on_key: bool

    @property
    def start_us(self) -> int:
        """First wanted instant that there is, by the clock map."""
        return max(self.from_us, self.clock.utc(self.segments[0].start_pts))

    @property
    def end_us(self) -> int:
        """End of what there is of the wanted, by the clock map."""
        return min(self.to_us, self.clock.utc(self.segments[-1].end_pts))


@dataclass(frozen=True, slots=True)
class Selection:
    """pieces in the order in which they are shown; gaps by time."""

    pieces: tuple[Piece, ...]
    gaps: tuple[Gap, ...]


def select(
    segments: Sequence[StoredSegment],
    clocks: Mapping[str, Sequence[ClockRow]],
    from_us: int,
    to_us: int,
    *,
    left_out: Mapping[tuple[str, int], GapReason] | None = None,
) -> Selection:
    """Pieces of [from_us, to_us) out of the segments of one stream.

    clocks: points of each run's map, as store.footage_reading.clock_points gives them. left_out: segments that cannot
    be part of the answer, by (run, n), with the reason to be told.
    """
    left_out = left_out or {}
    pieces: list[Piece] = []
    spans: list[Gap] = []
    covered_us, epoch = from_us, None
    for run in _runs(segments):
        clock = clock_of(run[0], clocks)
        start_us, starts_on_key = from_us, False
        if epoch is not None and run[0].epoch != epoch and covered_us - clock.utc(run[0].start_pts) > CLOCK_ERROR_US:
            start_us, starts_on_key = covered_us, True
        end_us = covered_us
        for stretch in _stretches(run, left_out):
            piece = _trim(Piece(stretch, clock, start_us, to_us, starts_on_key))
            if piece is None:
                continue
            reason = left_out.get((piece.segments[0].run, piece.segments[0].n))
            if reason is not None:
                spans.append(Gap(piece.start_us, piece.end_us, reason))
                continue
            pieces.append(piece)
            end_us, epoch = max(end_us, piece.end_us), run[0].epoch
        covered_us = end_us
    return Selection(tuple(pieces), tuple(_gaps(pieces, spans, from_us, to_us)))


def _runs(segments: Sequence[StoredSegment]) -> list[list[StoredSegment]]:
    runs: dict[str, list[StoredSegment]] = {}
    for segment in segments:
        if segment.samples:
            runs.setdefault(segment.run, []).append(segment)
    for run in runs.values():
        run.sort(key=lambda segment: segment.n)
    return sorted(runs.values(), key=lambda run: (run[0].run_began_us, run[0].run))


def clock_of(first: StoredSegment, clocks: Mapping[str, Sequence[ClockRow]]) -> ClockMap:
    """The run's map; where no point is stored yet, what the row itself says."""
    points = [(point.pts_90k, point.utc_us) for point in clocks.get(first.run, ())]
    return ClockMap.of(points or [(first.start_pts, first.start_us)])


def _stretches(
    run: Sequence[StoredSegment], left_out: Mapping[tuple[str, int], GapReason]
) -> list[tuple[StoredSegment, ...]]:
    """Segments whose numbers follow one another and that are all taken, or all left out for the same reason."""
    found: list[list[StoredSegment]] = []
    before: GapReason | None = None
    for segment in run:
        reason = left_out.get((segment.run, segment.n))
        if found and found[-1][-1].n + 1 == segment.n and reason == before:
            found[-1].append(segment)
        else:
            found.append([segment])
        before = reason
    return [tuple(stretch) for stretch in found]


def _trim(piece: Piece) -> Piece | None:
    """Without segments that lie outside of the wanted time; None when none is left."""
    first_tick, end_tick = piece.clock.pts(piece.from_us), piece.clock.pts(piece.to_us)
    kept = [segment for segment in piece.segments if segment.end_pts > first_tick and segment.start_pts < end_tick]
    return replace(piece, segments=tuple(kept)) if kept else None


def _gaps(pieces: Sequence[Piece], left_out: Sequence[Gap], from_us: int, to_us: int) -> list[Gap]:
    """What of the span is in no piece; parts for which a reason is known carry it."""
    taken = sorted([(piece.start_us, piece.end_us) for piece in pieces])
    gaps, at = list(left_out), from_us
    known = sorted([*taken, *((gap.from_us, gap.to_us) for gap in left_out)])
    for start_us, end_us in [*known, (to_us, to_us)]:
        if start_us - at >= SMALLEST_GAP_US:
            gaps.append(Gap(at, start_us))
        at = max(at, end_us)
    return sorted(gaps, key=lambda gap: (gap.from_us, gap.to_us))
