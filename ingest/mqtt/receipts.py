"""`…/stored` receipts for devices behind a foreign broker: up to which `seq` everything is stored. Pure.

A broker's PUBACK promises only what that broker promises, and it may forget acknowledged messages in a crash: a device
keeps what it sent until `{"up_to": seq}` covers it. So a receipt never covers a number that is not stored. A number
after a gap is remembered and told once the gap is filled, for which the device sends again what no receipt covers.

A number that is known already is one sent again, or that of a device whose counter began again. The store tells: what
is sent again is no new row there. A new row under a known number begins a new run.

Where a run begins with a number above 1, those before it may have been lost: its first receipt waits `begin_ms`.
A gap that is never filled (the device dropped it) is given up after `gap_ms`. Both times count only while the device
is heard, a silence for a quarter at most, so that a device that was switched off finds its gaps still open.
"""

import bisect
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple, Self

import msgspec

MOST_RANGES: Final = 64
"""Stored ranges remembered beyond gaps; of more the highest are forgotten (never told, so the device sends again)."""
MISSING_SHOWN: Final = 20
MISSING_AFTER_MS: Final = 2000
"""A gap younger than this is not told as missing: another instance may be about to fill it."""
_MOST: Final = 2**63 - 2
_MOST_BOOT: Final = 64


class _Numbered(msgspec.Struct):
    seq: int | None = None
    boot: str | None = None


_decode = msgspec.json.Decoder(_Numbered | list[_Numbered]).decode


def sequence_numbers(payload: bytes) -> dict[str, list[int]]:
    """The `seq` of an object or of each object of an array, by `boot` ('' without one), in order.

    Empty where there is none, where one is out of range, or the payload is no such JSON.
    """
    try:
        decoded = _decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}
    found: dict[str, list[int]] = {}
    for one in decoded if isinstance(decoded, list) else (decoded,):
        boot = one.boot or ""
        if one.seq is not None and 0 <= one.seq <= _MOST and len(boot) <= _MOST_BOOT and "\0" not in boot:
            found.setdefault(boot, []).append(one.seq)
    return found


class Note(NamedTuple):
    """One committed message. numbers: in its order; fresh: how many of its records were new to the store."""

    numbers: Sequence[int]
    fresh: int


class Patience(NamedTuple):
    """How long a first receipt and a gap wait, in milliseconds while the device is heard."""

    begin_ms: int
    gap_ms: int


class Run(msgspec.Struct):
    """What is known of one device and power cycle. Fields as the table `receipts`; beyond: inclusive ranges."""

    start: int | None = None
    up_to: int | None = None
    beyond: list[tuple[int, int]] = []
    waited_ms: int = 0
    mark: int = 0
    heard_ms: int = 0

    def advance(self, notes: Iterable[Note], now_ms: int, patience: Patience) -> tuple[int | None, int]:
        """Takes committed messages in. Returns the highest covered number that was sent again (None: there was none),
        and how many numbers were given up.
        """
        waits_for = self._waits_for()
        repeated = self._take(notes)
        del self.beyond[MOST_RANGES:]
        return repeated, self._wait(waits_for, now_ms, patience)

    def receipt(self, boot: str = "", again: int | None = None) -> bytes | None:
        """The payload of the receipt as it is now; None while the first one waits.

        again: only up to this number, for a device that sent it again. from: only where the run began above 1; numbers
        before it are not covered. missing: numbers in gaps.
        """
        if self.start is None or self.up_to is None:
            return None
        content: dict[str, object] = {"up_to": self.up_to if again is None else again}
        if self.start > 1:
            content["from"] = self.start
        if boot:
            content["boot"] = boot
        if again is None and self.beyond and self.waited_ms >= MISSING_AFTER_MS:
            ends = [self.up_to, *(last for _, last in self.beyond)]
            pairs = zip(ends, self.beyond, strict=False)
            content["missing"] = [[end + 1, first - 1] for end, (first, _) in pairs][:MISSING_SHOWN]
        return msgspec.json.encode(content)

    def copy(self) -> Self:
        """Another object with the same content."""
        return msgspec.structs.replace(self, beyond=list(self.beyond))

    def _take(self, notes: Iterable[Note]) -> int | None:
        repeated = set[int]()
        for numbers, fresh in notes:
            sent_again = len(numbers) - fresh
            for number in numbers:
                if not self._knows(number):
                    self._add(number, number)
                elif sent_again > 0:
                    sent_again -= 1
                    repeated.add(number)
                elif number == 0 and self.start == 1:  # counts from 0, and 1 came first
                    repeated.add(number)
                else:
                    self._begin_again(number)
                    repeated.clear()
        if self.start is None or self.up_to is None:
            return None
        for number in sorted(repeated, reverse=True):
            if number == self.start - 1:
                self.start = number
        return max((number for number in repeated if self.start <= number <= self.up_to), default=None)

    def _knows(self, number: int) -> bool:
        if self.up_to is not None and number <= self.up_to:
            return True
        place = bisect.bisect_right(self.beyond, (number, _MOST)) - 1
        return place >= 0 and number <= self.beyond[place][1]

    def _begin_again(self, number: int) -> None:
        self.start = self.up_to = None
        self.beyond.clear()
        self.waited_ms = self.mark = 0
        self._add(number, number)

    def _add(self, first: int, last: int) -> None:
        """An unknown number; joins what it touches."""
        if self.up_to is not None and first == self.up_to + 1 and (not self.beyond or last + 1 < self.beyond[0][0]):
            self.up_to = last
            return
        place = bisect.bisect_left(self.beyond, (first, last))
        if place < len(self.beyond) and self.beyond[place][0] == last + 1:
            last = self.beyond.pop(place)[1]
        if place and self.beyond[place - 1][1] == first - 1:
            place -= 1
            first = self.beyond.pop(place)[0]
        self.beyond.insert(place, (first, last))
        self._close()

    def _close(self) -> None:
        """Covers what no gap keeps back."""
        first, last = self.beyond[0]
        if self.up_to is None and first <= 1:
            self.start, self.up_to = first, last
        elif self.up_to is not None and first <= self.up_to + 1:
            self.up_to = last
        else:
            return
        del self.beyond[0]

    def _waits_for(self) -> tuple[int | None, int] | None:
        return (self.up_to, self.beyond[0][0]) if self.beyond else None

    def _wait(self, waited_for: tuple[int | None, int] | None, now_ms: int, patience: Patience) -> int:
        silence_ms, self.heard_ms = max(0, now_ms - self.heard_ms), now_ms
        if not self.beyond:
            self.waited_ms = self.mark = 0
            return 0
        if self._waits_for() != waited_for:
            self.waited_ms, self.mark = 0, self.beyond[-1][1]
            return 0
        most_ms = patience.begin_ms if self.up_to is None else patience.gap_ms
        self.waited_ms += min(silence_ms, most_ms // 4)
        return self._give_up() if self.waited_ms >= most_ms else 0

    def _give_up(self) -> int:
        """Covers the gaps up to mark; begins a run that waited for its beginning. Returns how many numbers it skips."""
        skipped = 0
        if self.up_to is None:
            self.start, self.up_to = self.beyond.pop(0)
        else:
            while self.beyond and self.beyond[0][0] <= self.mark:
                first, last = self.beyond.pop(0)
                skipped += first - self.up_to - 1
                self.up_to = last
        self.waited_ms, self.mark = 0, self.beyond[-1][1] if self.beyond else 0
        return skipped
