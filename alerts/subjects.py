"""Whom the rules watch: a subject with its states, and what a rule may ask about it.

A handset or terminal, a division, or a sender of refused input. A city has 12,000 of them; each costs about 1.5 KB.
"""

from collections.abc import Mapping

from alerts.ready_time import ReadyTime
from alerts.rules import SubjectKind
from devices.geometry import Grid
from devices.records import Duty, Place, Site
from devices.registry import Registry


class World:
    """What holds for all subjects just now; the engine replaces its parts.

    now_ms: the instant up to which all urgent and live facts have been read; wall_ms: what the clock says.
    """

    __slots__ = ("city", "now_ms", "ready", "registry", "wall_ms")

    def __init__(self, registry: Registry, city: str) -> None:
        self.registry = registry
        self.city = city
        self.ready = ReadyTime()
        self.now_ms = 0
        self.wall_ms = 0


class Subject:
    """One subject; the `Context` of its rules' steps. states: one a rule of its kind, in the order of the table.

    name: of its row in rule_states. key: of a device, else None. due_ms: when it is on the schedule, 0 for not.
    """

    __slots__ = (
        "_division",
        "_division_hour",
        "_division_registry",
        "due_ms",
        "id",
        "key",
        "kind",
        "name",
        "states",
        "world",
    )

    def __init__(self, world: World, kind: SubjectKind, key: int | None, subject_id: str, states: list[object]) -> None:
        self.world = world
        self.kind = kind
        self.key = key
        self.id = subject_id
        self.name = f"{kind}:{subject_id if key is None else key}"
        self.states = states
        self.due_ms = 0
        self._division: str = ""
        self._division_registry: Registry | None = None
        self._division_hour = 0

    @property
    def settings(self) -> Mapping[str, object]:
        record = None if self.key is None else self.world.registry.by_key(self.key)
        return {} if record is None else record.settings

    @property
    def now_ms(self) -> int:
        return self.world.now_ms

    def duty(self, at_ms: int) -> Duty:
        assert self.key is not None
        return self.world.registry.duty_at(self.key, at_ms)

    def grids(self, at_ms: int) -> list[Grid]:
        assert self.key is not None
        registry = self.world.registry
        found = [registry.grid(code) for code in registry.grids_of(self.key, at_ms)]
        return [grid for grid in found if grid is not None]

    def work_places(self, at_ms: int) -> tuple[Place, ...]:
        assert self.key is not None
        registry = self.world.registry
        codes = registry.grids_of(self.key, at_ms)
        return tuple(place for code in codes for place in registry.work_places(code))

    def site(self, at_ms: int) -> Site | None:
        assert self.key is not None
        return self.world.registry.site_of(self.key, at_ms)

    def ready_ms(self, since_ms: int, until_ms: int) -> int:
        return self.world.ready.counted_ms(since_ms, until_ms)

    @property
    def division(self) -> str:
        """Code of the district that the subject belongs to now (to the hour), else the city."""
        registry, hour = self.world.registry, self.world.wall_ms // 3_600_000
        if registry is not self._division_registry or hour != self._division_hour:
            self._division_registry, self._division_hour = registry, hour
            if self.key is not None:
                record = registry.by_key(self.key)
                self.id = record.id if record is not None else self.id
                self._division = registry.division_of(self.key, self.world.wall_ms) or self.world.city
            else:
                self._division = self.id if self.kind == "division" else self.world.city
        return self._division

    @property
    def in_service(self) -> bool:
        """Whether the registry knows the device and it is not retired; other subjects always are."""
        if self.key is None:
            return True
        record = self.world.registry.by_key(self.key)
        return record is not None and not record.retired
