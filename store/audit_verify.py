"""The check of the audit log: rows against the chain, the chain against the signed heads outside the database.

Found: a changed row, a removed row, a removed or inserted seal, a forged head file, a chain that was rewritten, and
newest rows that were removed together with their seals, and rows put in behind the sealer's back. Not found: a row
removed before it was sealed (a second), or with its seal before the next head was signed (console.seal_head_s).
"""

import hmac
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from core.errors import StoreError
from store.audit import FIRST_HEAD, LOOK_BACK, ROW_COLUMNS, next_head
from store.audit_seal import HEAD_FILES, KEY_NAME, SignedHead

SHOWN_FAULTS = 100
_CHAIN = f"""SELECT s.n, s.seq, s.head, {ROW_COLUMNS}
             FROM audit_seals s LEFT JOIN audit_log a ON a.seq = s.seq ORDER BY s.n"""  # noqa: S608 (a constant)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found. rows: checked; waiting: committed, not sealed yet; heads: signed lines; faults: sentences."""

    rows: int
    waiting: int
    heads: int
    faults: tuple[str, ...]


def verify(connection: "psycopg.Connection[Any]", folder: Path) -> Verdict:
    """Checks everything; read-only, in one snapshot, constant memory but for the signed heads (one a minute).

    Raises StoreError where the folder of heads has no key: then nothing outside the database can be compared.
    """
    if not (folder / KEY_NAME).is_file():
        raise StoreError(f"{folder} has no {KEY_NAME}; name the folder of the signed heads (console.seal_folder).")
    faults: list[str] = []
    heads = dict(_signed_heads(folder, faults))
    floor = max((head.floor for head in heads.values()), default=0)
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        rows, last = _check_chain(connection, heads, floor, faults)
        waiting = _check_unsealed(connection, faults)
    newest = max(heads, default=0)
    if newest > last:
        faults.append(
            f"The newest {newest - last} sealed rows were removed: {heads[newest].at} had {newest}, now {last}."
        )
    return Verdict(rows, waiting, len(heads), tuple(faults[:SHOWN_FAULTS]))


def _check_unsealed(connection: "psycopg.Connection[Any]", faults: list[str]) -> int:
    """Rows that wait for the sealer; those so far back that it never looks there were put in by another hand."""
    row = connection.execute(
        """SELECT count(*) FILTER (WHERE a.seq > m.seq - %(back)s), count(*) FILTER (WHERE a.seq <= m.seq - %(back)s),
                  min(a.seq)
           FROM audit_log a, (SELECT coalesce(max(seq), 0) AS seq FROM audit_seals) m
           WHERE NOT EXISTS (SELECT FROM audit_seals s WHERE s.seq = a.seq)""",
        {"back": LOOK_BACK},
    ).fetchone()
    assert row is not None
    waiting, foreign, least = row
    if foreign:
        faults.append(
            f"{foreign} rows from {least} on are not in the chain, and the sealer is {LOOK_BACK} rows past them."
        )
    return int(waiting)


def _check_chain(
    connection: "psycopg.Connection[Any]", heads: dict[int, SignedHead], floor: int, faults: list[str]
) -> tuple[int, int]:
    """Walks the seals; returns (rows checked, number of the newest seal)."""
    head, expected, rows = FIRST_HEAD, 1, 0
    with connection.cursor("audit_chain") as cursor:
        cursor.itersize = 2000
        cursor.execute(_CHAIN)
        for n, seq, sealed, *row in cursor:
            is_anchor = rows == 0 and expected == 1 and n == floor and row[0] is None
            if n != expected and not is_anchor:
                faults.append(f"Seals {expected} to {n - 1} of the chain were removed, with {n - expected} rows.")
            elif row[0] is None and not is_anchor:
                faults.append(f"Row {seq} (place {n} of the chain) was removed.")
            elif row[0] is not None and next_head(head, row) != bytes(sealed):
                faults.append(f"Row {seq} (place {n} of the chain) was changed after it was sealed.")
            if n in heads and heads[n].head != bytes(sealed).hex():
                faults.append(
                    f"The chain was rewritten up to place {n}: its head differs from the one of {heads[n].at}."
                )
            head, expected, rows = bytes(sealed), n + 1, rows + (row[0] is not None)
    return rows, expected - 1


def _signed_heads(folder: Path, faults: list[str]) -> Iterator[tuple[int, SignedHead]]:
    """The lines of all head files that bear our signature; the others are faults."""
    key = (folder / KEY_NAME).read_bytes()
    for path in sorted(folder.glob(HEAD_FILES)):
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
            try:
                read = json.loads(line)
                signed = SignedHead(int(read["n"]), str(read["head"]), int(read["floor"]), str(read["at"]))
                genuine = hmac.compare_digest(str(read["mac"]).encode(), signed.mac(key).encode())
            except (ValueError, KeyError, TypeError):
                genuine = False
            if genuine:
                yield signed.n, signed
            else:
                faults.append(f"Line {number} of {path.name} is not what the sealer wrote.")
