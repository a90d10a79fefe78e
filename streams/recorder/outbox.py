"""What the recorder has to say to the store, gathered until the ledger takes it. Any thread may put or take.

Of a row that changes often only the newest waits, so the outbox stays as small as the number of files that are open or
were just closed, whatever the store does.
"""

import threading

import msgspec

from core.camera import CameraFact
from store.footage import Changes, ClockRow, InitRow, RunRow, SegmentRow


class Start(msgspec.Struct, frozen=True, gc=False):
    """The first run of a stream since this process reads it: whether something is missing before it, rows must tell.

    added_us: when we began to try. Times: epoch microseconds.
    """

    run: str
    camera: int
    stream: int
    added_us: int
    began_us: int


class Entry(msgspec.Struct, frozen=True):
    """What is said at once; also what the journal keeps. Rows of footage, then facts that follow from them."""

    changes: Changes = Changes()
    starts: tuple[Start, ...] = ()
    facts: tuple[CameraFact, ...] = ()

    def __bool__(self) -> bool:
        changes = self.changes
        return bool(changes.runs or changes.clocks or changes.inits or changes.segments or self.starts or self.facts)


class Outbox:
    """Rows by key, the newest wins; facts in order."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._clear()

    def _clear(self) -> None:
        self._runs: dict[str, RunRow] = {}
        self._clocks: dict[tuple[str, str, int], ClockRow] = {}
        self._inits: dict[bytes, InitRow] = {}
        self._segments: dict[tuple[str, int], SegmentRow] = {}
        self._starts: list[Start] = []
        self._facts: list[CameraFact] = []

    def run(self, row: RunRow, start: Start | None) -> None:
        """A run, before its first segment; again when its beginning has moved."""
        with self._lock:
            self._runs[row.id] = row
            if start is not None:
                self._starts.append(start)

    def clock(self, row: ClockRow) -> None:
        """A point of a clock map."""
        with self._lock:
            self._clocks[row.run, row.kind, row.pts_90k] = row

    def segment(self, row: SegmentRow, init: InitRow | None = None) -> None:
        """A segment as it is now; init: with its first row."""
        with self._lock:
            self._segments[row.run, row.n] = row
            if init is not None:
                self._inits[init.digest] = init

    def fact(self, fact: CameraFact) -> None:
        """Something to be judged by the rules."""
        with self._lock:
            self._facts.append(fact)

    def take(self) -> Entry:
        """Everything since the last time."""
        with self._lock:
            entry = Entry(
                Changes(
                    tuple(self._runs.values()),
                    tuple(self._clocks.values()),
                    tuple(self._inits.values()),
                    tuple(self._segments.values()),
                ),
                tuple(self._starts),
                tuple(self._facts),
            )
            self._clear()
        return entry
