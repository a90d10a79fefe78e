"""What can go wrong with a handset: one class a kind, each changing the fixes that the handset would have sent."""

from typing import ClassVar

import numpy as np

from simulators.anomalies import Timing
from simulators.handset_scene import HandsetKind, Scene
from simulators.outgoing import FixDraft
from simulators.stage import shifted


class Sos(HandsetKind):
    """The SOS button is pressed once."""

    code = "TRK-01"
    timing = Timing(0, (0, 0))
    off_duty = True
    alarm: ClassVar[str] = "sos"

    def alter(self, scene: Scene, draft: FixDraft) -> list[FixDraft]:
        scene.figures["alarm"] = self.alarm
        if draft.fixed_at == scene.began_ms:
            draft.alarm = self.alarm
        return [draft]

    def over(self, scene: Scene, now_ms: int) -> bool:
        return now_ms > (scene.began_ms or 0) and super().over(scene, now_ms)


class Fall(Sos):
    """The worker falls and lies for some minutes."""

    timing = Timing(0, (120, 300))
    alarm = "fall"

    def begin(self, scene: Scene, draft: FixDraft) -> None:
        super().begin(scene, draft)
        scene.stage.motion.put(scene.i, float(scene.stage.motion.x[scene.i]), float(scene.stage.motion.y[scene.i]))

    def end(self, scene: Scene) -> None:
        scene.stage.motion.release(scene.i, 1.1)


class Removed(Fall):
    """The handset is taken off; it says so in each fix until it is worn again."""

    code = "TRK-04"
    timing = Timing(0, (180, 600))
    off_duty = False
    alarm = "removed"

    def alter(self, scene: Scene, draft: FixDraft) -> list[FixDraft]:
        scene.figures["alarm"] = draft.alarm = self.alarm
        return [draft]


class LowBattery(HandsetKind):
    """A worn battery collapses; it is changed later. A near miss stays at 16–20 %."""

    code = "TRK-05"
    timing = Timing(0, (240, 900), near_s=(240, 600), settle_s=0)

    def begin(self, scene: Scene, draft: FixDraft) -> None:
        scene.stage.own_battery[scene.i] = True
        scene.stage.battery[scene.i] = 0.19
        scene.began_ms = draft.fixed_at if scene.planned.near_miss else None

    def alter(self, scene: Scene, draft: FixDraft) -> list[FixDraft]:
        least = 0.16 if scene.planned.near_miss else 0.07
        level = max(least, float(scene.stage.battery[scene.i]) - 0.002 * scene.interval_ms / 1000)
        scene.stage.battery[scene.i] = draft.battery = level
        if round(level, 2) < 0.15 and scene.began_ms is None:
            scene.began_ms, draft.alarm = draft.fixed_at, "low_power"
        scene.figures["battery"] = round(level, 2)
        return [draft]

    def end(self, scene: Scene) -> None:
        scene.stage.battery[scene.i] = 0.95
        scene.stage.own_battery[scene.i] = False


class Silent(HandsetKind):
    """Nothing is sent on duty: the phone is off. The condition began with the last fix before."""

    code = "TRK-02"
    timing = Timing(900, (1080, 2400), near_s=(300, 720))
    needs_shift = True

    def begin(self, scene: Scene, draft: FixDraft) -> None:
        scene.began_ms = max(draft.fixed_at - scene.interval_ms, scene.run_start_ms)

    def alter(self, scene: Scene, draft: FixDraft) -> list[FixDraft]:
        scene.figures["silent_s"] = scene.held_for_s(draft.fixed_at)
        return []


class Astray(HandsetKind):
    """The worker rides out of the grid, stays 350 m beyond it and comes back. Beyond 200 m the condition holds."""

    code = "TRK-03"
    timing = Timing(600, (780, 1500), near_s=(100, 300), lead_s=240)
    needs_shift = True
    limit_m: ClassVar[float] = 200.0

    def begin(self, scene: Scene, draft: FixDraft) -> None:
        x, y = scene.stage.outside_point(scene.i, 350.0, scene.rng)
        motion = scene.stage.motion
        way = float(np.hypot(x - motion.x[scene.i], y - motion.y[scene.i]))
        motion.send_to(scene.i, x, y, min(15.0, max(5.0, way / (self.timing.lead_s - 30.0))))

    def alter(self, scene: Scene, draft: FixDraft) -> list[FixDraft]:
        beyond = scene.stage.beyond_m(scene.i)
        if beyond > self.limit_m and scene.began_ms is None:
            scene.began_ms = draft.fixed_at
        scene.figures["beyond_m"] = max(float(scene.figures.get("beyond_m", 0.0)), round(beyond, 1))
        if scene.held_for_s(draft.fixed_at) >= scene.condition_s and scene.stage.motion.held[scene.i]:
            scene.stage.motion.release(scene.i, 5.0)
        return [draft]

    def over(self, scene: Scene, now_ms: int) -> bool:
        back = not scene.stage.motion.held[scene.i] and scene.stage.beyond_m(scene.i) <= self.limit_m
        return scene.began_ms is not None and back


