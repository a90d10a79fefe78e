"""From CONNECT to an open session: credentials, take-over, the kept session, the will.

Facts (OASIS MQTT 3.1.1): one connection a client id, the newer wins (3.1.4-2), here per device; clean session 1
forgets what was kept (3.1.2-6); session present tells what was found (3.2.2.2). The common case (answer at once,
clean session) makes no task, so that 10,590 devices can come back within a second.
"""

import asyncio
from collections.abc import Awaitable
from typing import TYPE_CHECKING

import structlog

from core.errors import NotAllowed, StoreUnavailable
from ingest.mqtt import topics
from ingest.mqtt.codec import Connect
from ingest.mqtt.connection import Connection
from ingest.mqtt.contract import Device, Refusal, SessionRecord
from ingest.mqtt.session import Phase, Reason

if TYPE_CHECKING:
    from ingest.mqtt.listener import Listener

log = structlog.get_logger(__name__)


class Gate:
    """Judges CONNECTs for one listener."""

    def __init__(self, listener: "Listener") -> None:
        self._listener = listener
        self._unnamed = 0
        self._without_store = False

    def judge(self, connection: Connection, connect: Connect) -> None:
        """Answers a CONNECT, now or from a task of the listener."""
        assert connect.user is not None
        answer = self._listener.intake.authenticate(connect.user, connect.password or b"", connection.peer)
        if isinstance(answer, Refusal):
            self._refuse(connection, answer)
        elif isinstance(answer, Device) and connect.clean:
            if self._claim(connection, connect, answer):
                self._open(connection, connect, answer, None)
        else:
            self._listener.spawn(self._judge_slowly(connection, connect, answer))

    async def _judge_slowly(
        self, connection: Connection, connect: Connect, answer: Device | Awaitable[Device | Refusal]
    ) -> None:
        record: SessionRecord | None = None
        try:
            async with asyncio.timeout(self._listener.settings.authenticate_timeout_s):
                device = answer if isinstance(answer, Device) else await answer
                if isinstance(device, Refusal):
                    self._refuse(connection, device)
                    return
                if not self._claim(connection, connect, device):
                    return
                if not connect.clean:
                    record = await self._listener.store.load(device.key, connect.client_id)
        except (StoreUnavailable, TimeoutError) as error:
            if not self._without_store:
                self._without_store = True
                log.warning("mqtt.connect_without_store", peer=connection.peer, error=str(error) or "it took too long")
            self._refuse(connection, Refusal(3, "the store cannot be reached"))
            return
        self._without_store = False
        if connection.session.phase is Phase.JOINING:
            self._open(connection, connect, device, record)

    def _refuse(self, connection: Connection, refusal: Refusal) -> None:
        if connection.session.phase is Phase.JOINING:
            connection.session.refuse(refusal.code, refusal.reason)
            connection.finish_step()

    def _claim(self, connection: Connection, connect: Connect, device: Device) -> bool:
        """Makes the connection the one of its (device, client id); False when it is over or refused."""
        listener, session = self._listener, connection.session
        if session.phase is not Phase.JOINING:
            return False
        if connect.will_topic is not None:
            try:
                topics.publish_kind(device, connect.will_topic)
            except NotAllowed:
                listener.forbidden(device, connect.will_topic, connection.peer)
                self._refuse(connection, Refusal(5, "the will's topic is not its own"))
                return False
        self._unnamed += not connect.client_id
        connection.client_id = session.client_id = connect.client_id or f"unnamed-{self._unnamed}"
        link = listener.link_of(device)
        older = link.connections.get(connection.client_id)
        if older is not None:
            listener.stats.takeovers += 1
            older.close(Reason.TAKEN_OVER)
        link.connections[connection.client_id] = connection
        connection.link = link
        return True

    def _open(self, connection: Connection, connect: Connect, device: Device, record: SessionRecord | None) -> None:
        listener, session = self._listener, connection.session
        if record is not None and record.will is not None:
            listener.publish_will(device, record.will)
        session.accept(device, connect, record)
        if connect.clean:
            listener.store.discard(device.key, connection.client_id)
        else:
            listener.keep(session)
        keep_alive_s = 1.5 * connect.keep_alive_s
        connection.limit_s = keep_alive_s or listener.settings.idle_timeout_s
        listener.stats.accepted += 1
        connection.finish_step()
        listener.observer.connected(device, connection.client_id, connection.peer)
        for topic_filter in session.subscriptions:
            listener.observer.subscribed(device, topic_filter)
        connection.proceed()
