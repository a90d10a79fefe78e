"""A batch of pieces as one transaction: grouped by family before it, counted for those who ask after it.

Families go in the order of core.lane.FAMILIES, so that two writers take their advisory locks in one order. Facts about
cameras are not ours: streams writes them.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final

import msgspec

from core.lane import FAMILIES, FIX, MESSAGE, POS, REFUSAL, SECURITY
from ingest.lanes import Parcel, Piece
from store.copying import FactTable, Key
from store.fixes import FIXES
from store.messages import MESSAGES, Outcome
from store.quarantine import QUARANTINE, SECURITY_FACTS
from store.readings import READINGS

TABLES: Final[dict[str, FactTable]] = {
    FIX: FIXES,
    POS: READINGS,
    REFUSAL: QUARANTINE,
    SECURITY: SECURITY_FACTS,
    MESSAGE: MESSAGES,
}
assert list(TABLES) == [family for family in FAMILIES if family in TABLES]
OTHER_CONTENT: Final = "the same key was sent before with other content"


class Tally(msgspec.Struct, eq=False):
    """What became of a parcel's rows in one batch; added to the parcel in the event loop's thread."""

    parcel: Parcel
    stored: int = 0
    duplicate: int = 0
    rejected: list[tuple[int, str]] = []

    def settle(self) -> None:
        """Adds it to the parcel."""
        self.parcel.stored += self.stored
        self.parcel.duplicate += self.duplicate
        self.parcel.rejected += tuple(self.rejected)


class Group(msgspec.Struct, eq=False):
    """All rows of one family in a batch, in the order of its pieces."""

    table: FactTable
    pieces: list[Piece]

    @property
    def rows(self) -> list[Any]:
        return [row for piece in self.pieces for row in piece.rows]

    @property
    def days(self) -> set[int]:
        return {day for piece in self.pieces for day in piece.days}

    @property
    def least_ms(self) -> int:
        return min(piece.least_ms for piece in self.pieces)

    @property
    def greatest_ms(self) -> int:
        return max(piece.greatest_ms for piece in self.pieces)

    @property
    def wants_keys(self) -> bool:
        """Whether somebody wants to know which rows were new."""
        return any(piece.parcel is not None and piece.parcel.asks for piece in self.pieces)


def group_pieces(pieces: Iterable[Piece]) -> list[Group]:
    """The groups of a batch in the order of families."""
    found: dict[str, list[Piece]] = {}
    for piece in pieces:
        found.setdefault(piece.family, []).append(piece)
    return [Group(table, found[family]) for family, table in TABLES.items() if family in found]


def count_all(group: Group) -> list[Tally]:
    """Every row was new; refusals (which have no key) are not counted."""
    return [
        Tally(piece.parcel, stored=len(piece.rows))
        for piece in group.pieces
        if piece.parcel is not None and piece.parcel.asks and group.table.key
    ]


def count_keys(group: Group, inserted: Collection[Key], clashing: Collection[Key] = ()) -> list[Tally]:
    """By keys: inserted ones are new (once each), clashing ones rejected, all others duplicates."""
    key_of = group.table.key_of
    assert key_of is not None
    left = set(inserted)
    tallies: list[Tally] = []
    for piece in group.pieces:
        parcel = piece.parcel
        if parcel is None or not (parcel.asks or clashing):
            continue
        tally = Tally(parcel, rejected=[])
        for index, row in zip(piece.indexes, piece.rows, strict=True):
            key = key_of(row)
            if key in left:
                left.discard(key)
                tally.stored += 1
            elif key in clashing:
                tally.rejected.append((index, OTHER_CONTENT))
            else:
                tally.duplicate += 1
        tallies.append(tally)
    return tallies


def count_outcomes(group: Group, outcomes: Sequence[Outcome]) -> list[Tally]:
    """By outcomes, one a row (messages)."""
    tallies: list[Tally] = []
    left = iter(outcomes)
    for piece in group.pieces:
        found = [(index, next(left)) for index in piece.indexes]
        if piece.parcel is not None:
            words = [outcome for _, outcome in found]
            tallies.append(
                Tally(
                    piece.parcel,
                    words.count("stored"),
                    words.count("duplicate"),
                    [(index, OTHER_CONTENT) for index, outcome in found if outcome == "clash"],
                )
            )
    return tallies
