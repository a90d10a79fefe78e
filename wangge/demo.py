"""`wangge up --demo`: a small city that is made once, simulated devices in a child process, and a past loaded behind.

The child speaks real MQTT and HTTP with real tokens; nothing here knows what it sends. It ends when we do: it holds the
read end of a pipe whose write end is ours alone.
"""

import asyncio
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from astral import Observer
from astral.sun import elevation

from core.errors import WanggeError
from core.supervise import Part, Run
from devices.demo_city import demo_city
from devices.manifest import manifest
from store.embedded.instance import write_private
from store.pool import Store
from wangge.demo_devices import CAMERAS
from wangge.demo_events import show_first

if TYPE_CHECKING:
    from wangge.service import Service

log = structlog.get_logger()

GRIDS = 30
MANIFEST_NAME = "demo-devices.json"
TRUTH_NAME = "demo-truth.ndjson"
CAMERA_TRUTH_NAME = "demo-camera-truth.ndjson"
LIGHT_EVERY_S = 60.0
HISTORY_KEY = "demo_history"
ENDS_WITHIN_S = 3.0


class DemoEnded(WanggeError):
    """The child process of the demo ended by itself."""

    kind = "demo_ended"


class Demo:
    """The demo of one service."""

    def __init__(self, service: "Service", data: Path, rtsp_port: int) -> None:
        """rtsp_port: where the simulated cameras listen."""
        self._service, self._data, self._rtsp_port = service, data, rtsp_port
        self._devices_known = asyncio.Event()
        self._began = datetime.now(UTC)

    async def make_city(self, store: Store) -> None:
        """30 grids with workers on duty round the clock, 30 handsets, 20 terminals; made once."""
        await self._make_city(store, cameras=0)

    async def _make_city(self, store: Store, cameras: int) -> None:
        settings = self._service.plan.settings
        async with store.transaction(timeout_s=120) as connection:
            now = datetime.now(UTC)
            await demo_city(
                connection,
                GRIDS,
                now=now,
                zone=settings.site.zone,
                on_duty_now=True,
                cameras=cameras,
                camera_port=self._rtsp_port,
            )

    @property
    def rtsp(self) -> str:
        """Where its cameras are."""
        return f"127.0.0.1:{self._rtsp_port}"

    def parts(self) -> dict[str, Run]:
        """What to run beside the service, none of it needed for readiness."""
        found: dict[str, Run] = {
            "demo.devices": self._simulate,
            "demo.history": self._load_history,
            "demo.events": self._show_events,
        }
        if "streams" in self._service.plan.roles and self._service.plan.settings.streams.workers:
            found["demo.cameras"] = self._film
        return found

    async def _film(self, part: Part) -> None:
        """Cameras that show day or night as it is in the city; begun anew when that changes."""
        while True:
            light = self._light()
            async with asyncio.TaskGroup() as group:
                child = group.create_task(
                    self._child(part, "cameras", str(self._rtsp_port), light, str(self._data / CAMERA_TRUTH_NAME))
                )
                await self._until_they_answer(child)
                await self._make_city(self._service.store, CAMERAS)  # before, they would be lost at once
                while not child.done() and self._light() == light:
                    await asyncio.wait([child], timeout=LIGHT_EVERY_S)
                if child.done():
                    raise DemoEnded("The simulated cameras ended; they are started again.")
                child.cancel()

    async def _until_they_answer(self, child: asyncio.Task[int]) -> None:
        """Their loops are encoded first, once a machine: some seconds to a minute."""
        while not child.done():
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", self._rtsp_port)
            except OSError:
                await asyncio.sleep(0.5)
            else:
                writer.close()
                return

    def _light(self) -> str:
        quality = self._service.plan.settings.streams.quality
        here = Observer(quality.latitude, quality.longitude)
        return "day" if elevation(here, datetime.now(UTC)) > 0 else "night"

    async def _show_events(self, part: Part) -> None:
        zone, pages = self._service.plan.settings.site.zone, self._service.addresses()["http"]
        await show_first(part, self._service.store, zone, self._began, pages)

    async def _simulate(self, part: Part) -> None:
        """Devices that live until we stop."""
        file = await self._write_manifest()
        mqtt = self._service.addresses().get("mqtt")
        if mqtt is None:
            part.degraded("there is no MQTT listener for simulated devices")
            return
        await self._child(part, "devices", str(file), f"mqtt://{mqtt}", str(self._data / TRUTH_NAME))
        raise DemoEnded("The simulated devices ended; they are started again.")

    async def _load_history(self, part: Part) -> None:
        """Eight weeks of transactions and two hours of tracks, sent once; a repetition after a cut doubles nothing."""
        end_ms = await self._history_end()
        if end_ms is None:
            return
        await self._devices_known.wait()
        url = self._service.addresses()["http"]
        status = await self._child(part, "history", str(self._data / MANIFEST_NAME), url, str(end_ms))
        if status != 0:
            raise DemoEnded("The demo's past was not loaded to its end; it is tried again.")
        async with self._service.store.connection() as connection:
            await connection.execute("UPDATE meta SET value = 'loaded' WHERE name = %s", [HISTORY_KEY])

    async def _history_end(self) -> int | None:
        """Where the past ends, fixed at the first start so that a repetition is the same; None: it is loaded."""
        now_ms = self._service.clock.now_ms()
        async with self._service.store.connection() as connection:
            await connection.execute(
                "INSERT INTO meta (name, value) VALUES (%s, %s) ON CONFLICT (name) DO NOTHING",
                [HISTORY_KEY, str(now_ms)],
            )
            row = await (await connection.execute("SELECT value FROM meta WHERE name = %s", [HISTORY_KEY])).fetchone()
        return None if row is None or row[0] == "loaded" else int(row[0])

    async def _write_manifest(self) -> Path:
        """Who the devices are, with new tokens; once a service, so that a restarted child keeps the same."""
        if self._devices_known.is_set():
            return self._data / MANIFEST_NAME
        zone = self._service.plan.settings.site.zone
        async with self._service.store.transaction() as connection:
            document = await manifest(connection, handsets=None, terminals=None, now=datetime.now(UTC), zone=zone)
        await asyncio.to_thread(write_private, self._data / MANIFEST_NAME, json.dumps(document))
        self._devices_known.set()
        return self._data / MANIFEST_NAME

    async def _child(self, part: Part, *arguments: str) -> int:
        """Runs the child until it ends, or until we are cancelled: then it sees the end of its stdin."""
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "wangge.demo_devices", *arguments, stdin=asyncio.subprocess.PIPE
        )
        part.ready()
        try:
            return await child.wait()
        finally:
            if child.returncode is None:
                assert child.stdin is not None
                child.stdin.close()
                try:
                    async with asyncio.timeout(ENDS_WITHIN_S):
                        await child.wait()
                except TimeoutError:
                    child.kill()