class Displaced(HandsetKind):
    """Teleport: the fixes jump some kilometres away, stay there for minutes, and jump back."""

    code = "TRK-06"
    timing = Timing(0, (90, 360))
    mock: ClassVar[bool] = False

    def begin(self, scene: Scene, draft: FixDraft) -> None:
        super().begin(scene, draft)
        scene.far_off(4_000.0, 9_000.0)
        scene.figures["jump_m"] = round(float(np.hypot(*scene.offset_m)))

    def alter(self, scene: Scene, draft: FixDraft) -> list[FixDraft]:
        assert draft.lat is not None
        assert draft.lon is not None
        draft.lat, draft.lon = shifted(draft.lat, draft.lon, *scene.offset_m)
        draft.mock = self.mock
        return [draft]


class Mock(Displaced):
    """A mock-location app is on; the system says so."""

    mock = True


class Frozen(HandsetKind):
    """The receiver repeats one position for ever, while its speed says that it moves."""

    code = "TRK-06"
    timing = Timing(600, (840, 1500))

    def alter(self, scene: Scene, draft: FixDraft) -> list[FixDraft]:
        scene.memory = scene.memory or [draft]
        first = scene.memory[0]
        draft.lat, draft.lon, draft.accuracy_m = first.lat, first.lon, first.accuracy_m
        draft.heading_deg, draft.speed_mps = first.heading_deg, max(first.speed_mps, 0.9)
        scene.figures["frozen_s"] = scene.held_for_s(draft.fixed_at)
        return [draft]


class TwoAsOne(Displaced):
    """A second phone reports under the same id, some kilometres away, between the own fixes."""

    timing = Timing(0, (150, 480))

    def alter(self, scene: Scene, draft: FixDraft) -> list[FixDraft]:
        assert draft.lat is not None
        assert draft.lon is not None
        lat, lon = shifted(draft.lat, draft.lon, *scene.offset_m)
        later = draft.fixed_at + scene.interval_ms // 2
        second = FixDraft(later, lat, lon, 6.0, 1.1, 90, 0.71, 15, draft.seq + 500_000)
        return [draft, second]


class Replayed(HandsetKind):
    """Ten minutes of the own track are recorded and then sent again as if walked now."""

    code = "TRK-06"
    timing = Timing(300, (590, 600), lead_s=620)

    def begin(self, scene: Scene, draft: FixDraft) -> None:
        scene.memory = []

    def alter(self, scene: Scene, draft: FixDraft) -> list[FixDraft]:
        if scene.began_ms is None and len(scene.memory) * scene.interval_ms < 600_000:
            scene.memory.append(FixDraft(*(getattr(draft, name) for name in draft.__struct_fields__)))
            return [draft]
        scene.began_ms = draft.fixed_at if scene.began_ms is None else scene.began_ms
        if scene.memory:
            old = scene.memory.pop(0)
            draft.lat, draft.lon, draft.accuracy_m = old.lat, old.lon, old.accuracy_m
            draft.speed_mps, draft.heading_deg = old.speed_mps, old.heading_deg
            scene.figures["replayed_fixes"] = float(scene.figures.get("replayed_fixes", 0)) + 1
        return [draft]


class AtHome(HandsetKind):
    """The phone was left at home before the shift: on duty, still, away from every work place."""

    code = "TRK-07"
    timing = Timing(3600, (3900, 10_800), at_start=True)
    needs_shift = True

    def prepare(self, scene: Scene) -> None:
        scene.stage.motion.put(scene.i, *scene.stage.home(scene.i))
        scene.stage.noise.indoor[scene.i] = True
        if scene.stage.beyond_m(scene.i) > Astray.limit_m + 30.0:
            scene.also.append("TRK-03")

    def begin(self, scene: Scene, draft: FixDraft) -> None:
        scene.began_ms = draft.fixed_at

    def alter(self, scene: Scene, draft: FixDraft) -> list[FixDraft]:
        scene.figures["still_s"] = scene.held_for_s(draft.fixed_at)
        return [draft]

    def end(self, scene: Scene) -> None:
        scene.stage.noise.indoor[scene.i] = False
        scene.stage.motion.release(scene.i, 5.0)


class Still(HandsetKind):
    """The worker goes to a place away from work and sits there."""

    code = "TRK-07"
    timing = Timing(3600, (3900, 7200), near_s=(1500, 2700), lead_s=420)
    needs_shift = True

    def begin(self, scene: Scene, draft: FixDraft) -> None:
        motion = scene.stage.motion
        x, y = motion.quietest_place(scene.i, scene.stage.work_xy[scene.i])
        way = float(np.hypot(x - motion.x[scene.i], y - motion.y[scene.i]))
        motion.send_to(scene.i, x, y, min(15.0, max(1.3, way / (self.timing.lead_s - 60.0))))

    def alter(self, scene: Scene, draft: FixDraft) -> list[FixDraft]:
        if scene.began_ms is None and scene.stage.motion.arrived(scene.i):
            scene.began_ms = draft.fixed_at
        scene.figures["still_s"] = max(0.0, scene.held_for_s(draft.fixed_at))
        return [draft]

    def end(self, scene: Scene) -> None:
        scene.stage.motion.release(scene.i, 1.3)


HANDSET_KINDS: dict[str, HandsetKind] = {
    "sos": Sos(),
    "fall": Fall(),
    "silent": Silent(),
    "astray": Astray(),
    "removed": Removed(),
    "low_battery": LowBattery(),
    "mock": Mock(),
    "teleport": Displaced(),
    "frozen": Frozen(),
    "two_as_one": TwoAsOne(),
    "replayed": Replayed(),
    "at_home": AtHome(),
    "still": Still(),
}
