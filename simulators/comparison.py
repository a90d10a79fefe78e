"""Compares grid events with ground truth: what was found, what was missed, what nobody did.

An event is taken apart into claims: itself, or, when it was merged (budget of a rule), each finding that its `causes`
list. A claim matches an injected anomaly of the same code and subject (device or its worker) whose time overlaps.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import msgspec

from simulators.truth import Injected, epoch_ms

TOLERANCE_S = 120.0
CHECKED = re.compile(r"^(TRK|POS|CAM)-\d\d$")
_WORDS = re.compile(r"[^A-Za-z0-9._-]+")


class CodeFigures(msgspec.Struct):
    """Counts of one code. detectable: had to be found; found: were; unexpected: claims that match nothing allowed.

    repeated: claims about a condition that another claim had found already.
    """

    code: str
    injected: int = 0
    detectable: int = 0
    found: int = 0
    claims: int = 0
    unexpected: int = 0
    repeated: int = 0

    @property
    def recall(self) -> float:
        """found ÷ detectable; 1 when nothing had to be found."""
        return self.found / self.detectable if self.detectable else 1.0

    @property
    def precision(self) -> float:
        """Matching claims ÷ claims; 1 when there are none."""
        return 1 - self.unexpected / self.claims if self.claims else 1.0


class Report(msgspec.Struct):
    """The comparison; `passed`: nothing missed, nothing unexpected."""

    codes: list[CodeFigures]
    missed: list[Injected]
    unexpected: list[dict[str, Any]]

    @property
    def passed(self) -> bool:
        """Whether the command may exit with 0."""
        return not self.missed and not self.unexpected

    def json(self) -> bytes:
        """The report as one JSON object."""
        codes = [msgspec.structs.asdict(one) | {"recall": one.recall, "precision": one.precision} for one in self.codes]
        whole = {"passed": self.passed, "codes": codes, "missed": self.missed, "unexpected": self.unexpected}
        return msgspec.json.encode(whole)

    def table(self) -> str:
        """The report for people: a line a code, then what was missed and what was unexpected."""
        lines = [
            f"{'code':<8}{'injected':>9}{'must':>6}{'found':>7}{'recall':>8}{'extra':>7}{'precision':>11}{'repeated':>10}"
        ]
        lines += [
            f"{one.code:<8}{one.injected:>9}{one.detectable:>6}{one.found:>7}{one.recall:>8.3f}"
            f"{one.unexpected:>7}{one.precision:>11.3f}{one.repeated:>10}"
            for one in self.codes
        ]
        lines += [f"missed      {row.code} {row.kind} {row.subject} {row.figures}" for row in self.missed]
        lines += [
            f"unexpected  {one.get('code')} {one.get('subject')} {one.get('began_at')}" for one in self.unexpected
        ]
        return "\n".join(lines)


class _Claim(msgspec.Struct, frozen=True):
    code: str
    subjects: frozenset[str]
    began_ms: int | None
    ended_ms: int | None
    event: dict[str, Any]


def check(
    truth: Iterable[Injected],
    events: Iterable[Mapping[str, Any]],
    *,
    subjects: Collection[str] | None = None,
    since_ms: int | None = None,
    until_ms: int | None = None,
    tolerance_s: float = TOLERANCE_S,
) -> Report:
    """Recall and precision per code of events as the contract's Grid event objects (times RFC 3339).

    subjects: only events about these devices and workers (and merged events) count as unexpected. since_ms, until_ms:
    events detected outside of this time are left out: before the run, or after it, when all devices are silent.
    """
    rows = [row for row in truth if CHECKED.match(row.code)]
    slack = round(tolerance_s * 1000)
    claims = [claim for event in events for claim in _claims(dict(event)) if _within(event, since_ms, until_ms, slack)]
    figures: dict[str, CodeFigures] = {}
    known = {name for row in rows for name in (row.subject, row.worker) if name}
    found: set[int] = set()
    unexpected = []
    for claim in claims:
        if subjects is not None and not claim.subjects & (known | set(subjects)):
            continue
        one = figures.setdefault(claim.code, CodeFigures(claim.code))
        one.claims += 1
        matches = [i for i, row in enumerate(rows) if not row.near_miss and _matches(claim, row, slack)]
        one.repeated += bool(matches) and found.issuperset(matches)
        found.update(matches)
        if not matches:
            one.unexpected += 1
            unexpected.append(claim.event)
    missed = []
    for i, row in enumerate(rows):
        one = figures.setdefault(row.code, CodeFigures(row.code))
        one.injected += 1
        one.detectable += row.detectable
        one.found += row.detectable and i in found
        if row.detectable and i not in found:
            missed.append(row)
    return Report(sorted(figures.values(), key=lambda one: one.code), missed, unexpected)


def _within(event: Mapping[str, Any], since_ms: int | None, until_ms: int | None, slack: int) -> bool:
    at = _time(event.get("detected_at")) or _time(event.get("began_at"))
    if at is None:
        return True
    return (since_ms is None or at >= since_ms - slack) and (until_ms is None or at <= until_ms + slack)


def _matches(claim: _Claim, row: Injected, slack: int) -> bool:
    if claim.code != row.code or not claim.subjects & {row.subject, row.worker or row.subject}:
        return False
    if claim.began_ms is None:
        return True
    row_end = row.ended_at_ms if row.ended_at_ms is not None else max(row.began_at_ms, claim.began_ms)
    claim_end = claim.ended_ms if claim.ended_ms is not None else claim.began_ms
    return claim.began_ms <= row_end + slack and claim_end >= row.began_at_ms - slack


def _claims(event: dict[str, Any]) -> list[_Claim]:
    """The findings of an event of a checked code: its causes where they name other subjects than itself."""
    code = str(event.get("code", ""))
    if not CHECKED.match(code):
        return []
    own = str(event.get("subject", ""))
    causes = [cause for cause in event.get("causes") or () if isinstance(cause, dict)]
    named = [cause for cause in causes if cause.get("subject") not in (None, own)]
    began, ended = _time(event.get("began_at")), _time(event.get("ended_at"))
    claims = []
    if not named:
        words = [word for cause in causes for word in _WORDS.split(str(cause.get("key", "")))]
        return [_Claim(code, frozenset({own, *words} - {""}), began, ended, event)]
    for cause in [cause for cause in causes if cause.get("subject") is not None]:
        at = _time(cause.get("began_at")) or _time(cause.get("at"))
        claims.append(_Claim(code, frozenset({str(cause["subject"])}), at, _time(cause.get("ended_at")), event))
    return claims


def _time(value: Any) -> int | None:
    if isinstance(value, int):
        return value
    return epoch_ms(value) if isinstance(value, str) else None
