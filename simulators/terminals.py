"""The POS terminals of a city as one deterministic model: a heartbeat a minute, transactions by each terminal's rhythm.

A terminal is advanced a minute at a time: usual records first, then what its scene (`terminal_kinds`) makes of them,
then `boot` and `seq` in order of time, then delivery (held back, skipped, sent twice). Same arguments, same messages.
"""

import random
from collections import deque
from collections.abc import Sequence

import numpy as np

from simulators.anomalies import AnomalyMix, plan
from simulators.manifest import Terminal
from simulators.outgoing import MAX_FACTS, Outgoing, Record, merge, record_body, rfc3339
from simulators.rhythm import Profile, amount_fen, card_ref, profile_of
from simulators.terminal_kinds import TERMINAL_KINDS
from simulators.terminal_scene import Draft, TerminalScene
from simulators.truth import Injected, is_detectable

MINUTE_MS = 60_000
REBOOTS_PER_HOUR = 0.02
REPLAYS_PER_HOUR = 0.1
PAPER_ROLL = 400
DECLINE_CODES = ("51", "55", "61", "05")


class TerminalModel:
    """One terminal: state across minutes. rng belongs to it alone."""

    def __init__(self, terminal: Terminal, rng: random.Random) -> None:
        self.terminal, self.rng = terminal, rng
        self.profile: Profile = profile_of(terminal.id, terminal.services)
        self.scenes: list[TerminalScene] = []
        """In order of their beginning."""
        self.boot, self.seq, self.replayed = "", 0, 0
        self.last_at_ms: int | None = None
        self._paper = rng.randrange(60, PAPER_ROLL)
        self._firmware, self._cell = rng.choice(("3.4.1", "3.4.2", "3.5.0")), f"460-00-{rng.randrange(4096):04x}"
        self._declines: deque[int] = deque(maxlen=2)
        self._recent: deque[Outgoing] = deque(maxlen=20)
        self._announce = False
        self.power_cycle()

    def power_cycle(self) -> None:
        """A new boot: another id, seq from 1, the place reported with the first heartbeat."""
        self.boot, self.seq, self._announce = f"b{self.rng.getrandbits(40):010x}", 0, True

    def minute(self, now_ms: int) -> list[Outgoing]:
        """Messages of [now_ms, now_ms + 60 s)."""
        if self.rng.random() < REBOOTS_PER_HOUR / 60:
            self.power_cycle()
        drafts = [(now_ms, self._heartbeat())]
        if self._announce:
            lat, lon = (round(v + self.rng.gauss(0, 2e-5), 6) for v in (self.terminal.lat, self.terminal.lon))
            drafts.append((now_ms + 40, Record("location", "", "", 0, lat=lat, lon=lon)))
            self._announce = False
        drafts += self._transactions(now_ms)
        scene = next((scene for scene in self.scenes if not scene.finished), None)
        if scene is not None and scene.active(now_ms):
            drafts = scene.kind.records(scene, self, now_ms, drafts)
        messages = self._numbered(sorted(drafts, key=lambda draft: draft[0]))
        if scene is not None and scene.begun and not scene.finished:
            messages = scene.kind.deliver(scene, self, now_ms, messages)
        elif self._recent and self.rng.random() < REPLAYS_PER_HOUR / 60:
            again = merge([*self._recent][-MAX_FACTS:])
            self.replayed += len(again.keys)
            messages.append(again._replace(due_ms=now_ms + 30_000))
        self._recent.extend(message for message in messages if len(message.keys) == 1)
        return messages

    def _numbered(self, drafts: list[Draft]) -> list[Outgoing]:
        messages = []
        for at_ms, record in drafts:
            self.seq += 1
            record.boot, record.seq, record.at = self.boot, self.seq, rfc3339(at_ms)
            key = (at_ms, self.boot, self.seq)
            messages.append(Outgoing(self.terminal.id, "pos", record_body(record), (key,), at_ms))
            self.last_at_ms = at_ms
        return messages

    def _heartbeat(self) -> Record:
        if self._paper <= 12:
            self._paper = PAPER_ROLL
        return Record(
            "heartbeat",
            "",
            "",
            0,
            paper="low" if self._paper < 40 else "ok",
            battery=round(self.rng.uniform(0.9, 1.0), 2),
            signal_dbm=round(self.rng.gauss(-78, 5)),
            firmware=self._firmware,
            cell_id=self._cell,
        )

    def transaction(self, result: str = "approved", service: str | None = None) -> Record:
        """A usual transaction with a card not seen before."""
        service = service or self.profile.service(self.rng)
        self._paper -= result == "approved"
        return Record(
            "transaction",
            "",
            "",
            0,
            amount_fen=amount_fen(service, self.rng),
            service=service,
            result=result,
            decline_code=self.rng.choice(DECLINE_CODES) if result == "declined" else None,
            card_ref=card_ref(self.rng),
            latency_ms=30_000 if result == "timeout" else round(self.rng.lognormvariate(6.7, 0.4)),
        )

    def _transactions(self, now_ms: int) -> list[Draft]:
        rate = self.profile.rate_per_hour(now_ms) / 3_600_000
        drafts: list[Draft] = []
        at = now_ms + 50 + (self.rng.expovariate(rate) if rate > 0 else MINUTE_MS)
        while at < now_ms + MINUTE_MS - 1:
            result = self.rng.choices(("approved", "declined", "reversed", "timeout"), (94, 3, 1, 2))[0]
            if result == "declined" and self._too_many_declines(int(at)):
                result = "approved"
            record = self.transaction(result)
            drafts.append((int(at), record))
            retry_at = at + self.rng.uniform(15_000, 40_000)
            if result == "declined" and retry_at < now_ms + MINUTE_MS:
                again = self.transaction("approved", record.service)
                again.card_ref, again.amount_fen = record.card_ref, record.amount_fen
                drafts.append((int(retry_at), again))
            at += self.rng.expovariate(rate)
        return drafts

    def _too_many_declines(self, at_ms: int) -> bool:
        """A usual day never has a third decline within ten minutes: a burst is always injected."""
        if len(self._declines) == 2 and at_ms - self._declines[0] < 600_000:
            return True
        self._declines.append(at_ms)
        return False


