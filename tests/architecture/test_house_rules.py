"""House rules that a linter does not know: sizes, names, no stray tasks, no swallowed errors."""

import ast
import re
from pathlib import Path

import pytest

from tests.architecture.rooms import ROOT, calls, sources, tree

MOST_LINES = 400
FORBIDDEN_NAMES = {"util", "utils", "helper", "helpers", "manager", "managers", "common", "misc"}
SUPERVISOR = Path("core/supervise.py")
WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")

EVERY_SOURCE = pytest.mark.parametrize("path", sources(), ids=str)


@EVERY_SOURCE
def test_files_are_short(path: Path) -> None:
    lines = (ROOT / path).read_text(encoding="utf-8").count("\n")
    assert lines <= MOST_LINES, f"{path} has {lines} lines; split it into two ideas"


@EVERY_SOURCE
def test_files_say_what_they_are_for(path: Path) -> None:
    if (ROOT / path).read_text(encoding="utf-8").strip():
        assert ast.get_docstring(tree(path)), f"{path} has no docstring"


@EVERY_SOURCE
def test_no_empty_names(path: Path) -> None:
    names = [*path.with_suffix("").parts]
    names += [n.name for n in ast.walk(tree(path)) if isinstance(n, ast.ClassDef)]
    for name in names:
        words = {word.lower() for word in WORDS.findall(name)}
        assert not words & FORBIDDEN_NAMES, f"{path}: {name} says nothing; call it what it is"


@EVERY_SOURCE
def test_every_task_has_a_group(path: Path) -> None:
    stray = [
        f"{path}:{line} {name}"
        for line, name in calls(path)
        if re.search(r"(^|\.)ensure_future$", name)
        or re.fullmatch(r"(asyncio|loop|.*get_running_loop\(\))\.create_task", name)
    ]
    if path == SUPERVISOR:
        assert len(stray) == 1, "a part is a task of its own, and it alone"
        return
    assert not stray, "use a TaskGroup, or a part of core.supervise: " + ", ".join(stray)


@EVERY_SOURCE
def test_nothing_swallows_every_error(path: Path) -> None:
    """The supervisor neither: it reads what a part died of from the part's task."""
    broad = [f"{path}:{h.lineno}" for h in _handlers(path) if _swallows(h)]
    assert not broad, "catch what you can handle: " + ", ".join(broad)


def _handlers(path: Path) -> list[ast.ExceptHandler]:
    """Every handler, but for those of a forked child that ends with os._exit whatever happens."""
    return [
        handler
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Try) and not any(ast.unparse(last).startswith("os._exit(") for last in node.finalbody)
        for handler in node.handlers
    ]


def _swallows(handler: ast.ExceptHandler) -> bool:
    """A handler of every error that does not raise it again as its last word (cleaning up and raising is fine)."""
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    every = any(kind is None or ast.unparse(kind) in ("Exception", "BaseException") for kind in kinds)
    last = handler.body[-1]
    return every and not (isinstance(last, ast.Raise) and last.exc is None)
