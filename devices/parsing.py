"""From the records of a file to rows of values, with every error by row and field. Pure; runs in a thread.

493,000 components take a few seconds: repeated texts of a column are parsed once, positions are shifted as arrays.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec
import numpy as np
import shapely

from core.errors import InvalidInput
from core.fix import Datum
from core.place import to_wgs84_array
from devices.area import parsed_geometry
from devices.fields import Field
from devices.kinds import Kind
from devices.reading import Document, Record

_REMEMBERED = 20_000
_SHOWN = 40


class RowError(NamedTuple):
    """What is wrong with a row of a file, as a person would say it."""

    row: int
    field: str
    reason: str


@dataclass(slots=True)
class Rows:
    """Good rows: values in order of `columns`; `numbers` are their rows in the file."""

    columns: tuple[str, ...]
    numbers: list[int] = field(default_factory=list)
    values: list[list[Any]] = field(default_factory=list)

    def column(self, name: str) -> list[Any] | None:
        """All values of a column; None when the file has no such column."""
        if name not in self.columns:
            return None
        index = self.columns.index(name)
        return [values[index] for values in self.values]

    def without(self, bad: set[int]) -> "Rows":
        """The rows whose numbers are not among the bad ones."""
        if not bad:
            return self
        kept = [i for i, number in enumerate(self.numbers) if number not in bad]
        return Rows(self.columns, [self.numbers[i] for i in kept], [self.values[i] for i in kept])


class _Column:
    """Parses the cells of one column."""

    def __init__(self, name: str, index: int | None, kind_field: Field) -> None:
        self.name = name
        self._index = index
        self._field = kind_field
        self._remembered: dict[str, object] = {}

    def value(self, record: Record) -> object:
        """The parsed value. Raises ValueError with the reason."""
        cell = record.cells[self._index] if self._index is not None and self._index < len(record.cells) else None
        text = cell.strip() if isinstance(cell, str) else _text(cell)
        if not text:
            if self._field.required:
                raise ValueError("is missing")
            return self._field.default
        try:
            return self._remembered[text]
        except KeyError:
            pass
        try:
            value = self._field.parse(text)
        except ValueError as error:
            if self._field.secret:
                raise ValueError(f"the value {error}") from None
            shown = text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
            raise ValueError(f"{shown!r} {error}") from None
        if len(self._remembered) < _REMEMBERED:
            self._remembered[text] = value
        return value


def parse_rows(document: Document, kind: Kind, datum: Datum) -> tuple[Rows, list[RowError]]:
    """Good rows of a file and the errors of the others. datum: of the positions in the file; rows are in WGS-84."""
    pointed = document.geojson and kind.geometry == ("Point",)
    names = [name for name in kind.fields if name in document.columns or (pointed and name in ("lat", "lon"))]
    missing = [name for name, f in kind.fields.items() if f.required and name not in names]
    if kind.shape is not None and not document.geojson:
        return Rows(()), [RowError(1, "geometry", f"{kind.name} have a shape: import them from GeoJSON")]
    if missing:
        return Rows(()), [RowError(1, name, "the column is missing") for name in missing]
    read = [name for name in names if not (pointed and name in ("lat", "lon"))]
    columns = [_Column(name, document.columns.index(name), kind.fields[name]) for name in read]
    extra = ("lat", "lon") if pointed else (kind.shape,) if kind.shape else ()
    rows = Rows((*read, *extra))
    errors: list[RowError] = []
    for record in document.records:
        values: list[Any] = []
        faults = len(errors)
        for column in columns:
            try:
                values.append(column.value(record))
            except ValueError as error:
                errors.append(RowError(record.row, column.name, str(error)))
        if extra:
            _add_geometry(record, kind, datum, pointed, values, errors)
        if len(errors) == faults:
            rows.numbers.append(record.row)
            rows.values.append(values)
    errors += _twice(rows, kind)
    rows = rows.without({error.row for error in errors})
    _shift(rows, datum)
    return rows, errors


def _add_geometry(
    record: Record, kind: Kind, datum: Datum, pointed: bool, values: list[Any], errors: list[RowError]
) -> None:
    try:
        shape = parsed_geometry(record.geometry, kind.geometry)
        if kind.shape == "polygon" and not shape.is_valid:
            raise InvalidInput(f"The polygon is not valid: {shapely.is_valid_reason(shape)}.")
    except InvalidInput as error:
        errors.append(RowError(record.row, "geometry", str(error)))
        return
    if pointed:
        values += [shape.y, shape.x]
    elif datum == "wgs84":
        values.append(record.geometry)
    else:
        shifted = shapely.transform(shape, lambda lonlat: _shifted(lonlat, datum))
        values.append(msgspec.json.decode(shapely.to_geojson(shifted)))


def _shifted(lonlat: np.ndarray[Any, Any], datum: Datum) -> np.ndarray[Any, Any]:
    lat, lon = to_wgs84_array(lonlat[:, 1], lonlat[:, 0], datum)
    return np.column_stack([lon, lat])


def _shift(rows: Rows, datum: Datum) -> None:
    """Positions of a file in GCJ-02 or BD-09 to WGS-84, in place."""
    lats, lons = rows.column("lat"), rows.column("lon")
    if datum == "wgs84" or lats is None or lons is None or not lats:
        return
    lat_at, lon_at = rows.columns.index("lat"), rows.columns.index("lon")
    new_lats, new_lons = to_wgs84_array(np.array(lats), np.array(lons), datum)
    for values, lat, lon in zip(rows.values, new_lats.tolist(), new_lons.tolist(), strict=True):
        values[lat_at], values[lon_at] = lat, lon


def _twice(rows: Rows, kind: Kind) -> list[RowError]:
    """Rows that share the key of an earlier row."""
    at = [rows.columns.index(name) for name in kind.key if name in rows.columns]
    seen: dict[object, int] = {}
    errors = []
    for number, values in zip(rows.numbers, rows.values, strict=True):
        key = values[at[0]] if len(at) == 1 else repr([values[i] for i in at])
        first = seen.setdefault(key, number)
        if first != number:
            errors.append(RowError(number, kind.key[0], f"says the same thing as row {first}; keep one of them"))
    return errors


def _text(cell: object) -> str:
    """A JSON value as the text that a cell would hold."""
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, Sequence):
        return ",".join(map(_text, cell)) if not isinstance(cell, str) else cell
    return str(cell)
