"""docs/events.md names every kind of fault of a picture that the rules tell apart, and no other."""

import re
from pathlib import Path

from alerts.rules.camera import clarity, covered, dark, frozen, moved
from alerts.rules.camera.picture import CONDITIONS

DOCS = Path(__file__).parents[2] / "docs"
MODULES = {"CAM-02": covered, "CAM-03": clarity, "CAM-04": dark, "CAM-05": frozen, "CAM-06": moved}


def test_every_kind_is_named() -> None:
    assert {condition.code for condition in CONDITIONS} == set(MODULES)
    page = (DOCS / "events.md").read_text(encoding="utf-8")
    for code, module in MODULES.items():
        source = Path(str(module.__file__)).read_text(encoding="utf-8")
        kinds = set(re.findall(r'(?:return|if) "(\w+)"|return "(\w+)" if', source))
        told = re.search(rf"^- {code}: (.*?)(?=^- |^$)", page, re.MULTILINE | re.DOTALL)
        assert told is not None
        assert set(re.findall(r"`(\w+)`", told[1])) == {one or other for one, other in kinds}, code
