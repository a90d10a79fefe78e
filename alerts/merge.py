"""Findings become grid events: opened with place and people of the fact's time, repeated, corrected, ended.

Runs inside the engine's transaction, as its last part. Idempotent: an event's key is unique. Repetitions of one event
within a transaction are one change. A repetition of an event that people have finished opens a new one.
"""

from collections.abc import Sequence
from dataclasses import replace
from zoneinfo import ZoneInfo

from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from alerts import metrics
from alerts.budget import Budget
from alerts.limits import WorkingCalendar, due_ms
from alerts.rule import RULE_VERSION, rule_name
from alerts.subjects import Subject
from core.event import CATALOGUE, Finding
from core.ids import ulid
from devices.registry import Registry
from store.events import (
    NewEvent,
    announce,
    correct_event,
    end_event,
    insert_event,
    list_in_event,
    lock_changes,
    repeat_event,
)

Connection = AsyncConnection[TupleRow]
Found = tuple[Subject, Finding]

_MOST_SUCCESSORS = 16


class Merger:
    """Writes findings. One engine owns it."""

    def __init__(self, budget: Budget, calendar: WorkingCalendar, zone: ZoneInfo, city: str) -> None:
        self._budget = budget
        self._calendar = calendar
        self._zone = zone
        self._city = city

    async def write(self, connection: Connection, registry: Registry, found: Sequence[Found], now_ms: int) -> None:
        """Applies findings in order. now_ms: when they were detected."""
        if not found:
            return
        await lock_changes(connection)
        changed = 0
        for (subject, finding), times in _gathered(found):
            if finding.kind == "open":
                changed += await self._open(connection, registry, subject, finding, now_ms)
            elif finding.kind == "repeat":
                changed += await self._repeat(connection, registry, subject, finding, times, now_ms)
            elif finding.kind == "correct":
                changed += await correct_event(
                    connection,
                    finding.key,
                    rule_name(finding.code),
                    began_at_ms=finding.at_ms,
                    causes=finding.causes,
                )
            else:
                changed += await end_event(
                    connection, finding.key, finding.at_ms, rule_name(finding.code), causes=finding.causes
                )
            metrics.EVENTS.labels(finding.code, finding.kind).inc()
        if changed:
            await announce(connection)

    async def _open(
        self, connection: Connection, registry: Registry, subject: Subject, finding: Finding, now_ms: int
    ) -> bool:
        event = self._event(registry, subject, finding, now_ms)
        division = event.division[:6]
        if await _exists(connection, event.key):
            return False  # said again: it costs no budget twice
        if await self._budget.spend(connection, registry, finding.code, division, finding.at_ms):
            return await insert_event(connection, event, rule_name(finding.code))
        return await self._list(connection, event, division)

    async def _list(self, connection: Connection, event: NewEvent, division: str) -> bool:
        """Beyond the budget: one event of the day stands for many, and lists them."""
        entry: dict[str, object] = {
            "key": event.key,
            "subject": event.subject,
            "grid": event.grid,
            "began_at_ms": event.began_at_ms,
        }
        day = self._budget.day_of(event.began_at_ms)
        who = rule_name(event.code)
        causes: dict[str, object] = {"rule_version": RULE_VERSION, "budget_spent": day, "merged": [entry]}
        for key in _with_successors(f"{event.code}:budget:{division}:{day}"):
            if await list_in_event(connection, key, entry, who):
                return True
            if await _exists(connection, key):
                continue
            many = replace(
                event,
                id=ulid(event.began_at_ms, key),
                key=key,
                division=division,
                grid=None,
                subject=division,
                subject_kind="division",
                worker=None,
                causes=causes,
                evidence=(),
            )
            return await insert_event(connection, many, who)
        return False

    async def _repeat(
        self,
        connection: Connection,
        registry: Registry,
        subject: Subject,
        finding: Finding,
        times: int,
        now_ms: int,
    ) -> bool:
        """Counts up the event or its newest successor; opens a successor where people have finished those."""
        who = rule_name(finding.code)
        causes = {**finding.causes, "rule_version": RULE_VERSION}
        for key in _with_successors(finding.key):
            if await repeat_event(
                connection, key, finding.at_ms, who, times=times, causes=causes, evidence=finding.evidence
            ):
                return True
            if await _exists(connection, key):
                continue
            event = self._event(registry, subject, replace(finding, key=key), now_ms)
            if key != finding.key:
                return await insert_event(connection, event, who)
            return await self._list(connection, event, event.division[:6])  # the budget had merged its opening
        return False

    def _event(self, registry: Registry, subject: Subject, finding: Finding, now_ms: int) -> NewEvent:
        """The event that a finding opens, with the grid and the worker of its time."""
        code = CATALOGUE[finding.code]
        grid = worker = None
        lat, lon = finding.lat, finding.lon
        if subject.key is not None:
            grid = registry.grid_of(subject.key, finding.at_ms)
            worker = registry.worker_of(subject.key, finding.at_ms)
            site = registry.site_of(subject.key, finding.at_ms)
            if lat is None and site is not None:
                lat, lon = site.lat, site.lon
        elif subject.kind == "sender":
            record = registry.device(subject.id)
            grid = None if record is None else registry.grid_of(record.key, finding.at_ms)
        return NewEvent(
            id=ulid(finding.at_ms, finding.key),
            key=finding.key,
            code=code.code,
            severity=code.severity,
            level=code.level,
            division=grid or (subject.division if subject.kind != "sender" else self._city),
            grid=grid,
            subject=finding.subject,
            subject_kind=subject.kind,
            worker=worker,
            lat=lat,
            lon=lon,
            began_at_ms=finding.at_ms,
            detected_at_ms=now_ms,
            late=finding.late,
            due_at_ms=due_ms(now_ms, code.limit, self._calendar, self._zone),
            evidence=finding.evidence,
            causes={**finding.causes, "rule_version": RULE_VERSION},
        )


def _gathered(found: Sequence[Found]) -> list[tuple[Found, int]]:
    """The findings in order, repetitions of one key taken together (place of the first, causes of the last)."""
    gathered: list[tuple[Found, int]] = []
    places: dict[str, int] = {}
    for subject, finding in found:
        if finding.kind == "repeat" and finding.key in places:
            (_, first), times = gathered[places[finding.key]]
            earliest = min(first.at_ms, finding.at_ms)
            gathered[places[finding.key]] = ((subject, replace(finding, at_ms=earliest)), times + 1)
            continue
        if finding.kind == "repeat":
            places[finding.key] = len(gathered)
        gathered.append(((subject, finding), 1))
    return gathered


def _with_successors(key: str) -> list[str]:
    """The key of an event and of those that may follow it, once people have finished the one before."""
    return [key, *(f"{key}~{number}" for number in range(1, _MOST_SUCCESSORS))]


async def _exists(connection: Connection, key: str) -> bool:
    cursor = await connection.execute("SELECT 1 FROM grid_events WHERE key = %s", (key,))
    return await cursor.fetchone() is not None
