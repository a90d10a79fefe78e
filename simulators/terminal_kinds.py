"""What can go wrong with a POS terminal itself and its link: one class a kind; and the table of all kinds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulators.anomalies import Timing
from simulators.outgoing import MAX_FACTS, Outgoing, Record, merge
from simulators.stage import shifted
from simulators.terminal_sales import DeclineBurst, RepeatedCharge, UnusualAmount, UnusualHour, UnusualRate
from simulators.terminal_scene import Draft, TerminalKind, TerminalScene

if TYPE_CHECKING:
    from simulators.terminals import TerminalModel


class Offline(TerminalKind):
    """The power is cut: no records; afterwards a new power cycle. The condition began with the last record before."""

    code = "POS-01"
    timing = Timing(300, (480, 1500), near_s=(60, 119), delay_s=60)

    def records(self, scene: TerminalScene, model: TerminalModel, now_ms: int, drafts: list[Draft]) -> list[Draft]:
        if scene.began_ms is None:
            scene.began_ms = model.last_at_ms or now_ms
        if self.done(scene, now_ms):
            model.power_cycle()
            return drafts
        scene.figures["silent_s"] = (now_ms - scene.began_ms) / 1000
        return []


class LinkDown(Offline):
    """The network is away: records go on being made, and are sent as arrays when it is back."""

    timing = Timing(300, (480, 1500), delay_s=60)

    def records(self, scene: TerminalScene, model: TerminalModel, now_ms: int, drafts: list[Draft]) -> list[Draft]:
        if scene.began_ms is None:
            scene.began_ms = model.last_at_ms or now_ms
        scene.figures["silent_s"] = (now_ms - scene.began_ms) / 1000
        return drafts

    def deliver(
        self, scene: TerminalScene, model: TerminalModel, now_ms: int, messages: list[Outgoing]
    ) -> list[Outgoing]:
        if not self.done(scene, now_ms):
            scene.kept += messages
            return []
        kept, scene.kept = scene.kept, []
        arrays = [merge(kept[k : k + MAX_FACTS]) for k in range(0, len(kept), MAX_FACTS)]
        return [array._replace(due_ms=now_ms) for array in arrays] + messages


class Tampered(TerminalKind):
    """The case is opened once."""

    code = "POS-02"
    timing = Timing(0, (0, 0), settle_s=0, delay_s=60)
    momentary = True

    def alarm(self, scene: TerminalScene, model: TerminalModel) -> Record:
        """The record that tells it."""
        sensor = model.rng.choice(("case", "mesh", "card_slot"))
        scene.figures["sensor"] = sensor
        return Record("tamper", "", "", 0, sensor=sensor)

    def records(self, scene: TerminalScene, model: TerminalModel, now_ms: int, drafts: list[Draft]) -> list[Draft]:
        if scene.began_ms is not None:
            scene.finished = True
            return drafts
        scene.began_ms = scene.ended_ms = now_ms + model.rng.randrange(1000, 15_000)
        return [*drafts, (scene.began_ms, self.alarm(scene, model))]


class Moved(Tampered):
    """The terminal reports a place 0.5–3 km from its own."""

    def alarm(self, scene: TerminalScene, model: TerminalModel) -> Record:
        metres = model.rng.uniform(500, 3000)
        lat, lon = shifted(model.terminal.lat, model.terminal.lon, metres * 0.6, metres * 0.8)
        scene.figures["moved_m"] = round(metres)
        return Record("location", "", "", 0, lat=round(lat, 6), lon=round(lon, 6))


class Fault(TerminalKind):
    """A part fails; the terminal says so every third minute until it is repaired."""

    code = "POS-03"
    timing = Timing(0, (240, 900), settle_s=0, delay_s=60)

    def records(self, scene: TerminalScene, model: TerminalModel, now_ms: int, drafts: list[Draft]) -> list[Draft]:
        if self.done(scene, now_ms):
            return drafts
        if scene.began_ms is None:
            scene.began_ms = now_ms + 500
            scene.figures["component"] = model.rng.choice(("printer", "card_reader", "pin_pad"))
        if round(scene.elapsed_s(now_ms)) % 180 == 0:
            component = str(scene.figures["component"])
            drafts = [*drafts, (now_ms + 500, Record("fault", "", "", 0, component=component, code="E21"))]
        return drafts


class PaperOut(TerminalKind):
    """No paper until somebody comes: heartbeats say so, nothing is sold."""

    code = "POS-03"
    timing = Timing(0, (240, 1200), settle_s=0, delay_s=60)

    def records(self, scene: TerminalScene, model: TerminalModel, now_ms: int, drafts: list[Draft]) -> list[Draft]:
        if self.done(scene, now_ms):
            return drafts
        scene.began_ms = now_ms if scene.began_ms is None else scene.began_ms
        scene.figures["paper"] = "out"
        kept = [(at, record) for at, record in drafts if record.kind != "transaction"]
        for _, record in kept:
            record.paper = "out" if record.kind == "heartbeat" else None
        return kept


class Gap(TerminalKind):
    """Some records never arrive: seq has a hole."""

    code = "POS-07"
    timing = Timing(86_400, (0, 0), delay_s=60)
    momentary = True

    def deliver(
        self, scene: TerminalScene, model: TerminalModel, now_ms: int, messages: list[Outgoing]
    ) -> list[Outgoing]:
        if scene.began_ms is not None:
            scene.finished = True
            return messages
        scene.began_ms = messages[0].due_ms
        scene.figures["missing"] = len(messages)
        return []


class GapFilled(TerminalKind):
    """Records of one minute arrive some minutes after later ones: a hole that must not become an event."""

    code = "POS-07"
    timing = Timing(0, (240, 600), near_s=(240, 600), never=True, delay_s=60)

    def deliver(
        self, scene: TerminalScene, model: TerminalModel, now_ms: int, messages: list[Outgoing]
    ) -> list[Outgoing]:
        if scene.began_ms is None:
            scene.began_ms, scene.kept = messages[0].due_ms, messages
            scene.figures["missing"] = len(messages)
            return []
        if not self.done(scene, now_ms):
            return messages
        return [merge(scene.kept)._replace(due_ms=now_ms), *messages]


TERMINAL_KINDS: dict[str, TerminalKind] = {
    "offline": Offline(),
    "link_down": LinkDown(),
    "tampered": Tampered(),
    "moved": Moved(),
    "fault": Fault(),
    "paper_out": PaperOut(),
    "decline_burst": DeclineBurst(),
    "unusual_amount": UnusualAmount(),
    "unusual_rate": UnusualRate(),
    "unusual_hour": UnusualHour(),
    "repeated_charge": RepeatedCharge(),
    "gap": Gap(),
    "gap_filled": GapFilled(),
}
