"""Last wills on their way to the store: the origin of messages that no connection waits for."""

from ingest.mqtt import topics
from ingest.mqtt.contract import Device, Inbound, Intake, Will


class WillDesk:
    """Publishes wills through the intake. While lanes are full only the last will of a topic waits (it is a state)."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._waiting: dict[str, Inbound] = {}
        self._offered: list[Inbound] = []

    def publish(self, device: Device, will: Will, received_ms: int) -> None:
        """Hands a will over, now or as soon as there is room. Its topic was judged at CONNECT."""
        kind = topics.publish_kind(device, will.topic)
        self._waiting.pop(will.topic, None)
        self._waiting[will.topic] = Inbound(
            device, kind, will.topic, will.payload, received_ms, will.retain, self, b""
        )  # fmt: skip
        self.push()

    def push(self) -> None:
        """Offers what waits."""
        waiting = list(self._waiting.values())
        taken = self._intake.offer(waiting) if waiting else 0
        for message in waiting[:taken]:
            del self._waiting[message.topic]
        self._offered += waiting[:taken]

    def settle(self) -> None:
        """Forgets what is stored."""
        self._offered = [message for message in self._offered if not message.finished]

    def is_empty(self) -> bool:
        """Whether every will is stored."""
        return not self._waiting and not self._offered
