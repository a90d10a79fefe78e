"""README: every command and option that it shows exists, every link leads somewhere, every make target is one."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from wangge import documents

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
COMMANDS: dict[str, Any] = dict(documents.commands())


def shown_commands() -> list[str]:
    """Each `wangge …` of a block or in a sentence, up to a comment."""
    blocks = re.findall(r"^```\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    lines += re.findall(r"`(wangge [^`/]+)`", README)
    found = [one for line in lines for one in re.findall(r"^(wangge [^#]+)", _substituted(line))]
    return sorted({one.strip() for one in found})


def _substituted(line: str) -> str:
    """The line with `$(…)` as a plain word; one that holds a command of ours gives that command."""
    inner = re.search(r"\$\((wangge [^)]*)\)", line)
    return inner[1] if inner else re.sub(r"\$\([^)]*\)", "x", line)


def test_there_is_something_to_check() -> None:
    assert len(shown_commands()) > 12


@pytest.mark.parametrize("line", shown_commands())
def test_command_exists_with_its_options(line: str) -> None:
    words = shlex.split(line)[1:]
    name = next((" ".join(words[:n]) for n in (3, 2, 1) if " ".join(words[:n]) in COMMANDS), None)
    assert name is not None, line
    known = {option for one in COMMANDS[name].params for option in (*one.opts, *one.secondary_opts)}
    used = {word for word in words if word.startswith("--")}
    assert used <= known, line


def test_links_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)]+)\)", README + CHANGELOG)
    assert "docs/operations.md" in links
    for link in links:
        assert (ROOT / link).exists(), link


def test_make_targets_are_there() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"(?:^|`)make ([a-z-]+)", README, re.MULTILINE)) <= targets


def test_changes_tell_of_this_version() -> None:
    version = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    assert version is not None
    assert f"## {version[1]}" in CHANGELOG
