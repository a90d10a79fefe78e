"""What is due by the clock: absence rules, deadlines of others, and the mass silence that replaces single silences.

Time is the world's `now_ms`: all live facts up to it have been read, so that a backlog never looks like silence.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, Protocol, cast

import msgspec

from alerts.evaluate import FAULTS, Outcome, note_fault
from alerts.rule import AnyRule, Findings
from alerts.rules import SubjectKind
from alerts.rules.mass import Mass, MassOf, MassState, SilentTogether
from alerts.state import Memory
from alerts.subjects import Subject

ACTIVE_BEFORE_MS = 10 * 60_000
"""A device counts as active before a silence when its last contact is not older than this before it."""
AFTER_FAULT_MS = 60_000
"""A subject of which a rule could not look at the clock is looked at again so much later."""


class AbsenceRule(Protocol):
    """What judging a mass silence needs of a rule that opens because nothing came."""

    def contact_ms(self, state: Any) -> int:
        """Newest contact; 0 for none."""

    def hush(self, state: Any, hushed: bool) -> Any:
        """The state as part of a mass silence, or no longer so."""

    def is_hushed(self, state: Any) -> bool:
        """Whether it is part of one."""


@dataclass(frozen=True, slots=True)
class Silent:
    """A device that an absence rule has just found silent; nothing of it is decided yet."""

    subject: Subject
    index: int
    rule: AbsenceRule
    before: msgspec.Struct
    after: msgspec.Struct
    findings: Findings

    @property
    def contact_ms(self) -> int:
        """Its last contact."""
        return self.rule.contact_ms(self.before)


def tick(memory: Memory, most: int, outcome: Outcome) -> int:
    """Lets rules look at up to `most` subjects that are due; returns how many were."""
    due = memory.pop_due(memory.world.now_ms, most)
    silent: list[Silent] = []
    not_before: dict[str, int] = {}
    for subject in due:
        if subject.in_service and not _tick_subject(memory, subject, outcome, silent):
            not_before[subject.name] = memory.world.now_ms + AFTER_FAULT_MS
    _judge_together(memory, silent, outcome)
    for subject in due:
        if subject.in_service:
            memory.schedule(subject, not_before.get(subject.name, 0))
    return len(due)


def _tick_subject(memory: Memory, subject: Subject, outcome: Outcome, silent: list[Silent]) -> bool:
    """False: a mistake in a rule; the others have looked."""
    rules, now, is_well = memory.sets[subject.kind], memory.world.now_ms, True
    for index, rule in rules.timed:
        old = subject.states[index]
        due = rule.due_ms(old)
        if due is None or due > now:
            continue
        try:
            new, findings = rule.tick(old, subject)
        except FAULTS as error:
            note_fault(rules.lines[index].code, error)
            is_well = False
            continue
        if rules.lines[index].absence and any(finding.kind == "open" for finding in findings):
            absence = cast("AbsenceRule", rule)
            silent.append(Silent(subject, index, absence, cast("msgspec.Struct", old), new, findings))
            continue
        if new is not old:
            subject.states[index] = new
            outcome.changed[subject.name] = subject
        outcome.take(subject, findings)
    return is_well


def _judge_together(memory: Memory, silent: list[Silent], outcome: Outcome) -> None:
    """Decides for each silent device: an event of its own, or part of a mass silence of its division."""
    groups: dict[tuple[str, SubjectKind], list[Silent]] = {}
    for one in sorted(silent, key=lambda s: (s.contact_ms, s.subject.key or 0)):
        groups.setdefault((one.subject.division, one.subject.kind), []).append(one)
    for (division, kind), group in groups.items():
        contacts = cache(partial(_contacts, memory, division, kind, group[0]))  # a walk over all: only where needed
        for one in group:
            is_mass = _is_mass(memory, division, one, contacts, outcome)
            one.subject.states[one.index] = one.rule.hush(one.before, True) if is_mass else one.after
            outcome.changed[one.subject.name] = one.subject
            if not is_mass:
                outcome.take(one.subject, one.findings)


def _contacts(memory: Memory, division: str, kind: SubjectKind, one: Silent) -> list[int]:
    """Last contacts of the division's devices of this kind that are judged just now, sorted."""
    found = []
    for subject in memory.of_kind(kind):
        if subject.division == division and subject.in_service:
            contact = one.rule.contact_ms(subject.states[one.index])
            if contact and _fell_silent_on_duty(subject, contact):
                found.append(contact)
    return sorted(found)


