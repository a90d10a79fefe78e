"""Thresholds of single cameras: the registry's `settings.thresholds` over the settings of the rules.

`{"cam_03": {"sharpness_ratio": 0.2}}` changes one threshold of one camera. What is wrong in it is said once in the log
and left out: a slip of the pen must not blind a camera.
"""

from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

import structlog
from pydantic import BaseModel, ValidationError

from alerts.rule import Context

SETTING = "thresholds"
"""Key in the registry's settings of a camera."""

Section = TypeVar("Section", bound=BaseModel)
Own = TypeVar("Own")

log = structlog.get_logger()


def adjusted(section: Section, changes: object) -> Section:
    """The section with some of its values changed. Raises ValueError that names every wrong key."""
    if changes is None:
        return section
    if not isinstance(changes, Mapping):
        raise ValueError("must be a table of thresholds")
    try:
        return type(section).model_validate({**section.model_dump(), **changes})
    except ValidationError as error:
        wrong = (
            f"{'.'.join(map(str, one['loc'])) or 'value'}: {one['msg']}" for one in error.errors(include_url=False)
        )
        raise ValueError("; ".join(wrong)) from None


def section_or_base(name: str, base: Section, thresholds: Mapping[str, Any], camera: str) -> Section:
    """The camera's own section; the base, with a line in the log, where what the registry says is wrong."""
    try:
        return adjusted(base, thresholds.get(name))
    except ValueError as error:
        log.warning("alerts.thresholds_refused", device=camera, section=name, reason=str(error))
        return base


class PerCamera(Generic[Own]):
    """The settings that hold for a camera, worked out once for each change of its registry row."""

    def __init__(self, base: Own, make: Callable[[Mapping[str, Any], str], Own]) -> None:
        """make: from the registry's thresholds and the camera's id; never raises."""
        self._base, self._make = base, make
        self._kept: dict[str, tuple[object, Own]] = {}

    def of(self, at: Context) -> Own:
        """Settings of the rule's subject."""
        own = at.settings.get(SETTING)
        if own is None:
            return self._base
        kept = self._kept.get(at.id)
        if kept is not None and kept[0] is own:
            return kept[1]
        if isinstance(own, Mapping):
            made = self._make(own, at.id)
        else:
            log.warning("alerts.thresholds_refused", device=at.id, reason="must be a table of rules")
            made = self._base
        self._kept[at.id] = (own, made)
        return made


def one_section(name: str, base: Section) -> PerCamera[Section]:
    """For a rule with one section of its own."""
    return PerCamera(base, lambda thresholds, camera: section_or_base(name, base, thresholds, camera))
