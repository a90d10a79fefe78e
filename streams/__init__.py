"""streams: cameras. Read, recorded without gaps, cut into clips, shown live, and judged for their picture.

In: RTSP cameras of the registry, and what the console asks through a worker's media port. Out: footage files and their
rows (store.footage), facts about cameras (store.camera_facts), pictures and video to the console. No grid events: the
rules of `alerts` make those from the facts.

A worker process (`worker.Worker`, run by wangge.camera_process) holds cameras by lease: `roster` → a `room` each →
`camera` (one thread a stream) → `hub` → `recorder/`, `live/`, `quality/`. `clips/` reads what was recorded, `cleaner`
and `sweep` keep files and rows together, `media_port` answers. docs/design/007-cameras.md has the walk of the data.
"""
