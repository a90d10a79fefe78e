"""Operators who connect by MQTT: name and bearer token, and which grid events they may see. They never publish."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from console import accounts
from console.rights import RIGHTS
from core.errors import StoreUnavailable
from core.ids import token_sha256
from ingest.mqtt import Device, Refusal
from store.pool import Store

LOOK_AGAIN_S = 5.0


@dataclass(slots=True)
class _Known:
    """One operator who was let in: the scope, and the digests of the tokens that were shown."""

    division: str
    tokens: set[bytes] = field(default_factory=set)


class MqttOperators:
    """Checks a name and token against the store; remembers the scope of those who were let in, one entry an account."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[int, _Known] = {}

    async def __call__(self, user: str, token: bytes, peer: str) -> Device | Refusal:
        """The operator as a `Device` with a negative key, or why not."""
        del peer
        text = token.decode("utf-8", "replace")
        async with self._store.connection() as connection:
            found = await accounts.by_token(connection, text, "bearer")
        if found is None or found[0].name != user:
            return Refusal(4, "unknown user name or wrong token")
        account = found[0]
        if account.role not in RIGHTS["events.read"] or account.role == "worker":
            return Refusal(5, "this role sees no events by MQTT")
        known = self._known.setdefault(-account.id, _Known(account.division))
        known.division = account.division
        known.tokens.add(token_sha256(text))
        return Device(account.name, -account.id, "operator")

    def may_see(self, device: Device, division: str) -> bool:
        """Whether an event of this division or grid lies in the operator's scope."""
        known = self._known.get(device.key)
        return known is not None and division.startswith(known.division)

    async def watch(self, close: Callable[[int], object]) -> None:
        """Closes, for ever, the connections of those whose account or a shown token ended; others come again."""
        while True:
            await asyncio.sleep(LOOK_AGAIN_S)
            if not self._known:
                continue
            try:
                over = await self._over()
            except StoreUnavailable:
                continue
            for key in over:
                del self._known[key]
                close(key)

    async def _over(self) -> list[int]:
        """Keys of those who were shown a token that is not valid any more. Index: primary key of operator_tokens."""
        shown = {key: frozenset(known.tokens) for key, known in self._known.items()}
        async with self._store.connection() as connection:
            valid = await accounts.valid_bearers(connection, [token for tokens in shown.values() for token in tokens])
        return [key for key, tokens in shown.items() if not tokens <= valid]
