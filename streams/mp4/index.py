"""The sample index of a segment: column `sample_index` of its row.

What it knows: for every fragment where it lies and how many samples of each track it has; for every sample its size,
duration, composition offset and whether it is a key. Offsets follow, since samples of a track lie without holes.

Bytes: version (1); varints: length of the init section, fragments, video samples, audio samples, key samples, first
video `tfdt`, first audio `tfdt`; then columns (streams.mp4.varints): per fragment length of moof + mdat header, video
samples, audio samples, video skip, audio skip; per video sample size, duration, composition offset; distances between
key samples; per audio sample size, duration. A skip is what a fragment's `tfdt` is past the end of the track before it
(0 in a run whose durations are right). Measured: 2.3 bytes a sample of even times and 15 frames a second, 4.3 with
random times and sizes.
"""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from core.errors import DecodeError
from streams.mp4.boxes import LARGEST_32
from streams.mp4.fragment import Fragment, TrackRun
from streams.mp4.varints import Ints, decode_column, encode_column, read_varint, varint

VERSION = 1
_MOST_SAMPLES = 1 << 24
"""An index that says more than that (77 h at 60 frames a second) is broken."""


class SegmentIndex:
    """Grows with its segment: add each fragment that was appended, encode as often as wanted.

    Not thread-safe. Cost: add ≈ 3 µs for 15 samples, encode ≈ 0.2 ms (decode too) for a minute of 15 frames a second.
    """

    def __init__(self, init_bytes: int) -> None:
        """init_bytes: length of the segment's init section, where its first fragment begins."""
        self._init_bytes = init_bytes
        self.bytes = init_bytes
        """Length of the file as far as the index knows it."""
        self.fragments = 0
        self._heads = array("q")
        self.video = _Track()
        self.audio = _Track()

    @property
    def samples(self) -> int:
        """Of both tracks."""
        return len(self.video.sizes) + len(self.audio.sizes)

    def add(self, appended: Fragment, length: int | None = None) -> None:
        """The fragment now lies at `bytes` of the file. length: its bytes, where its `data` is not at hand."""
        first = appended.video or appended.audio
        assert first is not None, "a fragment has samples"
        self._heads.append(first.offset)
        self.video.add(appended.video)
        self.audio.add(appended.audio)
        self.fragments += 1
        self.bytes += len(appended.data) if length is None else length

    def encode(self) -> bytes:
        """The column as described above."""
        video, audio = self.video, self.audio
        keys = np.flatnonzero(np.frombuffer(video.keys, np.uint8))
        counts = [self.fragments, len(video.sizes), len(audio.sizes), len(keys)]
        header = [self._init_bytes, *counts, video.first, audio.first]
        columns: list[Sequence[int] | Ints] = [self._heads, video.counts, audio.counts, video.skips, audio.skips]
        columns += [video.sizes, video.durations, video.offsets]
        columns += [np.diff(keys, prepend=0), audio.sizes, audio.durations]
        return b"".join([bytes((VERSION,)), *map(varint, header), *map(encode_column, columns)])


@dataclass
class _Track:
    """Columns of one track. first, next_dts: `tfdt` of its first sample, and where its last one ends."""

    first: int = 0
    next_dts: int = 0
    counts: "array[int]" = field(default_factory=lambda: array("q"))
    skips: "array[int]" = field(default_factory=lambda: array("q"))
    sizes: "array[int]" = field(default_factory=lambda: array("q"))
    durations: "array[int]" = field(default_factory=lambda: array("q"))
    offsets: "array[int]" = field(default_factory=lambda: array("q"))
    keys: bytearray = field(default_factory=bytearray)

    def add(self, run: TrackRun | None) -> None:
        if run is None:
            self.counts.append(0)
            self.skips.append(0)
            return
        if not self.sizes:
            self.first = self.next_dts = run.base_dts
        self.counts.append(len(run.sizes))
        self.skips.append(run.base_dts - self.next_dts)
        self.sizes.extend(run.sizes)
        self.durations.extend(run.durations)
        self.offsets.extend(run.composition_offsets)
        self.keys.extend(run.keys)
        self.next_dts = run.base_dts + sum(run.durations)


@dataclass(frozen=True, slots=True)
class TrackSamples:
    """Samples of one track in file order; arrays of one length.

    offsets, sizes: bytes in the file. dts, durations, composition_offsets: ticks of 1/90 000 s, dts since the run's
    first dts (as in `tfdt`), pts = dts + composition_offsets. keys: sync samples.
    """

    offsets: Ints
    sizes: Ints
    dts: Ints
    durations: Ints
    composition_offsets: Ints
    keys: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.sizes)


