"""The samples of one piece of footage, out of its segments' indexes: which are wanted, and when they are shown."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streams.clips.select import Piece
from streams.mp4.index import Samples, decode_many
from streams.mp4.varints import Ints


@dataclass(frozen=True, slots=True)
class TrackPart:
    """Samples of one track; arrays of one length. segment: number of the piece's segment each lies in. offsets: in
    that file. pts, dts, durations: ticks of the run's media time."""

    segment: Ints
    offsets: Ints
    sizes: Ints
    dts: Ints
    pts: Ints
    durations: Ints
    keys: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.sizes)

    def __getitem__(self, wanted: "NDArray[np.bool_] | slice") -> "TrackPart":
        return TrackPart(
            self.segment[wanted],
            self.offsets[wanted],
            self.sizes[wanted],
            self.dts[wanted],
            self.pts[wanted],
            self.durations[wanted],
            self.keys[wanted],
        )


@dataclass(frozen=True, slots=True)
class PieceSamples:
    """video begins with a key; pictures with shown_from ≤ pts < shown_to are the wanted ones (ticks of media time),
    those before are needed to decode them."""

    piece: Piece
    video: TrackPart
    audio: TrackPart
    shown_from: int
    shown_to: int


def piece_samples(piece: Piece) -> PieceSamples | None:
    """Decodes the piece's indexes and keeps what is wanted; None when no picture is. Raises DecodeError."""
    indexes = decode_many([segment.sample_index for segment in piece.segments])
    video, audio = _gather(piece, indexes)
    first_tick, end_tick = piece.clock.pts(piece.from_us), piece.clock.pts(piece.to_us)
    begin = _first_sample(video, first_tick, starts_on_key=piece.starts_on_key)
    if begin is None:
        return None
    wanted = np.flatnonzero((video.pts >= first_tick) & (video.pts < end_tick))
    wanted = wanted[wanted >= begin]
    if not len(wanted):
        return None
    video = video[begin : int(wanted[-1]) + 1]
    # Leading pictures of an open GOP need the one before it, which is not there.
    video = video[video.pts >= video.pts[0]]
    end_pts = int((video.pts + video.durations).max())
    audio = audio[(audio.pts >= video.pts[0]) & (audio.pts < min(end_pts, end_tick))]
    return PieceSamples(piece, video, audio, max(first_tick, int(video.pts[0])), min(end_tick, end_pts))


def _first_sample(video: TrackPart, first_tick: int, *, starts_on_key: bool) -> int | None:
    """Where decoding begins: the last key before what is wanted, or the first one at or after it."""
    keys = np.flatnonzero(video.keys)
    if not len(keys):
        return None
    at = int(np.searchsorted(video.pts[keys], first_tick, side="left" if starts_on_key else "right"))
    if starts_on_key:
        return int(keys[at]) if at < len(keys) else None
    return int(keys[max(0, at - 1)])


def _gather(piece: Piece, indexes: list[Samples]) -> tuple[TrackPart, TrackPart]:
    """All samples of the piece. `tfdt` counts from the run's first dts; the rows say which media time that is."""
    video: list[TrackPart] = []
    audio: list[TrackPart] = []
    for number, (segment, samples) in enumerate(zip(piece.segments, indexes, strict=True)):
        if not len(samples.video):
            continue
        base = segment.start_pts - int(samples.video.dts[0] + samples.video.composition_offsets[0])
        for track, parts in ((samples.video, video), (samples.audio, audio)):
            dts = track.dts + base
            parts.append(
                TrackPart(
                    np.full(len(track), number),
                    track.offsets,
                    track.sizes,
                    dts,
                    dts + track.composition_offsets,
                    track.durations,
                    track.keys,
                )
            )
    return _joined(video), _joined(audio)


def _joined(parts: list[TrackPart]) -> TrackPart:
    if not parts:
        nothing = np.zeros(0, np.int64)
        return TrackPart(nothing, nothing, nothing, nothing, nothing, nothing, np.zeros(0, np.bool_))
    if len(parts) == 1:
        return parts[0]
    return TrackPart(
        *(
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("segment", "offsets", "sizes", "dts", "pts", "durations", "keys")
        )
    )
