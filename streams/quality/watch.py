"""One camera as the sampler sees it: packets in their order, a key frame now and then, a fact from each of them.

No clock: times are those of the packets, so that a recording can be judged faster than it was made.
"""

import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import msgspec

from core.camera import CameraFact, KindCode, Light
from core.media import VIDEO, Packet
from store.camera_references import ReferenceRow
from streams.quality.comparison import Comparison, compare, score_of
from streams.quality.decoder import Undecodable, decode_key, planes_of
from streams.quality.frozen import FrozenWatch
from streams.quality.learning import Learner
from streams.quality.light import Place, light_at
from streams.quality.measures import Measured, measure
from streams.quality.pictures import Shelf
from streams.quality.reference import Reference
from streams.quality_settings import CameraQuality, QualitySettings

EARLY = 0.9
"""Share of the interval after which a key frame is taken: one that comes 10 s after the last must not be missed."""
Emit = Callable[[CameraFact], None]


@dataclass(frozen=True, slots=True)
class SampledCamera:
    """key: registry key. place: latitude, longitude, or None. own: from the registry's settings."""

    key: int
    id: str
    place: Place | None = None
    own: CameraQuality = CameraQuality()  # noqa: RUF009 - immutable


@dataclass(frozen=True, slots=True)
class LearnedReference:
    """A row of `camera_references`."""

    camera: int
    light: Light
    version: int
    reference: Reference

    def row(self) -> ReferenceRow:
        """As the store keeps it."""
        learned_us, stored = self.reference.learned_at_us, self.reference.to_bytes()
        return ReferenceRow(self.camera, int(self.light), self.version, learned_us, stored)


@dataclass(slots=True)
class QualityStats:
    """Since the start. *_s: processor time of the sampler's thread."""

    samples: int = 0
    undecodable: int = 0
    decode_s: float = 0.0
    measure_s: float = 0.0
    learned: int = 0
    """References made or stored anew."""
    suspicious: int = 0
    """Samples with a score below `picture_below`."""


@dataclass(slots=True)
class _Between:
    """Packets between two samples that are not key frames."""

    packets: int = 0
    total_bytes: int = 0

    def mean(self) -> float:
        return self.total_bytes / self.packets if self.packets else 0.0


@dataclass(slots=True)
class Watch:
    """Belongs to the sampler's thread."""

    camera: SampledCamera
    settings: QualitySettings
    shelf: Shelf | None
    emit: Emit
    stats: QualityStats = field(default_factory=QualityStats)
    root: str | None = None
    """Id of the media root that pictures lie in."""
    learners: dict[Light, Learner] = field(default_factory=dict)
    _frozen: FrozenWatch = field(default_factory=FrozenWatch)
    _between: _Between = field(default_factory=_Between)
    _due_s: float = 0.0
    _session: int | None = None

    def know(self, references: Mapping[Light, LearnedReference]) -> None:
        """References from the store; those from before the operator's word are left aside, their version is not."""
        for light in Light:
            known = references.get(light)
            valid_from_us = (self.camera.own.relearned_at_ms or 0) * 1000
            valid = known is not None and known.reference.learned_at_us >= valid_from_us
            version = known.version if known else 0
            self.learners[light] = Learner(self.settings, known.reference if known and valid else None, version)

    def feed(self, packet: Packet) -> CameraFact | None:
        """Takes a packet; when it was sampled, returns the fact, which `emit` has had too."""
        if packet.track != VIDEO:
            return None
        if packet.session != self._session:
            self._session = packet.session
            self._frozen.forget()
        if not packet.is_key:
            self._between.packets += 1
            self._between.total_bytes += len(packet.data)
            return None
        if self.camera.own.off or packet.arrived_s < self._due_s:
            return None
        fact = self._sample(packet)
        self._between = _Between()
        if fact is not None:
            self.emit(fact)
        return fact

    def relearn(self) -> None:
        """The view is meant to be as it is: both lights are learned from scratch."""
        for learner in self.learners.values():
            learner.relearn()

    def learned(self) -> list[LearnedReference]:
        """References to be stored since the last time."""
        found = []
        for light, learner in self.learners.items():
            reference = learner.take()
            if reference is not None:
                self.stats.learned += 1
                found.append(LearnedReference(self.camera.key, light, learner.version, reference))
        return found

    def _sample(self, packet: Packet) -> CameraFact | None:
        interval = self.camera.own.interval_s or self.settings.interval_s
        began = time.thread_time()
        try:
            frame = decode_key(packet.data, packet.formats.video)
        except Undecodable:
            self.stats.undecodable += 1
            self._due_s = packet.arrived_s + interval * EARLY
            return None
        planes = planes_of(frame)
        decoded = time.thread_time()
        cost = (decoded - began) * 1000 / self.settings.most_decode_ms
        self._due_s = packet.arrived_s + interval * EARLY * max(1.0, cost)

        now = measure(planes)
        light = light_at(packet.arrived_us, self.camera.place, self.settings)
        compared = self._compared(now, light)
        frozen_s = self._frozen.frozen_s(packet.arrived_s, planes.luma, zlib.crc32(packet.data), self._between.mean())
        if not compared.structured:
            frozen_s = 0.0  # black stays black: whether that picture lives cannot be seen
        figures = msgspec.structs.replace(compared.figures, frozen_s=frozen_s)
        if light is not None and frozen_s == 0:
            self.learners[light].learn(now, compared, packet.arrived_us)
        score = score_of(figures)
        picture = None
        if score < self.settings.picture_below:
            self.stats.suspicious += 1
            picture = self.shelf.keep(frame, packet.arrived_us) if self.shelf else None
        elif self.shelf:
            self.shelf.well()
        self.stats.samples += 1
        self.stats.decode_s += decoded - began
        self.stats.measure_s += time.thread_time() - decoded
        shown = {
            name: round(value, 4) if isinstance(value, float) else value
            for name, value in msgspec.structs.asdict(figures).items()
        }
        return CameraFact(packet.arrived_us, KindCode.QUALITY, self.camera.key, light, score, self.root, shown, picture)

    def _compared(self, now: Measured, light: Light | None) -> Comparison:
        """Against the light's reference; in twilight against the one that fits better."""
        if light is not None:
            return compare(now, self.learners[light].template)
        found = [compare(now, learner.template) for learner in self.learners.values() if learner.template is not None]
        known = [one for one in found if one.fits is not None]
        return min(known, key=_misfit) if known else compare(now, None)


def _misfit(compared: Comparison) -> float:
    lost = compared.figures.edges_lost
    return 1.0 if lost is None else lost
