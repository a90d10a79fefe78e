"""What live view needs of a camera: its streams' fan-out (`streams.hub.Hub` fits), and a name."""

from collections.abc import Callable, Sequence
from typing import Protocol

from core.errors import WanggeError
from core.media import Packet, StreamName


class PacketReader(Protocol):
    """A bounded ring that one reader empties. take() gives what is there, oldest first, without waiting."""

    @property
    def dropped(self) -> int:
        """Packets that did not fit; reading goes on at a key frame."""

    def take(self) -> Sequence[Packet]:
        """Empties the ring."""

    def close(self) -> None:
        """Ends reading; twice is harmless."""


class PacketSource(Protocol):
    """One stream of one camera, to be read by many."""

    def reader(
        self, name: str, *, most_packets: int, most_bytes: int, wake: Callable[[], None] | None, from_gop: bool
    ) -> PacketReader:
        """A new reader; `wake` is called from another thread after packets were put in. from_gop: the pictures since
        the last key frame come first."""


Cameras = Callable[[str, StreamName], PacketSource | None]
"""(camera's device id, stream) → its fan-out in this worker, None when it has no such stream or is not held here."""


class TooManyViewers(WanggeError):
    """A limit of viewers is reached (HTTP 503 with Retry-After)."""

    kind = "too_many_viewers"


class NoPicture(WanggeError):
    """The camera sends nothing just now (HTTP 503 with Retry-After)."""

    kind = "no_picture"


class NotPlayable(WanggeError):
    """The browser cannot play what the camera sends and nothing else can be offered (HTTP 406)."""

    kind = "not_playable"
