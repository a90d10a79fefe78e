"""One camera = one room: its streams, each read by a thread into a hub, and what is wanted of it.

`Wanted` is what registry and log-ins say; a room follows changes of it without losing what need not change.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import structlog
from pydantic import ValidationError

from core.camera import CameraFact, KindCode
from core.media import StreamName
from devices.camera_secrets import LogIns
from devices.records import DeviceRecord
from devices.registry import Registry
from streams.camera import CameraReader, Signal
from streams.camera_settings import CameraSettings
from streams.camera_source import Source
from streams.hub import Hub
from streams.quality import CameraQuality, SampledCamera

log = structlog.get_logger()

Emit = Callable[[CameraFact], None]


@dataclass(frozen=True, slots=True)
class Wanted:
    """How a camera is to be read. sources: main, and sub where it has one. quality: None: not judged."""

    key: int
    id: str
    sources: dict[StreamName, Source]
    quality: SampledCamera | None


def wanted(record: DeviceRecord, registry: Registry, log_ins: LogIns, *, audio: bool, judged: bool) -> Wanted:
    """What the registry says of a camera. audio: where it says nothing; judged: whether pictures are judged at all.

    Raises InvalidInput for an unusable address.
    """
    settings = record.settings or {}
    log_in = log_ins.of(record.id)
    user, password = (None, None) if log_in is None else (log_in.user, log_in.password)
    sound = bool(settings.get("audio", audio))
    sources: dict[StreamName, Source] = {"main": Source(record.url or "", user, password, audio=sound)}
    if sub := settings.get("sub_url"):
        sources["sub"] = Source(str(sub), user, password)
    site = registry.site_of(record.key, round(time.time() * 1000))
    place = None if site is None or site.lat is None or site.lon is None else (site.lat, site.lon)
    try:
        own = CameraQuality.model_validate(settings.get("quality") or {})
    except ValidationError as error:
        log.warning("camera.quality_settings_ignored", camera=record.id, problems=error.error_count())
        own = CameraQuality()
    quality = None if own.off or not judged else SampledCamera(record.key, record.id, place, own)
    return Wanted(record.key, record.id, sources, quality)


class Stream:
    """One stream: its hub and its reader."""

    def __init__(self, camera: Wanted, name: StreamName, settings: CameraSettings, emit: Emit) -> None:
        self.name: StreamName = name
        self.hub = Hub(most_gop_bytes=settings.gop_bytes)
        self._key, self._emit = camera.key, emit
        self.reader = CameraReader(
            f"{camera.id}/{name}", camera.sources[name], self.hub, settings, on_signal=self._signalled
        )

    def _signalled(self, signal: Signal) -> None:
        """In the camera's thread."""
        if signal.state == "connecting":
            return
        figures: dict[str, object] = {"stream": self.name, "state": signal.state, "since_ms": signal.at_us // 1000}
        if signal.reason is not None:
            figures["reason"] = signal.reason
        self._emit(CameraFact(time.time_ns() // 1000, KindCode.SIGNAL, self._key, figures=figures))

    def shown(self) -> dict[str, Any]:
        """What the console shows of it."""
        signal, stats, formats = self.reader.signal, self.reader.stats, self.hub.formats
        found: dict[str, Any] = {
            "state": signal.state,
            "since_ms": signal.at_us // 1000,
            "reason": signal.reason,
            "bits_per_s": round(stats.bits_per_s),
            "packets": stats.packets,
            "sessions": stats.sessions,
        }
        if formats is not None:
            video = formats.video
            found |= {"codec": video.codec, "width": video.width, "height": video.height}
            found["audio"] = formats.audio is not None
        return found


class Room:
    """One camera that this worker holds. Methods belong to the worker's event loop; `stop` blocks."""

    def __init__(self, camera: Wanted, settings: CameraSettings, emit: Emit) -> None:
        self.wanted = camera
        self._settings, self._emit = settings, emit
        self.streams: dict[StreamName, Stream] = {}

    def follow(self, camera: Wanted) -> tuple[list[Stream], list[Stream]]:
        """Takes up what is wanted now; returns the streams that began and those that must be ended by the caller."""
        self.wanted = camera
        gone = [self.streams.pop(name) for name in list(self.streams) if name not in camera.sources]
        begun = []
        for name, source in camera.sources.items():
            stream = self.streams.get(name)
            if stream is None:
                stream = self.streams[name] = Stream(camera, name, self._settings, self._emit)
                begun.append(stream)
            else:
                stream.reader.reconfigure(source)
        return begun, gone

    @property
    def judged(self) -> Stream:
        """The stream whose picture is judged: sub where there is one."""
        return self.streams.get("sub") or self.streams["main"]
