"""Results of a benchmark: one value beside its yardstick and goal, as a table for people and JSON for programs.

Values are SI (seconds, bytes, per second). `ratio` is ours ÷ yardstick. A benchmark never asserts: it reports `met`.
"""

import json
import os
import platform
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

Met = Callable[[float, float | None], bool]


@dataclass(frozen=True, slots=True)
class Result:
    """One line: what was measured, in which unit, against what.

    yardstick: the same figure of the yardstick in the same run, or None. goal: the sentence of the issue.
    """

    name: str
    value: float
    unit: str
    goal: str
    met: bool
    yardstick: float | None = None
    ratio: float | None = None
    details: dict[str, object] = field(default_factory=dict)


def against(name: str, value: float, yardstick: float, least: float, unit: str, **details: object) -> Result:
    """A result whose goal is a least ratio to its yardstick."""
    ratio = value / yardstick if yardstick else 0.0
    return Result(name, value, unit, f"≥ {least:g} × yardstick", ratio >= least, yardstick, round(ratio, 3), details)


def at_most(name: str, value: float, limit: float, unit: str, **details: object) -> Result:
    """A result whose goal is a greatest value."""
    return Result(name, value, unit, f"≤ {limit:g} {unit}", value <= limit, details=details)


def at_least(name: str, value: float, limit: float, unit: str, **details: object) -> Result:
    """A result whose goal is a least value."""
    return Result(name, value, unit, f"≥ {limit:g} {unit}", value >= limit, details=details)


def machine() -> dict[str, object]:
    """What this was measured on: processor, cores this process may use, memory, kernel, Python."""
    model = next(
        (line.split(":", 1)[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.processor() or platform.machine(),
    )
    memory = next((int(line.split()[1]) * 1024 for line in _lines("/proc/meminfo") if line.startswith("MemTotal")), 0)
    return {
        "processor": model,
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": memory,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8").splitlines()
    except OSError:
        return []


def to_json(results: Iterable[Result]) -> str:
    """The contract's JSON: machine, results (name, value, unit, yardstick, ratio, goal, met; details beside them)."""
    rows = []
    for result in results:
        row = asdict(result)
        details = row.pop("details")
        rows.append({**row, **details})
    return json.dumps({"machine": machine(), "results": rows}, ensure_ascii=False, indent=2)


def show(results: Iterable[Result], console: Console) -> None:
    """The same as a table."""
    facts = machine()
    console.print(f"{facts['processor']}, {facts['cores']} cores, Python {facts['python']}, {facts['system']}")
    table = Table(box=None, pad_edge=False)
    for heading in ("name", "value", "unit", "yardstick", "ratio", "goal", "met", "details"):
        table.add_column(
            heading, justify="right" if heading in ("value", "yardstick", "ratio") else "left", overflow="fold"
        )
    for result in results:
        table.add_row(
            result.name,
            _figure(result.value),
            result.unit,
            "–" if result.yardstick is None else _figure(result.yardstick),
            "–" if result.ratio is None else f"{result.ratio:.2f}",
            result.goal,
            "yes" if result.met else "NO",
            "  ".join(f"{name}={value}" for name, value in result.details.items()),
        )
    console.print(table)


def _figure(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.4g}"
