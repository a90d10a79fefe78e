"""Ground truth: what was really done to a device, one NDJSON line an injected anomaly.

`detectable` says that a rule must find it: the condition outlasts its rule's threshold by a minute within the run.
`near_miss` says that a rule must not: it ends before the threshold. Neither: an event is allowed, not asked for.
"""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

import msgspec

from simulators.errors import SimulatorError
from simulators.outgoing import rfc3339

MARGIN_S = 60


class Injected(msgspec.Struct, omit_defaults=False):
    """One injected anomaly. Times: epoch milliseconds UTC; ended_at_ms None: not ended within the run.

    code: TRK-01…07, POS-01…07, CAM-01…07 (for cameras also NONE and SENT, see simulators.cameras.ledger).
    kind: the scenario's own word; subject: device id; figures: the expected key figures.
    """

    code: str
    kind: str
    subject: str
    began_at_ms: int
    ended_at_ms: int | None
    detectable: bool
    near_miss: bool = False
    worker: str | None = None
    figures: dict[str, float | str] = {}


class _Line(msgspec.Struct, omit_defaults=False):
    code: str
    kind: str
    subject: str
    began_at: str
    ended_at: str | None
    detectable: bool
    near_miss: bool = False
    worker: str | None = None
    figures: dict[str, float | str] = {}


def is_detectable(began_ms: int, ended_ms: int | None, run_end_ms: int, threshold_s: float) -> bool:
    """Whether a condition from began_ms to ended_ms (None: lasting or momentary) must be found by run_end_ms."""
    lasts_ms = (run_end_ms if ended_ms is None else min(ended_ms, run_end_ms)) - began_ms
    return lasts_ms >= (threshold_s + MARGIN_S) * 1000


def write(path: Path, rows: Iterable[Injected]) -> int:
    """Write the rows as NDJSON in order of their beginning, times in RFC 3339; returns how many."""
    lines = [
        msgspec.json.encode(
            _Line(
                row.code,
                row.kind,
                row.subject,
                rfc3339(row.began_at_ms),
                None if row.ended_at_ms is None else rfc3339(row.ended_at_ms),
                row.detectable,
                row.near_miss,
                row.worker,
                row.figures,
            )
        )
        for row in sorted(rows, key=lambda row: (row.began_at_ms, row.subject, row.code))
    ]
    beside = path.with_name(path.name + ".new")
    beside.write_bytes(b"".join(line + b"\n" for line in lines))
    beside.replace(path)
    return len(lines)


def read(path: Path) -> list[Injected]:
    """Rows of a truth file. Raises SimulatorError naming the line that is wrong."""
    rows = []
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        try:
            row = msgspec.json.decode(line, type=_Line)
            began, ended = epoch_ms(row.began_at), None if row.ended_at is None else epoch_ms(row.ended_at)
        except (msgspec.DecodeError, ValueError) as error:
            raise SimulatorError(f"line {number} of {path.name} is not ground truth: {error}") from error
        rows.append(
            Injected(
                row.code,
                row.kind,
                row.subject,
                began,
                ended,
                row.detectable,
                row.near_miss,
                row.worker,
                row.figures,
            )
        )
    return rows


def epoch_ms(text: str) -> int:
    """Epoch milliseconds of an RFC 3339 time. Raises ValueError when it has no offset or is not one."""
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError(f"{text} has no offset")
    return round(at.timestamp() * 1000)
