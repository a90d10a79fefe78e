"""clips: footage handed out: MP4 of any span, HLS, pictures, and the time line of what there is.

In: rows of footage (store.footage_spans) and the folders of the media roots. Out: `Clips`, which answers with status,
headers and a body; nothing is written, nothing copied to a new file.

- `select` (pure): rows → pieces and gaps. `samples`: a piece's samples. `virtual`: the MP4 with its moov first.
- `ranges` (pure): Range, If-Range, ETag. `response`: bodies out of files. `kept`: files that a player goes on with.
- `hls` (pure): playlists over the segment files as they are. `snapshot`: a JPEG. `recordings` (pure): the time line.
"""

from streams.clips.clips import Clips, ClipsStats
from streams.clips.hls import MEDIA_TYPE as HLS_MEDIA_TYPE
from streams.clips.places import FootageGone, TooBusy
from streams.clips.recordings import Coverage
from streams.clips.response import MediaResponse
from streams.clips.snapshot import Snapshot
from streams.clips_settings import ClipsSettings

__all__ = [
    "HLS_MEDIA_TYPE",
    "Clips",
    "ClipsSettings",
    "ClipsStats",
    "Coverage",
    "FootageGone",
    "MediaResponse",
    "Snapshot",
    "TooBusy",
]
