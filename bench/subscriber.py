"""The yardstick's subscriber: paho-mqtt that receives and does nothing.

Run as `python -m bench.subscriber HOST PORT TOTAL`. Prints `ready` once subscribed and, when TOTAL messages came or
nothing came for five seconds, `RECEIVED SECONDS` where the seconds run from the first to the last message.
"""

import sys
import time

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

QUIET_S = 5.0


class Count:
    """What was received, and when the first and the last came (monotonic seconds)."""

    def __init__(self) -> None:
        self.received = 0
        self.first = 0.0
        self.last = 0.0

    def one(self, _client: paho.Client, _userdata: object, _message: paho.MQTTMessage) -> None:
        """Paho's message callback."""
        self.last = time.monotonic()
        if not self.received:
            self.first = self.last
        self.received += 1


def _say_ready(_client: paho.Client, _userdata: object, _mid: int, _codes: object, _properties: object) -> None:
    sys.stdout.write("ready\n")
    sys.stdout.flush()


def main(host: str, port: int, total: int) -> None:
    """Receives until TOTAL or silence."""
    count = Count()
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id="yardstick")
    client.max_inflight_messages_set(1000)
    client.on_message = count.one
    client.on_subscribe = _say_ready
    client.connect(host, port)
    client.subscribe("wangge/v1/+/fix", qos=1)
    waiting_since = time.monotonic()
    while count.received < total:
        client.loop(timeout=0.5)
        now = time.monotonic()
        if now - (count.last or waiting_since) > (QUIET_S if count.received else 60.0):
            break
    sys.stdout.write(f"{count.received} {count.last - count.first:.6f}\n")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