class TerminalFleet:
    """Terminals from start_ms (epoch milliseconds) on; a step is one second. Not thread-safe."""

    slice_ms = 1000

    def __init__(
        self, terminals: Sequence[Terminal], *, seconds: float, seed: int, start_ms: int, mix: AnomalyMix | None = None
    ) -> None:
        self._models = [TerminalModel(t, random.Random(f"{seed}:{start_ms}:{t.id}")) for t in terminals]
        self._start_ms, self._end_ms, self.now_ms, self._tick = start_ms, start_ms + round(seconds * 1000), start_ms, 0
        everyone = list(range(len(terminals)))
        profiled = [i for i in everyone if terminals[i].profiled]
        closed = [i for i in profiled if self._closed(self._models[i].profile)]
        eligible = {
            name: closed if kind.needs_closed else profiled if kind.needs_profile else everyone
            for name, kind in TERMINAL_KINDS.items()
        }
        rng = np.random.default_rng([seed, 4])
        for planned in plan(TERMINAL_KINDS, eligible, mix or AnomalyMix(0.0), seconds, rng):
            model = self._models[planned.index]
            model.scenes.append(TerminalScene(planned, TERMINAL_KINDS[planned.kind], start_ms))

    def _closed(self, profile: Profile) -> bool:
        return all(profile.rate_per_hour(at) == 0 for at in range(self._start_ms, self._end_ms + 1, 600_000))

    @property
    def replayed(self) -> int:
        """Records sent a second time on purpose so far (no anomaly: duplicates must not matter)."""
        return sum(model.replayed for model in self._models)

    def step(self) -> list[Outgoing]:
        """Messages of the terminals whose minute begins in the next second; they are due within 60 s."""
        messages = []
        for i in range(self._tick % 60, len(self._models), 60):
            messages += self._models[i].minute(self.now_ms + i * 37 % 1000)
        self.now_ms += self.slice_ms
        self._tick += 1
        messages.sort(key=lambda message: message.due_ms)
        return messages

    def truth(self) -> list[Injected]:
        """Ground truth of what has happened up to now."""
        end = min(self.now_ms, self._end_ms)
        rows = []
        for model, scene in ((one, scene) for one in self._models for scene in one.scenes):
            if scene.began_ms is None or scene.began_ms >= end:
                continue
            near, began, timing = scene.near_miss, scene.began_ms, scene.kind.timing
            lasting = scene.ended_ms if timing.threshold_s and not scene.kind.momentary else None
            found = not near and is_detectable(began, lasting, end, timing.threshold_s)
            name, subject, ended = scene.planned.kind, model.terminal.id, scene.ended_ms
            rows.append(
                Injected(scene.kind.code, name, subject, began, ended, found, near, figures=dict(scene.figures))
            )
            if scene.kind.adds_transactions and model.terminal.profiled:
                rows.append(Injected("POS-05", name, subject, began, ended, False))
        return rows