@dataclass(frozen=True, slots=True)
class Samples:
    """A decoded index. fragment_starts: byte where each fragment begins, and the end of the last one (one more entry
    than fragments). fragment_video: number of the first video sample of each fragment, likewise."""

    init_bytes: int
    video: TrackSamples
    audio: TrackSamples
    fragment_starts: Ints
    fragment_video: Ints


def decode(data: bytes) -> Samples:
    """The samples of one index. Raises DecodeError, and nothing else, when it is not one."""
    header, at = _header(data)
    init_bytes, fragments, video_count, audio_count, key_count, video_first, audio_first = header
    columns = _columns(data, at)
    heads, video_counts, audio_counts = (_sizes(columns[number], fragments) for number in range(3))
    video_skips, audio_skips = (decode_column(*columns[number], fragments) for number in (3, 4))
    video_sizes, video_durations = (_sizes(columns[number], video_count) for number in (5, 6))
    video_offsets, keys = decode_column(*columns[7], video_count), _sizes(columns[8], key_count)
    audio_sizes, audio_durations = (_sizes(columns[number], audio_count) for number in (9, 10))
    if int(video_counts.sum()) != video_count or int(audio_counts.sum()) != audio_count:
        raise DecodeError("The fragments of the sample index do not add up to its samples.")
    video_bytes, audio_bytes = _per_fragment(video_sizes, video_counts), _per_fragment(audio_sizes, audio_counts)
    starts = init_bytes + np.concatenate(([0], np.cumsum(heads + video_bytes + audio_bytes)))
    video_at, audio_at = starts[:-1] + heads, starts[:-1] + heads + video_bytes
    video = TrackSamples(
        _offsets(video_sizes, video_counts, video_at),
        video_sizes,
        _dts(video_first, video_durations, video_counts, video_skips),
        video_durations,
        video_offsets,
        _keys(keys, video_count),
    )
    audio = TrackSamples(
        _offsets(audio_sizes, audio_counts, audio_at),
        audio_sizes,
        _dts(audio_first, audio_durations, audio_counts, audio_skips),
        audio_durations,
        np.zeros(audio_count, np.int64),
        np.ones(audio_count, np.bool_),
    )
    return Samples(init_bytes, video, audio, starts, np.concatenate(([0], np.cumsum(video_counts))))


def decode_many(many: Sequence[bytes]) -> list[Samples]:
    """Several indexes, in order. Raises DecodeError."""
    return [decode(data) for data in many]


def _header(data: bytes) -> tuple[list[int], int]:
    """The seven figures before the columns, and where these begin."""
    if not data or data[0] != VERSION:
        raise DecodeError("The sample index is empty or of an unknown version.")
    header, at = list[int](), 1
    for _ in range(7):
        value, at = read_varint(data, at)
        header.append(value)
    if max(header[1:5]) > _MOST_SAMPLES:
        raise DecodeError("The sample index says that it has more samples than a segment can have.")
    return header, at


def _columns(data: bytes, at: int) -> list[tuple[int, bytes]]:
    columns = []
    for _ in range(11):
        if at >= len(data):
            raise DecodeError("The sample index is cut off.")
        way = data[at]
        length, at = read_varint(data, at + 1)
        if at + length > len(data):
            raise DecodeError("The sample index is cut off.")
        columns.append((way, data[at : at + length]))
        at += length
    if at != len(data):
        raise DecodeError("Something follows the sample index.")
    return columns


def _sizes(column: tuple[int, bytes], count: int) -> Ints:
    """A column of values of 32 bits without sign."""
    values = decode_column(*column, count)
    if count and (int(values.min()) < 0 or int(values.max()) > LARGEST_32):
        raise DecodeError("The sample index has a size, count or duration that no file can have.")
    return values


def _per_fragment(sizes: Ints, counts: Ints) -> Ints:
    total = np.concatenate(([0], np.cumsum(sizes)))
    ends = np.cumsum(counts)
    found: Ints = total[ends] - total[ends - counts]
    return found


def _offsets(sizes: Ints, counts: Ints, places: Ints) -> Ints:
    """Offset of every sample: its fragment's place plus what lies before it in that fragment."""
    before = np.cumsum(sizes) - sizes
    firsts = np.cumsum(counts) - counts
    total = np.append(before, sizes.sum())
    found: Ints = before + np.repeat(places - total[firsts], counts)
    return found


def _dts(first: int, durations: Ints, counts: Ints, skips: Ints) -> Ints:
    return first + np.cumsum(durations) - durations + np.repeat(np.cumsum(skips), counts)


def _keys(distances: Ints, count: int) -> NDArray[np.bool_]:
    keys = np.zeros(count, np.bool_)
    places = np.cumsum(distances)
    if len(places) and int(places[-1]) >= count:
        raise DecodeError("The sample index names a key sample that it does not have.")
    keys[places] = True
    return keys