def _is_judged(subject: Subject) -> bool:
    """A handset is judged in its planned shift only."""
    if subject.kind != "handset":
        return True
    duty = subject.duty(subject.now_ms)
    return duty.on and duty.planned


def _fell_silent_on_duty(subject: Subject, contact_ms: int) -> bool:
    """A handset is judged in its planned shift only, and belongs to a mass only when it was there in this shift."""
    if subject.kind != "handset":
        return True
    duty = subject.duty(subject.now_ms)
    return duty.on and duty.planned and contact_ms >= duty.since_ms


def _is_mass(memory: Memory, division: str, one: Silent, contacts: Callable[[], list[int]], outcome: Outcome) -> bool:
    """Whether this device is part of a mass silence, which is opened or grown then."""
    contact = one.contact_ms
    if not _fell_silent_on_duty(one.subject, contact):
        return False
    place = memory.other("division", division)
    index, rule = _mass_rule(memory)
    state = cast("MassState", place.states[index])
    mass = rule.of(state, one.subject.kind)
    if mass is None:
        known = contacts()
        together = bisect_right(known, contact + rule.within_ms) - bisect_left(known, contact - rule.within_ms)
        active = len(known) - bisect_left(known, contact - ACTIVE_BEFORE_MS)
        fact = SilentTogether(one.subject.kind, contact, one.subject.key or 0, together, active)
        state, findings = rule.step(state, fact, place)
        outcome.take(place, findings)
        mass = rule.of(state, one.subject.kind)
    if mass is None or not rule.belongs(mass, contact):
        return False
    place.states[index] = rule.joined(state, mass, one.subject.key or 0)
    outcome.changed[place.name] = place
    return True


def end_mass_silences(memory: Memory, outcome: Outcome) -> None:
    """Ends mass silences of which few are still silent; those are judged singly from now on."""
    index, rule = _mass_rule(memory)
    for place in memory.of_kind("division"):
        state = cast("MassState", place.states[index])
        for mass in state.running:
            hushed = _still_hushed(memory, mass)
            if not rule.is_over(mass, sum(_is_judged(subject) for subject, _, _ in hushed)):
                continue
            state, findings = rule.finished(state, mass, memory.world.now_ms, place)
            place.states[index] = state
            outcome.changed[place.name] = place
            outcome.take(place, findings)
            for subject, at, absence in hushed:
                subject.states[at] = absence.hush(subject.states[at], False)
                outcome.changed[subject.name] = subject
                memory.schedule(subject)


def _still_hushed(memory: Memory, mass: MassOf) -> list[tuple[Subject, int, AbsenceRule]]:
    found: list[tuple[Subject, int, AbsenceRule]] = []
    for key in mass.members:
        subject = memory.devices.get(key)
        if subject is None or not subject.in_service:
            continue
        rules = memory.sets[subject.kind]
        for index, line in enumerate(rules.lines):
            if line.absence:
                absence = cast("AbsenceRule", rules.rules[index])
                if absence.is_hushed(subject.states[index]):
                    found.append((subject, index, absence))
    return found


def _mass_rule(memory: Memory) -> tuple[int, Mass]:
    rules: tuple[AnyRule, ...] = memory.sets["division"].rules
    return next((i, rule) for i, rule in enumerate(rules) if isinstance(rule, Mass))
