"""UDP ports of a worker: one of a range each, and checks that are answered only with the right password."""

import asyncio
import socket

import pytest
from aioice import stun

from core.errors import ConfigurationError
from streams.live.ice import Peer, Ports, host_addresses


def free_pair() -> int:
    """The first of two neighbouring UDP ports that are free now."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one, socket.socket(type=socket.SOCK_DGRAM) as two:
            one.bind(("127.0.0.1", 0))
            first: int = one.getsockname()[1]
            try:
                two.bind(("127.0.0.1", first + 1))
            except OSError:
                continue
            return first


async def test_workers_share_a_range() -> None:
    first = free_pair()
    workers = [Ports(["127.0.0.1"], ["203.0.113.9"], (first, first + 1)) for _ in range(3)]
    with workers[0].opened(), workers[1].opened():
        assert workers[0].candidates == [("203.0.113.9", first), ("127.0.0.1", first)]
        assert workers[1].candidates[1] == ("127.0.0.1", first + 1)
        with pytest.raises(ConfigurationError, match="ice_ports"), workers[2].opened():
            pass
    with workers[2].opened():
        assert workers[2].candidates[1][1] == first


async def test_foreign_address_is_named() -> None:
    with pytest.raises(ConfigurationError, match="ice_addresses"), Ports(["203.0.113.9"], [], (0, 0)).opened():
        pass


async def test_loopback_is_the_last_candidate() -> None:
    ports = Ports([], [], (0, 0))
    with ports.opened():
        assert "127.0.0.1" in host_addresses()
        assert ports.candidates[-1][0] in ("127.0.0.1", "::1")


@pytest.mark.parametrize(
    ("name", "password", "extra", "answer"),
    [
        ("right", "right", {"USE-CANDIDATE": None}, stun.Class.RESPONSE),
        ("right", "right", {"ICE-CONTROLLED": 1}, stun.Class.ERROR),
        ("right", "wrong", {"USE-CANDIDATE": None}, None),
        ("wrong", "right", {"USE-CANDIDATE": None}, None),
    ],
)
async def test_checks(name: str, password: str, extra: dict[str, object], answer: stun.Class | None) -> None:
    ports = Ports(["127.0.0.1"], [], (0, 0))
    got = list[bytes]()
    peer = Peer(got.append)
    with ports.opened(), socket.socket(type=socket.SOCK_DGRAM) as browser:
        browser.setblocking(False)
        browser.connect(ports.candidates[0])
        ports.add(peer)
        request = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
        request.attributes = {"USERNAME": f"{peer.ufrag if name == 'right' else 'x'}:y", "PRIORITY": 5, **extra}
        request.add_message_integrity((peer.password if password == "right" else "x" * 22).encode())
        loop = asyncio.get_running_loop()
        browser.send(bytes(request))
        browser.send(b"\x16before it is known")
        if answer is None:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(loop.sock_recv(browser, 2000), 0.1)
            assert (peer.selected.is_set(), peer.send(b"x"), got) == (False, False, [])
            return
        reply = stun.parse_message(await asyncio.wait_for(loop.sock_recv(browser, 2000), 5))
        assert reply.message_class == answer
        assert reply.check_message_integrity(peer.password.encode())
        assert peer.selected.is_set() == (answer == stun.Class.RESPONSE)
        assert bool(got) == (answer == stun.Class.RESPONSE)
        ports.remove(peer)
        ports.remove(peer)
        assert (ports.peers, len(ports._known)) == (0, 0)
