"""mp4: the boxes of fragmented MP4 (ISO/IEC 14496-12), written and read without a muxer.

In: packets as cameras send them (core.media). Out: initialisation sections, fragments, and an index of the samples
that is small enough for a row. Nothing here does I/O but `reading`, which looks at a file after a crash.

- `init.init_section`, `codecs.codecs`: what a file begins with, and how HLS and MSE name it.
- `fragment.fragment`: one moof + mdat.
- `index.SegmentIndex` → bytes → `index.decode`: where every sample lies and when it is shown.
- `reading.read_segment`: whole fragments of a file that may be torn.
"""

from streams.mp4.codecs import codecs
from streams.mp4.fragment import Fragment, TrackRun, fragment
from streams.mp4.index import SegmentIndex, decode, decode_many
from streams.mp4.init import init_section
from streams.mp4.reading import read_segment

__all__ = [
    "Fragment",
    "SegmentIndex",
    "TrackRun",
    "codecs",
    "decode",
    "decode_many",
    "fragment",
    "init_section",
    "read_segment",
]
