"""Anomalies of what a terminal sells: bursts of declines, repeated charges, unusual amounts, rates and hours."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from simulators.anomalies import Timing
from simulators.terminal_scene import Draft, TerminalKind, TerminalScene

if TYPE_CHECKING:
    from simulators.terminals import TerminalModel


class Scheduled(TerminalKind, ABC):
    """Base of kinds that add transactions laid out when the scene begins."""

    momentary = True
    adds_transactions = True

    @abstractmethod
    def lay_out(self, scene: TerminalScene, model: TerminalModel, now_ms: int) -> list[Draft]:
        """The transactions to add."""

    def usual(self, scene: TerminalScene, drafts: list[Draft]) -> list[Draft]:
        """What stays of the minute's own records."""
        return drafts

    def records(self, scene: TerminalScene, model: TerminalModel, now_ms: int, drafts: list[Draft]) -> list[Draft]:
        if scene.began_ms is None:
            scene.schedule = sorted(self.lay_out(scene, model, now_ms), key=lambda draft: draft[0])
            scene.began_ms, scene.ended_ms = scene.schedule[0][0], scene.schedule[-1][0]
        due = [draft for draft in scene.schedule if draft[0] < now_ms + 60_000]
        scene.schedule = scene.schedule[len(due) :]
        scene.finished = not scene.schedule and not due
        return self.usual(scene, drafts) + due


class DeclineBurst(Scheduled):
    """6–9 declines of a few cards within five minutes; a near miss has 3, and no other decline around."""

    code = "POS-04"
    timing = Timing(300, (300, 300), near_s=(300, 300), delay_s=60)

    def lay_out(self, scene: TerminalScene, model: TerminalModel, now_ms: int) -> list[Draft]:
        count = 3 if scene.near_miss else model.rng.randint(6, 9)
        burst = [model.transaction("declined") for _ in range(count)]
        for record in burst[2:]:
            record.card_ref = model.rng.choice(burst[:2]).card_ref
        scene.figures["declines"] = count
        return [(now_ms + 1000 + model.rng.randrange(290_000), record) for record in burst]

    def usual(self, scene: TerminalScene, drafts: list[Draft]) -> list[Draft]:
        return [draft for draft in drafts if draft[1].result != "declined"] if scene.near_miss else drafts


class RepeatedCharge(Scheduled):
    """One card is charged the same twice within 20–200 s; a near miss comes 6–8 minutes later."""

    code = "POS-06"
    timing = Timing(240, (240, 240), near_s=(500, 500), delay_s=60)

    def lay_out(self, scene: TerminalScene, model: TerminalModel, now_ms: int) -> list[Draft]:
        first, second = model.transaction(), model.transaction()
        second.service, second.amount_fen, second.card_ref = first.service, first.amount_fen, first.card_ref
        gap_s = model.rng.uniform(360, 480) if scene.near_miss else model.rng.uniform(20, 200)
        scene.figures |= {"amount_fen": first.amount_fen or 0, "gap_s": round(gap_s, 1)}
        return [(now_ms + 2000, first), (now_ms + 2000 + round(gap_s * 1000), second)]


class UnusualAmount(Scheduled):
    """One amount 10–20 times the largest that is usual here."""

    code = "POS-05"
    timing = Timing(0, (0, 0), delay_s=120)
    needs_profile = True
    adds_transactions = False

    def lay_out(self, scene: TerminalScene, model: TerminalModel, now_ms: int) -> list[Draft]:
        record = model.transaction()
        record.amount_fen = model.profile.largest_fen() * model.rng.randint(10, 20)
        scene.figures["amount_fen"] = record.amount_fen
        return [(now_ms + model.rng.randrange(1000, 59_000), record)]


class UnusualRate(UnusualAmount):
    """60 transactions within ten minutes."""

    timing = Timing(600, (600, 600), delay_s=60)

    def lay_out(self, scene: TerminalScene, model: TerminalModel, now_ms: int) -> list[Draft]:
        scene.figures["transactions"] = 60
        return [(now_ms + 1000 + 9900 * k + model.rng.randrange(5000), model.transaction()) for k in range(60)]


class UnusualHour(UnusualAmount):
    """Five transactions within ten minutes while the terminal is always closed."""

    timing = Timing(600, (600, 600), delay_s=60)
    needs_closed = True

    def lay_out(self, scene: TerminalScene, model: TerminalModel, now_ms: int) -> list[Draft]:
        scene.figures["transactions"] = 5
        return [(now_ms + 1000 + 120_000 * k + model.rng.randrange(60_000), model.transaction()) for k in range(5)]
