"""Operators who connect by MQTT: name and bearer token, and which grid events they may see. They never publish."""

from console import accounts
from console.rights import RIGHTS
from ingest.mqtt import Device, Refusal
from store.pool import Store


class MqttOperators:
    """Checks a name and token against the store; remembers the scope of those who were let in."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._scopes: dict[int, str] = {}

    async def __call__(self, user: str, token: bytes, peer: str) -> Device | Refusal:
        """The operator as a `Device` with a negative key, or why not."""
        del peer
        async with self._store.connection() as connection:
            found = await accounts.by_token(connection, token.decode("utf-8", "replace"), "bearer")
        if found is None or found[0].name != user:
            return Refusal(4, "unknown user name or wrong token")
        account = found[0]
        if account.role not in RIGHTS["events.read"] or account.role == "worker":
            return Refusal(5, "this role sees no events by MQTT")
        self._scopes[-account.id] = account.division
        return Device(account.name, -account.id, "operator")

    def may_see(self, device: Device, division: str) -> bool:
        """Whether an event of this division or grid lies in the operator's scope."""
        return division.startswith(self._scopes.get(device.key, "none"))
