"""Runs the rules of a subject's kind on facts, in commit order, in pieces that leave the event loop its turn.

What comes out is one transaction's worth: findings, changed subjects, forgotten ones. No I/O here.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import structlog

from alerts import metrics
from alerts.rules import SubjectKind
from alerts.rules.data import Tally
from alerts.rules.security import Security, subjects_of
from alerts.state import Memory
from alerts.subjects import Subject
from core.camera import StoredCameraFact
from core.event import Finding
from core.fix import StoredFix
from core.lane import CAMERA, FIX, POS, REFUSAL, SECURITY, Lane
from core.reading import StoredReading
from store.facts import StoredRefusal, StoredSecurityFact

FAULTS = (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError)
"""What a mistake in a rule raises. The rule leaves out that fact, is counted and logged; the others go on: an SOS must
not wait for a rule about batteries to be mended."""

_PIECE_S = 0.003
_LOOK_EVERY = 24


log = structlog.get_logger()
_faults: Counter[str] = Counter()


def note_fault(code: str, error: Exception) -> None:
    """Counts and logs a mistake in a rule; the log takes the first and then each thousandth."""
    metrics.RULE_FAILURES.labels(code).inc()
    _faults[code] += 1
    if _faults[code] % 1000 == 1:
        log.error("alerts.rule_failed", code=code, exc_info=error)


class Outcome:
    """What one transaction will write. findings: in order, with their subject."""

    __slots__ = ("changed", "findings", "gone")

    def __init__(self) -> None:
        self.findings: list[tuple[Subject, Finding]] = []
        self.changed: dict[str, Subject] = {}
        self.gone: list[str] = []

    def take(self, subject: Subject, findings: Iterable[Finding]) -> None:
        """Adds findings of a subject."""
        self.findings += [(subject, finding) for finding in findings]

    @property
    def empty(self) -> bool:
        """Whether there is nothing to write."""
        return not (self.findings or self.changed or self.gone)


async def evaluate(memory: Memory, family: str, lane: Lane, facts: Sequence[Any], outcome: Outcome) -> None:
    """Evaluates a slice of one family and lane."""
    if family in (FIX, POS):
        await _measurements(memory, "handset" if family == FIX else "terminal", lane, facts, outcome)
    elif family == CAMERA:
        await _cameras(memory, lane, facts, outcome)
    elif family == SECURITY:
        await _security(memory, facts, outcome)
    elif family == REFUSAL:
        _refusals(memory, facts, outcome)


async def _measurements(
    memory: Memory,
    kind: SubjectKind,
    lane: Lane,
    facts: Sequence[StoredFix | StoredReading],
    outcome: Outcome,
) -> None:
    """The hot path: a handset's fix goes through seven rules in some 15 µs."""
    rules, devices, changed = memory.sets[kind], memory.devices, outcome.changed
    steps, lines = rules.steps[lane], rules.lines
    accepted: dict[str, int] = {}
    began = time.perf_counter()
    for number, fact in enumerate(facts):
        subject = devices.get(fact.device) or memory.device(kind, fact.device)
        if subject.kind != kind:
            continue  # a terminal that sends fixes: admission's concern, no rule is made for it
        division = subject.division  # first: it also takes up what the registry has learnt
        states, touched = subject.states, False
        for index, step in steps:
            old = states[index]
            try:
                new, findings = step(old, fact, subject)
            except FAULTS as error:
                note_fault(lines[index].code, error)
                continue
            if new is not old:
                states[index] = new
                touched = True
            if findings:
                outcome.take(subject, findings)
        accepted[division] = accepted.get(division, 0) + 1
        if touched:
            changed[subject.name] = subject
        if number % _LOOK_EVERY == 0 and time.perf_counter() - began > _PIECE_S:
            await asyncio.sleep(0)
            began = time.perf_counter()
    for subject in list(changed.values()):
        memory.schedule(subject)
    if facts:
        at_ms = max(fact.received_at_ms for fact in facts)
        for division, count in accepted.items():
            _tally(memory, division, Tally(at_ms, count, 0), outcome)


async def _cameras(memory: Memory, lane: Lane, facts: Sequence[StoredCameraFact], outcome: Outcome) -> None:
    """Facts about cameras in service, and about media roots. They are our own words: no tally of accepted input."""
    for number, fact in enumerate(facts):
        if fact.device is not None:
            subject = memory.device("camera", fact.device)
            if subject.kind == "camera" and subject.in_service:
                _ = subject.division  # takes up what the registry has learnt
                _run(memory, subject, lane, fact, outcome)
        elif fact.root is not None:
            _run(memory, memory.other("storage", fact.root), lane, fact, outcome)
        if number % _LOOK_EVERY == 0:
            await asyncio.sleep(0)


def _tally(memory: Memory, division: str, tally: Tally, outcome: Outcome) -> None:
    subject = memory.other("division", division)
    _run(memory, subject, Lane.LIVE, tally, outcome)


def _run(memory: Memory, subject: Subject, lane: Lane, fact: object, outcome: Outcome) -> None:
    """All rules of the subject's kind on one fact."""
    rules = memory.sets[subject.kind]
    for index, step in rules.steps[lane]:
        old = subject.states[index]
        try:
            new, findings = step(old, fact, subject)
        except FAULTS as error:
            note_fault(rules.lines[index].code, error)
            continue
        if new is not old:
            subject.states[index] = new
            outcome.changed[subject.name] = subject
        outcome.take(subject, findings)
    memory.schedule(subject)


def _refusals(memory: Memory, facts: Sequence[StoredRefusal], outcome: Outcome) -> None:
    """Refused input of known devices counts against their division."""
    refused: dict[str, int] = {}
    for fact in facts:
        record = None if fact.device is None else memory.world.registry.by_key(fact.device)
        if record is not None and record.kind in ("handset", "terminal"):
            kind: SubjectKind = "handset" if record.kind == "handset" else "terminal"
            division = memory.device(kind, record.key).division
            refused[division] = refused.get(division, 0) + 1
    for division, count in refused.items():
        _tally(memory, division, Tally(max(fact.received_at_ms for fact in facts), 0, count), outcome)


async def _security(memory: Memory, facts: Sequence[StoredSecurityFact], outcome: Outcome) -> None:
    """Each refusal counts for who was claimed and for the peer; the peer is quiet while the claimed one is reported."""
    (rule,) = memory.sets["sender"].rules
    assert isinstance(rule, Security)
    for number, fact in enumerate(facts):
        record = None if fact.device is None else memory.world.registry.by_key(fact.device)
        reported = False
        for name in subjects_of(fact, record.id if record else None):
            subject = memory.other("sender", name)
            try:
                state, findings = rule.step(subject.states[0], fact, subject)  # type: ignore[arg-type]
            except FAULTS as error:
                note_fault(rule.code, error)
                continue
            if not (reported and findings):
                subject.states[0] = state
                outcome.take(subject, findings)
                outcome.changed[subject.name] = subject
            reported = reported or rule.is_over(state, fact.at_ms)
        if number % _LOOK_EVERY == 0:
            await asyncio.sleep(0)


def forget_quiet_senders(memory: Memory, now_ms: int, outcome: Outcome) -> None:
    """Drops senders that were quiet for long: attackers choose their names, memory must not grow with them."""
    (rule,) = memory.sets["sender"].rules
    assert isinstance(rule, Security)
    for subject in memory.of_kind("sender"):
        if rule.forget_ms(subject.states[0]) < now_ms:  # type: ignore[arg-type]
            memory.forget(subject)
            outcome.gone.append(subject.name)
