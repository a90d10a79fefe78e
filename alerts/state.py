"""What the rules remember: every subject in memory, one row each in `rule_states`, and the schedule of what is due.

A row is a msgpack map from rule to state that leaves out the states that are still at their start. Rows are written in
the transaction that moves the cursor. After any failure the memory is thrown away and loaded again.
"""

import asyncio
import heapq
from collections.abc import Iterable, Mapping
from typing import Any, get_args

import msgspec
import structlog
from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from alerts.rule import AnyRule, Rule
from alerts.rules import DEVICE_KINDS, RULE_TABLE, RuleLine, SubjectKind
from alerts.settings import RulesSettings
from alerts.subjects import Subject, World

Connection = AsyncConnection[TupleRow]
Decoder = msgspec.msgpack.Decoder[Any]

log = structlog.get_logger()

_encode = msgspec.msgpack.Encoder().encode


class RuleSet:
    """The rules of one kind of subject. steps: lane → (index, step) of the rules that take that lane's facts."""

    def __init__(self, kind: SubjectKind, lines: Iterable[RuleLine], settings: RulesSettings) -> None:
        self.kind = kind
        self.lines = tuple(line for line in lines if line.kind == kind)
        self.rules: tuple[AnyRule, ...] = tuple(line.make(settings.section(line.settings)) for line in self.lines)
        self.names = tuple(line.memory for line in self.lines)
        self.starts: list[object] = [rule.start for rule in self.rules]
        self.steps = {
            lane: tuple((i, rule.step) for i, rule in enumerate(self.rules) if lane in self.lines[i].lanes)
            for lane in range(3)
        }
        self.timed = tuple((i, rule) for i, rule in enumerate(self.rules) if type(rule).due_ms is not Rule.due_ms)
        row = msgspec.defstruct(
            f"{kind.title()}Row",
            [(name, type(start) | None, None) for name, start in zip(self.names, self.starts, strict=True)],
        )
        self._decoder: Decoder = msgspec.msgpack.Decoder(row)

    def encode(self, states: list[object]) -> bytes:
        """A subject's row."""
        known = zip(self.names, states, self.starts, strict=True)
        return _encode({name: state for name, state, start in known if state is not start})

    def decode(self, row: bytes) -> list[object]:
        """A subject's states. A rule that has gone is left out, a new one begins at its start."""
        try:
            found = self._decoder.decode(row)
        except msgspec.DecodeError as error:
            log.warning("alerts.state_unreadable", kind=self.kind, reason=str(error), remedy="it begins anew")
            return list(self.starts)
        return [getattr(found, name) or start for name, start in zip(self.names, self.starts, strict=True)]

    def due_ms(self, states: list[object]) -> int:
        """When the first of the rules wants to look at the clock; 0 for never."""
        due = [ms for i, rule in self.timed if (ms := rule.due_ms(states[i])) is not None]
        return max(1, min(due)) if due else 0


class Memory:
    """Every subject that any rule knows something of."""

    def __init__(self, world: World, settings: RulesSettings) -> None:
        self.world = world
        kinds: tuple[SubjectKind, ...] = get_args(SubjectKind)
        self.sets: Mapping[SubjectKind, RuleSet] = {kind: RuleSet(kind, RULE_TABLE, settings) for kind in kinds}
        self.devices: dict[int, Subject] = {}
        self.others: dict[str, Subject] = {}
        self._schedule: list[tuple[int, str]] = []

    def device(self, kind: SubjectKind, key: int) -> Subject:
        """The subject of a device, new with states at their start."""
        subject = self.devices.get(key)
        if subject is None:
            record = self.world.registry.by_key(key)
            name = record.id if record is not None else f"#{key}"
            subject = self.devices[key] = Subject(self.world, kind, key, name, list(self.sets[kind].starts))
        return subject

    def other(self, kind: SubjectKind, subject_id: str) -> Subject:
        """A division, a sender or a media root."""
        subject = self.others.get(f"{kind}:{subject_id}")
        if subject is None:
            subject = Subject(self.world, kind, None, subject_id, list(self.sets[kind].starts))
            self.others[subject.name] = subject
        return subject

    def of_kind(self, kind: SubjectKind) -> list[Subject]:
        """All subjects of a kind."""
        place: Iterable[Subject] = self.devices.values() if kind in DEVICE_KINDS else self.others.values()
        return [subject for subject in place if subject.kind == kind]

    def forget(self, subject: Subject) -> None:
        """Drops a sender; its row goes with the next save."""
        self.others.pop(subject.name, None)

    def schedule(self, subject: Subject, not_before_ms: int = 0) -> None:
        """Puts the subject on the schedule for when its rules want to look at the clock, unless it is on earlier."""
        due = self.sets[subject.kind].due_ms(subject.states)
        due = max(due, not_before_ms) if due else 0
        if due and (not subject.due_ms or due < subject.due_ms):
            subject.due_ms = due
            heapq.heappush(self._schedule, (due, subject.name))

    def pop_due(self, now_ms: int, most: int) -> list[Subject]:
        """Takes subjects off the schedule that are due, the most overdue first."""
        found: list[Subject] = []
        while self._schedule and self._schedule[0][0] <= now_ms and len(found) < most:
            due, name = heapq.heappop(self._schedule)
            kind, _, rest = name.partition(":")
            subject = self.devices.get(int(rest)) if kind in DEVICE_KINDS else self.others.get(name)
            if subject is not None and subject.due_ms == due:
                subject.due_ms = 0
                found.append(subject)
        return found

    async def load(self, connection: Connection, engine: str) -> None:
        """Reads every row (12,000 in about 0.3 s) and makes the schedule."""
        async with connection.cursor(binary=True) as cursor:
            await cursor.execute("SELECT subject, state FROM rule_states WHERE engine = %s", (engine,))
            while rows := await cursor.fetchmany(256):
                for name, row in rows:
                    kind, _, rest = name.partition(":")
                    if kind not in self.sets:
                        continue
                    subject = self.device(kind, int(rest)) if kind in DEVICE_KINDS else self.other(kind, rest)
                    subject.states = self.sets[kind].decode(row)
                    self.schedule(subject)
                await asyncio.sleep(0)

    async def save(self, connection: Connection, engine: str, changed: Iterable[Subject], gone: list[str]) -> None:
        """Writes the rows of changed subjects and deletes those of forgotten ones. Index: rule_states_pkey."""
        subjects = list(changed)
        if subjects:
            rows = [self.sets[subject.kind].encode(subject.states) for subject in subjects]
            await connection.execute(
                "INSERT INTO rule_states (engine, subject, state) SELECT %s, subject, state "
                "FROM unnest(%b::text[], %b::bytea[]) AS changed (subject, state) "
                "ON CONFLICT (engine, subject) DO UPDATE SET state = EXCLUDED.state",
                (engine, [subject.name for subject in subjects], rows),
            )
        if gone:
            await connection.execute(
                "DELETE FROM rule_states WHERE engine = %s AND subject = ANY(%s)",
                (engine, gone),
            )
