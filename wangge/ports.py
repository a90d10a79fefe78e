"""Which ports the service listens on, taken before anything starts, so that a busy one is named at once."""

import errno
import socket
from dataclasses import dataclass

from core.errors import ConfigurationError, WanggeError
from devices.demo_plan import CAMERA_PORT
from wangge.configuration import was_set
from wangge.settings import Settings

BACKLOG = 4096


class PortTaken(WanggeError):
    """A port that was asked for is held by another program (exit status 1)."""

    kind = "port_busy"


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports that are wanted; 0: the system chooses."""

    http: int
    mqtt: int


def wanted(settings: Settings, option: int | None) -> Ports:
    """`--port N` is the HTTP port; `--port 0` lets the system choose every port that the configuration does not set."""
    http, mqtt = settings.http.port, settings.ingest.mqtt.port
    if option == 0:
        http = http if was_set(settings, "http", "port") else 0
        mqtt = mqtt if was_set(settings, "ingest", "mqtt", "port") else 0
    elif option is not None:
        http = option
    return Ports(http, mqtt)


def listening(host: str, port: int, key: str) -> socket.socket:
    """A listening socket. Raises PortTaken naming the port, ConfigurationError for an address that is not ours."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    taken = socket.socket(family, socket.SOCK_STREAM)
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        taken.bind((host, port))
        taken.listen(BACKLOG)
    except OSError as error:
        taken.close()
        raise refusal(host, port, key, error) from error
    taken.setblocking(False)
    return taken


def check_free(host: str, port: int, key: str) -> None:
    """Raises PortTaken when somebody listens there; nothing is held afterwards."""
    if port:
        listening(host, port, key).close()


def refusal(host: str, port: int, key: str, error: OSError) -> WanggeError:
    """The error for a port or address that cannot be had."""
    if error.errno == errno.EADDRINUSE:
        return PortTaken(f"Port {port} on {host} is busy; stop the program that holds it or set {key} to another.")
    if error.errno == errno.EACCES:
        return PortTaken(f"Port {port} needs more rights than we have; set {key} to one above 1023.")
    if error.errno in (errno.EADDRNOTAVAIL, errno.ENODEV) or isinstance(error, socket.gaierror):
        section = key.rpartition(".")[0]
        return ConfigurationError(f"{section}.host: {host} is no address of this machine.")
    return PortTaken(f"Port {port} on {host} cannot be used: {error.strerror}.")


def port_of(taken: socket.socket) -> int:
    """The port really chosen."""
    return int(taken.getsockname()[1])


def for_cameras(option: int | None) -> int:
    """The port of the demo's simulated cameras: the usual one, another where it is busy or `--port 0` asks for it."""
    for port in (CAMERA_PORT, 0) if option != 0 else (0,):
        try:
            taken = listening("127.0.0.1", port, "demo")
        except PortTaken:
            continue
        with taken:
            return port_of(taken)
    raise PortTaken("There is no free port for simulated cameras.")
