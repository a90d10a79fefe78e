"""Frozen pictures: packets come, but what they show has not changed at all. Pure but for its own memory of samples.

What separates a frozen picture from an empty scene at night (measured with x264 at 128–512 kbit/s): the sizes of
packets do not; both are made of skipped blocks, and a coder with a constant rate even spends its bits on a frozen
picture. But the noise of a living sensor (0.3–3 luma steps), however strongly coded, leaves at most 60 % of the 8 × 8
blocks of two key frames exactly equal; of a frozen picture two key frames coded with the same quantiser are equal,
and within half a minute there are two such. So a sample is held against all those of the last MEMORY_S, and a chain
of equal ones is what has stood still. A burnt-in clock that goes on may differ. A stream that repeats the very same
packets with something else between them (a recorded loop) is not frozen: equal bytes count only with skipped blocks
and equal pictures between. A coder whose quantiser has no floor may take minutes to settle on a picture that stands
still; until then it is not found.
"""

from collections import deque
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.quality.measures import Bytes

MEMORY_S = 45.0
MOST_SAMPLES = 5
EQUAL_BLOCKS = 0.9
"""Share of blocks that must be exactly equal: a clock burnt in takes up to a twentieth of the strips."""
LEAST_RANGE, LEAST_TELLING = 4, 0.05
UNDECIDED_SAMPLES = 2
"""A chain outlives so many samples that equal none before them: the coder's quantiser wanders."""
MOST_BYTES = 64 << 10
SKIPPED_BYTES_PER_BLOCK = 0.15
"""Mean size of packets between key frames, in bytes a macroblock, up to which they hold skipped blocks only."""


class _Seen(NamedTuple):
    at_s: float
    strips: Bytes
    digest: int
    since_s: float


class FrozenWatch:
    """One camera's. Keeps up to MOST_SAMPLES × MOST_BYTES."""

    def __init__(self) -> None:
        self._seen: deque[_Seen] = deque(maxlen=MOST_SAMPLES)
        self._undecided = 0

    def frozen_s(self, at_s: float, luma: Bytes, digest: int, between_bytes: float) -> float:
        """Seconds for which the picture has stood still, 0 for a living one.

        at_s: monotonic arrival. digest: of the key frame's bytes. between_bytes: mean size of the packets of the stream
        since the sample before, 0 when there were none.
        """
        strips = strips_of(luma)
        blocks = luma.shape[0] * luma.shape[1] / 256
        skipped = between_bytes <= max(64.0, blocks * SKIPPED_BYTES_PER_BLOCK)
        since, all_equal = at_s, True
        for seen in reversed(self._seen):
            equal = equal_share(strips, seen.strips) >= EQUAL_BLOCKS
            all_equal &= equal
            repeated = seen.digest == digest and not (skipped and all_equal)
            if equal and not repeated and at_s - seen.at_s <= MEMORY_S:
                since = min(since, seen.since_s)
        self._undecided = 0 if since < at_s else self._undecided + 1
        if since == at_s and self._undecided <= UNDECIDED_SAMPLES:
            since = self._chain_so_far(strips, at_s)
        self._seen.append(_Seen(at_s, strips, digest, since))
        return at_s - since

    def forget(self) -> None:
        """Another connection or another size: nothing can be compared any more."""
        self._seen.clear()
        self._undecided = 0

    def _chain_so_far(self, strips: Bytes, at_s: float) -> float:
        """Since when a chain lasts that this sample may belong to, though it equals none of it: nothing has moved."""
        last = self._seen[-1] if self._seen else None
        if (
            last is None
            or last.since_s == last.at_s
            or at_s - last.at_s > MEMORY_S
            or last.strips.shape != strips.shape
        ):
            return at_s
        changed = float(np.abs(strips.astype(np.int16) - last.strips).mean())
        return last.since_s if changed < 1.5 else at_s


def strips_of(luma: Bytes) -> Bytes:
    """Strips of 8 rows over the whole height, (strips, 8, columns × 8), at most MOST_BYTES."""
    rows, columns = luma.shape[0] // 8, luma.shape[1] // 8
    step = max(1, -(-rows * columns * 64 // MOST_BYTES))
    whole = luma[: rows * 8, : columns * 8].reshape(rows, 8, columns * 8)
    return whole[step // 2 :: step].copy()


def telling_blocks(strips: Bytes) -> NDArray[np.bool_]:
    """Which 8 × 8 blocks show something, (strips, blocks): burnt sky and black night are equal in any case."""
    blocks = (strips.shape[0], strips.shape[2] // 8, 8)
    greatest = strips.max(axis=1).reshape(blocks).max(axis=2)
    telling: NDArray[np.bool_] = greatest - strips.min(axis=1).reshape(blocks).min(axis=2) >= LEAST_RANGE
    return telling


def equal_share(now: Bytes, before: Bytes) -> float:
    """Share of the telling blocks that are exactly equal; 0 for pictures of different sizes, and when fewer than
    LEAST_TELLING of all blocks tell anything."""
    if now.shape != before.shape:
        return 0.0
    # Eight pixels of a row at once, as one number.
    equal = ~(now.view(np.uint64) != before.view(np.uint64)).any(axis=1)
    if equal.mean() < EQUAL_BLOCKS * LEAST_TELLING:
        return 0.0  # whatever the telling ones are: a living picture costs no more
    telling = telling_blocks(now)
    return float(equal[telling].mean()) if telling.mean() >= LEAST_TELLING else 0.0
