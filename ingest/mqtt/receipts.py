"""`…/stored` receipts for devices behind a foreign broker: up to which `seq` everything is stored. Pure.

A broker's PUBACK promises only what that broker promises; a device keeps what it sent until `{"up_to": seq}` covers
it. `up_to` is the largest number such that everything *received here* up to it is stored: a message that the broker
acknowledged and forgot in a crash was never received, and a later receipt covers its number (seen with mosquitto
2.0.11 and its default autosave: 50 messages). How much a broker can forget is its configuration's matter: with
`autosave_on_changes true` it does not save what is in flight to a connected consumer, with a timed autosave it does.

State is kept only for devices with something received and not yet stored, so a device that counts from the start
again (after a reboot) is never told an old, higher number.
"""

import heapq
from collections.abc import Sequence

import msgspec


class _Numbered(msgspec.Struct):
    seq: int | None = None


_decode = msgspec.json.Decoder(_Numbered | list[_Numbered]).decode


def sequence_numbers(payload: bytes) -> Sequence[int]:
    """The `seq` of an object or of each object of an array; none where there is none or the payload is no such JSON."""
    try:
        decoded = _decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ()
    objects = decoded if isinstance(decoded, list) else (decoded,)
    return [numbered.seq for numbered in objects if numbered.seq is not None]


class _Open:
    """One device: a heap of what was received, and which of it is stored (a number may come twice: counted)."""

    __slots__ = ("received", "stored")

    def __init__(self) -> None:
        self.received: list[int] = []
        self.stored: dict[int, int] = {}


class Receipts:
    """Which receipts are due. One object for all devices of a consumer."""

    def __init__(self) -> None:
        self._open: dict[str, _Open] = {}
        self._due: dict[str, int] = {}

    def received(self, device_id: str, numbers: Sequence[int]) -> None:
        """These numbers are on their way to the store."""
        if numbers:
            device = self._open.setdefault(device_id, _Open())
            for number in numbers:
                heapq.heappush(device.received, number)

    def stored(self, device_id: str, numbers: Sequence[int]) -> None:
        """These are committed; each was `received` before."""
        if not numbers:
            return
        device = self._open[device_id]
        for number in numbers:
            device.stored[number] = device.stored.get(number, 0) + 1
        while device.received and device.stored.get(device.received[0]):
            number = heapq.heappop(device.received)
            device.stored[number] -= 1
            if not device.stored[number]:
                del device.stored[number]
            self._due[device_id] = number
        if not device.received:
            del self._open[device_id]

    def take_due(self) -> dict[str, int]:
        """`up_to` by device id, for all devices where it moved since the last call."""
        due, self._due = self._due, {}
        return due

    def __len__(self) -> int:
        """How many devices have something that is not stored yet."""
        return len(self._open)
