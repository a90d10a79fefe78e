"""ICE-lite (RFC 8445, 2.5 and 7.3): a few UDP sockets a worker that all viewers share; browsers do the checking.

A viewer is known by the user fragment that it was given, then by the address from which it nominated itself. Nothing
is gathered, asked or kept alive by us, so a viewer costs no task and no socket of its own.
"""

import asyncio
import errno
import secrets
import socket
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from time import monotonic

import ifaddr
from aioice import stun

from core.errors import ConfigurationError

Address = tuple[str, int]
_MOST_A_TURN = 64
"""Datagrams taken from a socket before others get their turn."""
_SEND_BUFFER = 4 << 20
_PATH_SILENT_S = 6.0
"""Browsers check a path that they use every 2.5 s."""
_MOST_PATHS = 32
"""Addresses from which one viewer may try."""


class Peer:
    """One viewer's path. received: called with every datagram that is not STUN, once the path is nominated.

    heard_s: monotonic time of the last datagram that was surely this viewer's.
    """

    def __init__(self, received: Callable[[bytes], None]) -> None:
        self.ufrag = secrets.token_hex(8)
        self.password = secrets.token_hex(16)
        self.received = received
        self.selected = asyncio.Event()
        self.heard_s = monotonic()
        self.paths = 0
        self._socket: socket.socket | None = None
        self._address: tuple[object, ...] = ()
        self._rank, self._path_heard_s = -1, 0.0

    def select(self, through: socket.socket, address: tuple[object, ...], rank: int) -> None:
        """The viewer nominated this path. Browsers nominate every path that works: the best one is taken, and another
        when that is silent (the viewer is in another network now). rank: the browser's priority of it."""
        now_s = monotonic()
        is_same = self._socket is through and self._address == address
        if is_same or rank > self._rank or now_s - self._path_heard_s > _PATH_SILENT_S:
            self._socket, self._address, self._rank, self._path_heard_s = through, address, rank, now_s
        self.selected.set()

    def send(self, datagram: bytes) -> bool:
        """False when the system has no room (the datagram is lost, as any may be) or no path exists."""
        if self._socket is None:
            return False
        try:
            self._socket.sendto(datagram, self._address)
        except OSError:
            return False
        return True


class Ports:
    """The sockets of a worker. addresses: on which to listen, empty: all of the machine's. ports: first and last."""

    def __init__(self, addresses: Sequence[str], announced: Sequence[str], ports: tuple[int, int]) -> None:
        self._addresses = list(addresses) or host_addresses()
        self._announced = announced
        self._ports = ports
        self._sockets: list[socket.socket] = []
        self._waiting: dict[str, Peer] = {}
        self._known: dict[tuple[int, object], Peer] = {}

    @property
    def candidates(self) -> list[Address]:
        """Where browsers may try, the likeliest first: announced, own, this machine's loopback."""
        own = [(str(s.getsockname()[0]), int(s.getsockname()[1])) for s in self._sockets]
        far = [(address, own[0][1]) for address in self._announced if own]
        return far + sorted(own, key=lambda place: place[0] in ("127.0.0.1", "::1"))

    @property
    def peers(self) -> int:
        """Viewers known to the sockets."""
        return len(self._waiting)

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Listens inside the block, on the running loop. Raises ConfigurationError when no port is free."""
        loop = asyncio.get_running_loop()
        self._sockets = self._bound()
        for sock in self._sockets:
            loop.add_reader(sock, self._readable, sock)
        try:
            yield
        finally:
            for sock in self._sockets:
                loop.remove_reader(sock)
                sock.close()
            self._sockets = []

    def add(self, peer: Peer) -> None:
        """From now on the viewer may come."""
        self._waiting[peer.ufrag] = peer

    def remove(self, peer: Peer) -> None:
        """Forgets a viewer; twice is harmless."""
        self._waiting.pop(peer.ufrag, None)
        for key in [key for key, known in self._known.items() if known is peer]:
            del self._known[key]

    def _bound(self) -> list[socket.socket]:
        first, last = self._ports
        for port in range(first, max(first, last) + 1):
            made = list[socket.socket]()
            try:
                for address in self._addresses:
                    made += _listening(address, port)
            except OSError:
                for sock in made:
                    sock.close()
                continue
            if made:
                return made
        raise ConfigurationError(
            f"No UDP port from {first} to {last} is free on {', '.join(self._addresses)}: see streams.live.ice_ports "
            "and ice_addresses."
        )

    def _readable(self, sock: socket.socket) -> None:
        for _ in range(_MOST_A_TURN):
            try:
                data, address = sock.recvfrom(2048)
            except OSError:
                return
            if not data:
                continue
            if data[0] < 4:
                self._checked(sock, data, address)
                continue
            peer = self._known.get((sock.fileno(), address))
            if peer is not None:
                peer.received(data)

    def _checked(self, sock: socket.socket, data: bytes, address: tuple[object, ...]) -> None:
        """A connectivity check (RFC 8445, 7.3): answered when it carries the password that the answer gave."""
        try:
            request = stun.parse_message(data)
        except (ValueError, struct.error):
            return
        if request.message_method != stun.Method.BINDING or request.message_class != stun.Class.REQUEST:
            return
        name = request.attributes.get("USERNAME", "").partition(":")[0]
        peer = self._waiting.get(name)
        if peer is None or not request.check_message_integrity(peer.password.encode()):
            return
        reply = stun.Message(request.message_method, stun.Class.RESPONSE, request.transaction_id)
        if "ICE-CONTROLLED" in request.attributes:
            reply.message_class = stun.Class.ERROR
            reply.attributes["ERROR-CODE"] = (487, "Role Conflict")
        else:
            reply.attributes["XOR-MAPPED-ADDRESS"] = (str(address[0]), address[1])
            peer.heard_s = monotonic()
            if peer.paths < _MOST_PATHS and (sock.fileno(), address) not in self._known:
                self._known[sock.fileno(), address] = peer
                peer.paths += 1
            if "USE-CANDIDATE" in request.attributes:
                peer.select(sock, address, int(request.attributes.get("PRIORITY", 0)))
        reply.add_message_integrity(peer.password.encode())
        try:
            sock.sendto(bytes(reply), address)
        except OSError:
            return


def _listening(address: str, port: int) -> list[socket.socket]:
    """One socket, or none where the address is not this machine's just now. Raises OSError for a port that is taken."""
    sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        sock.bind((address, port))
    except OSError as error:
        sock.close()
        if error.errno in (errno.EADDRINUSE, errno.EACCES):
            raise
        return []
    return [sock]


def host_addresses() -> list[str]:
    """Addresses of this machine, loopback among them, link-local ones left out (they need a scope)."""
    found = list[str]()
    for adapter in ifaddr.get_adapters():
        for each in adapter.ips:
            address = each.ip if isinstance(each.ip, str) else each.ip[0]
            if not address.lower().startswith(("fe80:", "169.254.")):
                found.append(address)
    return found
