"""How a finding about a camera points at the facts behind it."""

from alerts.rules.evidence import LATE_MS
from core.camera import StoredCameraFact
from core.event import Finding


def fact_links(fact: StoredCameraFact) -> tuple[dict[str, object], ...]:
    """A fact as evidence, and the picture that shows it, where one was kept. path: relative to the media root."""
    where: dict[str, object] = {"root": fact.root} if fact.root is not None else {}
    link = {"kind": "camera_fact", "device": fact.device, "at_ms": fact.at_ms, "digest": str(fact.digest), **where}
    if fact.picture is None:
        return (link,)
    return link, picture_link(fact.device, fact.picture, fact.root, fact.at_ms)


def picture_link(device: int | None, path: str, root: str | None, at_ms: int) -> dict[str, object]:
    """A kept picture as evidence."""
    where: dict[str, object] = {"root": root} if root is not None else {}
    return {"kind": "picture", "device": device, "at_ms": at_ms, "path": path, **where}


def of_camera(
    code: str, key: str, subject: str, fact: StoredCameraFact, causes: dict[str, object], at_ms: int | None = None
) -> Finding:
    """An opening that this fact made. at_ms: when the condition began, if that was not the fact's own time."""
    late = fact.received_at_ms - fact.at_ms > LATE_MS
    began_ms = fact.at_ms if at_ms is None else at_ms
    return Finding("open", code, key, subject, began_ms, late=late, causes=causes, evidence=fact_links(fact))


_DELAYED_MS = 120_000


def is_older(fact: StoredCameraFact, heard_ms: int) -> bool:
    """Whether a fact comes after newer ones because it waited (store away, back-fill).

    One that is only older by the clock is not: the clock was put back, and facts come in the order they were written.
    """
    return fact.at_ms < heard_ms and fact.received_at_ms - fact.at_ms > _DELAYED_MS


def number(fact: StoredCameraFact, name: str) -> float | None:
    """A figure as a number; None when the fact has none of that name, or nothing that is a number."""
    value = fact.figures.get(name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def word(fact: StoredCameraFact, name: str) -> str:
    """A figure as text; empty when there is none."""
    value = fact.figures.get(name)
    return value[:200] if isinstance(value, str) else ""
