"""The documents say what the code does: made pages are the newest, and the hand-written ones name everything."""

import re
from pathlib import Path
from typing import get_args

import pytest

from console.rights import RIGHTS
from core.event import CATALOGUE
from ingest.mqtt.contract import TopicKind
from wangge import configuration, documents
from wangge.cli import COMMANDS

FILES = {"store.admin.dsn", "store.password", "store.place"}
"""Files of the data folder that look like settings."""
DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("name", documents.PAGES)
def test_made_pages_are_the_newest(name: str) -> None:
    made = documents.PAGES[name]()
    assert (DOCS / name).read_text(encoding="utf-8") == made, "run `python -m wangge.documents`"


def test_every_setting_is_described() -> None:
    page = (DOCS / "configuration.md").read_text(encoding="utf-8")
    for path, _ in configuration.every_key():
        assert f"`[{'.'.join(path[:-1])}]`" in page
        assert f"| `{path[-1]}` |" in page
    sections = set(re.findall(r"^## `\[(.+)\]`$", page, re.MULTILINE))
    assert sections == {".".join(path[:-1]) for path, _ in configuration.every_key()}


def test_every_command_is_described_and_no_other() -> None:
    page = (DOCS / "commands.md").read_text(encoding="utf-8")
    titles = re.findall(r"^## `wangge (.+)`$", page, re.MULTILINE)
    assert {title.split()[0] for title in titles} == set(COMMANDS)
    assert titles == [words for words, _ in documents.commands()]


def test_every_code_and_metric_is_described() -> None:
    page = (DOCS / "events.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| ([A-Z]+-\d\d) \|", page, re.MULTILINE) == list(CATALOGUE)
    metrics = (DOCS / "metrics.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(wangge_\w+)`", metrics, re.MULTILINE) == [name for name, *_ in documents.metrics()]
    assert all(about.endswith(".") for _, _, about, _ in documents.metrics())


def test_every_topic_is_described_and_no_other() -> None:
    page = (DOCS / "mqtt.md").read_text(encoding="utf-8")
    topics = set(re.findall(r"^\| `([^`]+)` \|", page, re.MULTILINE))
    inward = {f"wangge/v1/{{device_id}}/{kind}" for kind in get_args(TopicKind) if kind != "owntracks"}
    outward = {f"wangge/v1/{{device_id}}/{kind}" for kind in ("task", "stored", "reject")}
    assert topics == inward | outward | {"owntracks/{user}/{device}", "wangge/v1/events/{level}/{code}"}


def test_no_document_speaks_of_commands_or_settings_that_there_are_not() -> None:
    settings = {".".join(path) for path, _ in configuration.every_key()}
    sections = {".".join(path) for path, _ in configuration.sections()}
    known = {words for words, _ in documents.commands()}
    groups = {words.split()[0] for words in known}
    for path in [*DOCS.glob("*.md"), DOCS.parent / "README.md"]:
        text = path.read_text(encoding="utf-8")
        for words in re.findall(r"`wangge ([a-z][a-z -]*)", text):
            first = words.split()[0]
            assert first in groups, f"{path.name}: wangge {words}"
        for key in re.findall(r"`((?:site|log|store|devices|ingest|alerts|http|console)\.[a-z0-9_.]+)`", text):
            is_setting = key in settings | sections or any(one.startswith(key) for one in settings)
            assert is_setting or key in RIGHTS or key in FILES, f"{path.name}: {key}"
