"""The rooms and their source files, for the tests of the house rules."""

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROOMS = ("core", "store", "devices", "ingest", "alerts", "streams", "console", "wangge", "simulators", "bench")


def sources() -> list[Path]:
    """Every .py file of the rooms, relative to the repository."""
    return sorted(
        path.relative_to(ROOT)
        for room in ROOMS
        for path in (ROOT / room).rglob("*.py")
        if not {"node_modules", "build", "dist"} & set(path.parts)
    )


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse((ROOT / path).read_text(encoding="utf-8"), str(path))


def calls(path: Path) -> list[tuple[int, str]]:
    """(line, dotted name) of every call in the file; `asyncio.create_task` for `asyncio.create_task(…)`."""
    return [(node.lineno, ast.unparse(node.func)) for node in ast.walk(tree(path)) if isinstance(node, ast.Call)]
