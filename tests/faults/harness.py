"""The real service in processes of their own for fault tests: fixed ports, SIGKILL, SIGSTOP, and what its store holds.

Ports lie outside the range from which the system takes ports of outgoing connections: while the service is down, a
client's own connection must not take (or connect to) the port that the next life needs.
"""

import asyncio
import contextlib
import json
import os
import random
import secrets
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import psutil
import psycopg

from core.ids import new_token, token_sha256

ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("WANGGE_")}
READY_WITHIN_S = 60.0
ENDS_WITHIN_S = 20.0
PORTS = range(20_000, 32_000)
NO_BUDGET = {"WANGGE_ALERTS__BUDGET__ENABLED": "false"}


def free_port() -> int:
    """A port that nobody listens on and no outgoing connection will be given."""
    dice = random.SystemRandom()
    while True:
        port = dice.choice(PORTS)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port


async def until(condition: Callable[[], Any], seconds: float, what: str) -> Any:
    """The first true value of `condition` (plain or async), asked again and again; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if isinstance(value, Awaitable):
            value = await value
        if value:
            return value
        assert time.monotonic() < deadline, f"{what} did not come within {seconds} s"
        await asyncio.sleep(0.05)


class Device(NamedTuple):
    """A registered device with its token. kind: handset or terminal."""

    id: str
    token: str
    kind: str

    @property
    def credential(self) -> tuple[str, str]:
        return self.id, self.token

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


class Process:
    """One `wangge` process that serves HTTP and MQTT on fixed ports; may be started again after it has ended."""

    def __init__(self, folder: Path, *options: str, trust: ssl.SSLContext | None = None, **environment: str) -> None:
        """folder: where its output goes. trust: for a service that speaks TLS."""
        self.http_port, self.mqtt_port = free_port(), free_port()
        self.http = f"{'https' if trust else 'http'}://127.0.0.1:{self.http_port}"
        self.trust: ssl.SSLContext | bool = trust or True
        self.log = folder / f"{self.http_port}.log"
        self.process: subprocess.Popen[bytes] | None = None
        self._command = [sys.executable, "-m", "wangge", *options, "--port", str(self.http_port)]
        ports = {"WANGGE_INGEST__MQTT__PORT": str(self.mqtt_port)}
        self._environment = ENVIRONMENT | NO_BUDGET | ports | environment

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def said(self) -> str:
        """What it wrote last."""
        return self.log.read_text(errors="replace")[-6000:] if self.log.exists() else ""

    @property
    def resident_bytes(self) -> int:
        """Memory of the service itself."""
        return int(psutil.Process(self.pid).memory_info().rss)

    def start(self) -> None:
        """Starts it; `ready` waits."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self._command, stdout=log, stderr=log, env=self._environment)

    async def ready(self, seconds: float = READY_WITHIN_S) -> None:
        """Waits for /readyz 200."""
        await until(self.is_ready, seconds, f"readiness of {self._command[3:]} ({self.said})")

    async def is_ready(self) -> bool:
        """Whether /readyz is 200 now. Fails when the process has ended."""
        return (await self.readiness())[0] == 200

    async def readiness(self) -> tuple[int, dict[str, Any]]:
        """Status and body of /readyz; status 0 while nobody answers. Fails when the process has ended."""
        self.check_alive()
        try:
            async with httpx.AsyncClient(trust_env=False, timeout=5, verify=self.trust) as client:
                answer = await client.get(f"{self.http}/readyz")
        except httpx.TransportError:
            return 0, {}
        return answer.status_code, answer.json()

    def check_alive(self) -> None:
        """Fails when the process has ended by itself."""
        assert self.process is not None
        assert self.process.poll() is None, self.said

    def kill(self) -> None:
        """SIGKILL, as a crash."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    async def stop(self) -> int | None:
        """SIGTERM and wait, SIGKILL when that takes too long; the exit status, None when it was not running."""
        if self.process is None or self.process.poll() is not None:
            return None
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        try:
            return await asyncio.to_thread(self.process.wait, ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """SIGSTOP for the block."""
        os.kill(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)


class Up(Process):
    """`wangge up` with its embedded PostgreSQL."""

    def __init__(self, data: Path, trust: ssl.SSLContext | None = None, **environment: str) -> None:
        super().__init__(data.parent, "up", "--data", str(data), trust=trust, **environment)
        self.data = data

    async def is_ready(self) -> bool:
        """Ready, and run.json is of this life."""
        return await super().is_ready() and self._run["pid"] == self.pid

    @property
    def _run(self) -> dict[str, Any]:
        run: dict[str, Any] = json.loads((self.data / "run.json").read_text())
        return run

    @property
    def dsn(self) -> str:
        """The DSN of this life's PostgreSQL."""
        return Path(self._run["dsn_file"]).read_text().strip()

    @property
    def postmaster(self) -> psutil.Process:
        """PostgreSQL's first process."""
        pid_file = Path(self._run["store_dir"]) / "postgres" / "postmaster.pid"
        return psutil.Process(int(pid_file.read_text().splitlines()[0]))

    @contextlib.contextmanager
    def store_stopped(self) -> Iterator[None]:
        """SIGSTOP of PostgreSQL, all of its processes, for the block."""
        postmaster = self.postmaster
        postmaster.suspend()  # first: it starts no others
        others = postmaster.children(recursive=True)
        for one in others:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.suspend()
        try:
            yield
        finally:
            for one in [*others, postmaster]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    one.resume()


