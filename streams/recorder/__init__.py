"""recorder: packets of cameras become files, and the files become rows.

In: hubs. Out: fragmented MP4 below a media root, and rows and facts in the store (or in a journal while it is away).

- `writer.Recorder`: one thread for all cameras of a root; `add`, `remove`, `take`, `stop`.
- `ledger.Ledger`: brings what `Recorder.take` gives to the store, from the worker's event loop.
- `clock`, `fragments`, `gaps`: the pure parts; `run`, `segment`, `recording`, `syncer`: what a run and a file are.
"""

from streams.recorder.writer import Recorder
from streams.recorder_settings import RecorderSettings

__all__ = ["Recorder", "RecorderSettings"]
