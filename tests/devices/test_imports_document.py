"""docs/imports.md names every kind, format and column of the imports, and nothing else."""

from pathlib import Path
from zoneinfo import ZoneInfo

from devices.kinds import kinds

DOCUMENT = Path(__file__).parents[2] / "docs" / "imports.md"


def test_the_table_is_what_the_code_takes() -> None:
    lines = DOCUMENT.read_text(encoding="utf-8").splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")][1:]
    expected = []
    for kind in kinds(ZoneInfo("Asia/Shanghai")).values():
        formats = ([] if kind.shape else ["CSV"]) + (["GeoJSON " + ", ".join(kind.geometry)] if kind.geometry else [])
        required = [name for name, field in kind.fields.items() if field.required]
        optional = [name for name, field in kind.fields.items() if not field.required]
        expected.append((kind.name, ", ".join(formats), sorted(required), sorted(optional)))
    told = [
        (name, form, sorted(filter(None, a.split(", "))), sorted(filter(None, b.split(", "))))
        for name, form, a, b in cells
    ]
    assert told == expected
