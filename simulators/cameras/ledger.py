"""Ground truth of cameras as NDJSON: faults, and what every connection got (code SENT)."""

from simulators.cameras.injector import Injector
from simulators.cameras.server import Sent, Server
from simulators.truth import Injected

SENT = "SENT"
"""`code` of a row that is no fault: units (frames) sent to one connection on one track."""


def rows(injector: Injector, server: Server, now_ms: int) -> list[Injected]:
    """All rows so far."""
    return injector.rows(now_ms) + [sent_row(one) for one in server.sent_so_far()]


def sent_row(one: Sent) -> Injected:
    """kind: codec of the track. figures: frames sent whole, first and last RTP time stamp (absent: none), left out."""
    figures: dict[str, float | str] = {
        "stream": one.stream,
        "client": one.client,
        "frames": one.frames,
        "packets": one.packets,
        "octets": one.octets,
        "dropped": one.dropped,
    }
    if one.first_timestamp is not None and one.last_timestamp is not None:
        figures |= {"first_timestamp": one.first_timestamp, "last_timestamp": one.last_timestamp}
    return Injected(SENT, one.track, one.camera, one.began_at_ms, one.ended_at_ms, False, figures=figures)
