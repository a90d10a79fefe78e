"""Momentary conditions that come in bursts: occurrences close to each other are one event that counts them.

An episode remembers its event's key and the device times it spans. Facts may come out of order; a few episodes are
kept, so that an old fact joins its own episode instead of a newer one.
"""

import msgspec

from alerts.rule import Findings
from core.event import Finding

KEPT = 4


class Episode(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One burst. first_ms/last_ms: device times of its occurrences."""

    key: str
    first_ms: int
    last_ms: int


Episodes = tuple[Episode, ...]


def occur(episodes: Episodes, finding: Finding, window_ms: int, quiet_ms: int = 0) -> tuple[Episodes, Findings]:
    """Takes an occurrence, given as the finding that would open an event.

    It joins the episode within `window_ms` of it (a `repeat` of that event), else opens its own. Occurrences within
    `quiet_ms` of the episode's newest only lengthen it, without a finding.
    """
    at = finding.at_ms
    for index, episode in enumerate(episodes):
        if episode.first_ms - window_ms <= at <= episode.last_ms + window_ms:
            grown = Episode(episode.key, min(episode.first_ms, at), max(episode.last_ms, at))
            kept = (*episodes[:index], grown, *episodes[index + 1 :])
            if abs(at - episode.last_ms) < quiet_ms or (episode.first_ms <= at < episode.last_ms and quiet_ms):
                return kept, ()
            return kept, (as_repeat(finding, episode.key),)
    newest = sorted((*episodes, Episode(finding.key, at, at)), key=lambda e: e.last_ms)
    return tuple(newest[-KEPT:]), (finding,)


def as_repeat(finding: Finding, key: str) -> Finding:
    """The finding as one more occurrence of the event `key`."""
    return Finding(
        "repeat",
        finding.code,
        key,
        finding.subject,
        finding.at_ms,
        finding.lat,
        finding.lon,
        finding.late,
        finding.causes,
        finding.evidence,
    )
