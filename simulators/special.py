"""One-time actions beside a run: an hour's back-fill at once, SOS fixes at random moments.

Both use a session's sender, since a device has one connection; both record when what was sent and acknowledged.
"""

import asyncio
import random
import time
from collections.abc import Sequence

import msgspec

from simulators.handsets import HandsetFleet
from simulators.manifest import Handset
from simulators.outgoing import FixDraft, Outgoing, fix_body, merge
from simulators.session import Session


class SentSos(msgspec.Struct):
    """One SOS: times in epoch milliseconds; acked_at_ms None: not acknowledged (yet)."""

    device: str
    fixed_at_ms: int
    sent_at_ms: int
    acked_at_ms: int | None = None


class BackFilled(msgspec.Struct, frozen=True):
    """What a back-fill was: facts handed over in messages, how long until the last was handed over and acknowledged."""

    facts: int
    messages: int
    handed_over_s: float
    acked_s: float
    complete: bool


async def back_fill(
    session: Session,
    handsets: Sequence[Handset],
    *,
    total: int = 1_000_000,
    array: tuple[int, int] = (200, 500),
    facts_per_s: float = 50_000.0,
    until_ms: int | None = None,
    interval_s: float = 10.0,
    seed: int = 0,
    drain_s: float = 300.0,
) -> BackFilled:
    """Send `total` old fixes of these handsets as arrays of array[0]…array[1] fixes (≤ 500), at most facts_per_s.

    The tracks end at until_ms (default: ten minutes ago) and are as long as `total` makes them. The sender never holds
    more than some thousand of these messages. Raises KeyError for a handset that the session does not carry.
    """
    rng = random.Random(f"{seed}:back-fill")
    each = -(-total // len(handsets))
    until = until_ms if until_ms is not None else round(time.time() * 1000) - 600_000
    start_ms = until - round(each * interval_s * 1000)
    spans = [msgspec.structs.replace(handset, shift=[]) for handset in handsets]
    fleet = HandsetFleet(
        spans, seconds=each * interval_s, seed=seed, start_ms=start_ms, interval_s=interval_s, dead_zones=False
    )
    kept: dict[str, list[Outgoing]] = {handset.id: [] for handset in handsets}
    sizes = {handset.id: rng.randint(*array) for handset in handsets}
    began, handed, messages, made = time.monotonic(), 0, 0, 0
    while made < total:
        for fix in fleet.step()[: total - made]:
            made += 1
            waiting = kept[fix.device]
            waiting.append(fix)
            if len(waiting) >= sizes[fix.device]:
                session.sender.send(merge(waiting)._replace(due_ms=round(time.time() * 1000)))
                handed, messages = handed + len(waiting), messages + 1
                kept[fix.device], sizes[fix.device] = [], rng.randint(*array)
        early = began + handed / facts_per_s - time.monotonic()
        await asyncio.sleep(max(0.0, early))
        if session.sender.outstanding > 5_000:
            await session.sender.drained(5.0)
    for waiting in kept.values():
        if waiting:
            session.sender.send(merge(waiting)._replace(due_ms=round(time.time() * 1000)))
            handed, messages = handed + len(waiting), messages + 1
    handed_over = time.monotonic() - began
    complete = await session.sender.drained(drain_s)
    return BackFilled(handed, messages, handed_over, time.monotonic() - began, complete)


async def sos(
    session: Session, handsets: Sequence[Handset], count: int, *, within_s: float, seed: int = 0, wait_s: float = 30.0
) -> list[SentSos]:
    """Press SOS on `count` random handsets at random moments within `within_s` seconds from now, each at most once.

    Returns what was sent in that order, with the acknowledgements that came within wait_s after the last.
    """
    rng = random.Random(f"{seed}:sos")
    chosen = rng.sample(list(handsets), count)
    moments = sorted(rng.uniform(0.0, within_s) for _ in chosen)
    pressed: dict[tuple[str, int], SentSos] = {}

    def acked(message: Outgoing, sent_ms: int, acked_ms: int) -> None:
        for key in message.keys:
            one = pressed.get((message.device, key)) if isinstance(key, int) else None
            if one is not None:
                one.acked_at_ms = acked_ms

    session.listeners.append(acked)
    began = time.monotonic()
    for handset, moment in zip(chosen, moments, strict=True):
        await asyncio.sleep(max(0.0, began + moment - time.monotonic()))
        now = round(time.time() * 1000)
        lon, lat = handset.polygon[0] if handset.polygon else handset.home or (111.61, 26.42)
        draft = FixDraft(now, lat, lon, 8.0, 0.0, 0, 0.7, 14, 0, alarm="sos")
        pressed[handset.id, now] = SentSos(handset.id, now, now)
        session.sender.send(Outgoing(handset.id, "fix", fix_body(draft), (now,), now))
    deadline = time.monotonic() + wait_s
    for _ in range(round(wait_s / 0.05)):
        if time.monotonic() > deadline or all(one.acked_at_ms is not None for one in pressed.values()):
            break
        await asyncio.sleep(0.05)
    session.listeners.remove(acked)
    return list(pressed.values())
