"""A past for a fresh city: weeks of POS transactions with their hourly roll-ups, and hours of handset tracks.

Iterators of plain rows; the caller stores them. The terminals' profiles are those that `terminals` sells by, so that
what the rules learn from this past fits the present. Times: epoch milliseconds UTC, money: fen.
"""

import random
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from simulators.handsets import HandsetFleet
from simulators.manifest import Handset, Terminal
from simulators.rhythm import amount_fen, card_ref, profile_of

HOUR_MS = 3_600_000
MAX_ROWS = 300_000


def pos_transactions(
    terminals: Sequence[Terminal], *, end_ms: int, weeks: int = 8, seed: int = 0, max_rows: int = MAX_ROWS
) -> Iterator[dict[str, Any]]:
    """Transactions of `weeks` weeks before end_ms (rounded down to the hour), terminal by terminal, rising in time.

    Rows: terminal, at_ms, boot, seq, service, amount_fen, result, decline_code, card_ref, latency_ms. With the roll-ups
    of `pos_hourly` they are at most max_rows: more is thinned evenly over all terminals and hours.
    """
    end = end_ms // HOUR_MS * HOUR_MS
    start = end - weeks * 7 * 24 * HOUR_MS
    profiles = {terminal.id: profile_of(terminal.id, terminal.services) for terminal in terminals}
    expected = sum(sum(profile.per_hour) * weeks for profile in profiles.values())
    hours = sum(sum(rate > 0 for rate in profile.per_hour) * weeks for profile in profiles.values())
    thin = min(1.0, max(0.0, max_rows * 0.98 - hours) / max(expected, 1.0))
    for terminal in terminals:
        rng = random.Random(f"history:{seed}:{terminal.id}")
        profile, seq, boot = profiles[terminal.id], 0, f"h{rng.getrandbits(40):010x}"
        for hour in range(start, end, HOUR_MS):
            rate = profile.rate_per_hour(hour) * thin / HOUR_MS
            at = hour + (rng.expovariate(rate) if rate > 0 else HOUR_MS)
            while at < hour + HOUR_MS:
                service = profile.service(rng)
                result = rng.choices(("approved", "declined", "reversed", "timeout"), (94, 3, 1, 2))[0]
                seq += 1
                yield {
                    "terminal": terminal.id,
                    "at_ms": int(at),
                    "boot": boot,
                    "seq": seq,
                    "service": service,
                    "amount_fen": amount_fen(service, rng),
                    "result": result,
                    "decline_code": "51" if result == "declined" else None,
                    "card_ref": card_ref(rng),
                    "latency_ms": round(rng.lognormvariate(6.7, 0.4)),
                }
                at += rng.expovariate(rate)


def pos_hourly(transactions: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Roll-ups of rows as `pos_transactions` yields them, one a terminal and hour with any transaction.

    Rows: terminal, hour_ms (its beginning), transactions, approved, declined, amount_fen (approved), largest_fen.
    """
    current: dict[str, Any] | None = None
    for row in transactions:
        hour_ms = row["at_ms"] // HOUR_MS * HOUR_MS
        if current is None or (current["terminal"], current["hour_ms"]) != (row["terminal"], hour_ms):
            if current is not None:
                yield current
            counts = {"transactions": 0, "approved": 0, "declined": 0, "amount_fen": 0, "largest_fen": 0}
            current = {"terminal": row["terminal"], "hour_ms": hour_ms, **counts}
        approved = row["result"] == "approved"
        current["transactions"] += 1
        current["approved"] += approved
        current["declined"] += row["result"] == "declined"
        current["amount_fen"] += row["amount_fen"] if approved else 0
        current["largest_fen"] = max(current["largest_fen"], row["amount_fen"] if approved else 0)
    if current is not None:
        yield current


def handset_tracks(
    handsets: Sequence[Handset], *, end_ms: int, hours: float = 2.0, seed: int = 0, interval_s: float = 10.0
) -> Iterator[dict[str, Any]]:
    """Fixes of a quiet patrol of `hours` before end_ms, rising in time: `device` and the fields of the contract's Fix.

    Shifts do not matter here, the whole time is on duty. fixed_at: epoch milliseconds.
    """
    seconds = hours * 3600
    start_ms = end_ms - round(seconds * 1000)
    on_duty = [msgspec.structs.replace(handset, shift=[]) for handset in handsets]
    fleet = HandsetFleet(
        on_duty, seconds=seconds, seed=seed, start_ms=start_ms, interval_s=interval_s, dead_zones=False
    )
    decode = msgspec.json.Decoder(dict[str, Any]).decode
    while fleet.now_ms < end_ms:
        for message in fleet.step():
            yield {"device": message.device, **decode(message.body)}
