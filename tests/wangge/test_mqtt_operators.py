"""Operators by MQTT: who is let in, what they may see, and that a connection does not outlive its account or token."""

import asyncio
import contextlib

import pytest

from console import accounts
from console.rights import Operator
from ingest.mqtt import Device, Refusal
from store.pool import Store
from wangge import mqtt_operators
from wangge.mqtt_operators import MqttOperators

LOCAL = Operator("local", "administrator")


async def made(store: Store, name: str, role: str = "dispatcher", division: str = "431102") -> str:
    async with store.transaction() as connection:
        await accounts.add(connection, LOCAL, name, role, division=division)
        return await accounts.new_bearer(connection, LOCAL, name)


async def test_who_is_let_in(store: Store) -> None:
    token, auditor = await made(store, "zhang"), await made(store, "li", "auditor", "")
    operators = MqttOperators(store)
    assert isinstance(await operators("li", token.encode(), "peer"), Refusal)
    assert isinstance(await operators("zhang", b"wrong\xff\x00", "peer"), Refusal)
    zhang, li = await operators("zhang", token.encode(), "peer"), await operators("li", auditor.encode(), "peer")
    assert isinstance(zhang, Device)
    assert isinstance(li, Device)
    assert operators.may_see(zhang, "431102001001001")
    assert not operators.may_see(zhang, "431103001001001")
    assert operators.may_see(li, "431103001001001")


@pytest.mark.parametrize("how", ["disabled", "token"])
async def test_a_connection_ends_with_account_and_token(
    store: Store, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(mqtt_operators, "LOOK_AGAIN_S", 0.05)
    token, other = await made(store, "zhang"), await made(store, "li")
    operators = MqttOperators(store)
    zhang, li = await operators("zhang", token.encode(), "peer"), await operators("li", other.encode(), "peer")
    assert isinstance(zhang, Device)
    assert isinstance(li, Device)
    closed: list[int] = []
    async with asyncio.TaskGroup() as group:
        watching = group.create_task(operators.watch(closed.append))
        await asyncio.sleep(0.3)
        assert closed == []
        async with store.transaction() as connection:
            if how == "disabled":
                await accounts.disable(connection, LOCAL, "zhang")
            else:
                await accounts.new_bearer(connection, LOCAL, "zhang", revoke_others=True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.6):
                await watching
        watching.cancel()
    assert closed == [zhang.key]
    assert not operators.may_see(zhang, "431102001001001")
    assert operators.may_see(li, "431102001001001")