class Serve(Process):
    """`wangge serve` on a given store."""

    def __init__(self, folder: Path, dsn: str, roles: str, **environment: str) -> None:
        super().__init__(folder, "serve", "--roles", roles, WANGGE_STORE__DSN=dsn, **environment)


@asynccontextmanager
async def running(*services: Process) -> AsyncIterator[None]:
    """Starts them, waits until they are ready, ends them after the block."""
    try:
        for one in services:
            one.start()
        for one in services:
            await one.ready()
        yield
    except BaseException:
        for one in services:
            print(one.said)
        raise
    finally:
        for one in services:
            await one.stop()


def add_devices(dsn: str, handsets: int = 0, terminals: int = 0) -> list[Device]:
    """Registers devices with credentials, without workers and sites. A running service knows them a moment later."""
    run = secrets.token_hex(3)
    made = [Device(f"h-{run}-{n:05d}", new_token(), "handset") for n in range(handsets)]
    made += [Device(f"t-{run}-{n:05d}", new_token(), "terminal") for n in range(terminals)]
    with psycopg.connect(dsn) as connection, connection.cursor() as cursor:
        cursor.executemany("INSERT INTO devices (id, kind) VALUES (%s, %s)", [(one.id, one.kind) for one in made])
        cursor.executemany(
            "INSERT INTO credentials (device, token_sha256) SELECT key, %s FROM devices WHERE id = %s",
            [(token_sha256(one.token), one.id) for one in made],
        )
    return made


async def known(service: Process, devices: list[Device]) -> None:
    """Waits until the service takes the credential of the last of these devices."""
    last = devices[-1]
    path = "/v1/fixes" if last.kind == "handset" else "/v1/pos"
    async with httpx.AsyncClient(
        trust_env=False, base_url=service.http, headers=last.headers, verify=service.trust
    ) as client:

        async def is_known() -> bool:
            return (await client.post(path, content=b"[]")).status_code == 200

        await until(is_known, 10, "the new devices in the registry")


def rows(dsn: str, query: str, *values: object) -> list[tuple[Any, ...]]:
    """The rows of a query."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        return connection.execute(query, values).fetchall()  # type: ignore[arg-type]


def status(data: Path) -> dict[str, Any]:
    """`wangge status --json`."""
    done = subprocess.run(
        [sys.executable, "-m", "wangge", "status", "--json", "--data", str(data)],
        capture_output=True,
        text=True,
        timeout=60,
        env=ENVIRONMENT,
    )
    assert done.stdout, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found
