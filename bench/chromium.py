"""A real Chromium without a window, driven by the DevTools protocol: for pictures in a browser as they really are."""

import asyncio
import contextlib
import json
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect

from core.errors import WanggeError

QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
    "--remote-debugging-port=0",
)
_START_S = 30.0


class Page:
    """One tab. `run` evaluates JavaScript (an expression, may be a promise) and gives its JSON value."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._number = 0

    async def run(self, script: str, most_s: float = 30.0) -> Any:
        """Raises WanggeError with the browser's words when the script throws."""
        answer = await self.call(
            "Runtime.evaluate", {"expression": script, "awaitPromise": True, "returnByValue": True}, most_s
        )
        if "exceptionDetails" in answer:
            raise WanggeError(f"Chromium: {json.dumps(answer['exceptionDetails'])[:2000]}")
        return answer["result"].get("value")

    async def loaded(self) -> None:
        """Until the document is there with its scripts; `run` before that would speak to an empty page."""
        async with asyncio.timeout(_START_S):
            while True:
                if await self.run("location.href !== 'about:blank' && document.readyState === 'complete'"):
                    return
                await asyncio.sleep(0.02)

    async def call(self, method: str, parameters: dict[str, object], most_s: float = 30.0) -> dict[str, Any]:
        """One DevTools command."""
        self._number += 1
        async with asyncio.timeout(most_s):
            await self._socket.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
            while True:
                message = json.loads(await self._socket.recv())
                if message.get("id") == self._number:
                    result: dict[str, Any] = message.get("result", {})
                    return result


class Chromium:
    """A running browser. pid: of its first process."""

    def __init__(self, pid: int, port: int) -> None:
        self.pid, self._port = pid, port

    @asynccontextmanager
    async def page(self, url: str) -> AsyncIterator[Page]:
        """A new tab at `url`, closed after the block without a word to the page."""
        async with httpx.AsyncClient(trust_env=False) as client:
            base = f"http://127.0.0.1:{self._port}/json"
            target = (await client.put(f"{base}/new?{url}")).json()
            try:
                async with connect(target["webSocketDebuggerUrl"], max_size=None, proxy=None) as socket:
                    page = Page(socket)
                    await page.loaded()
                    yield page
            finally:
                with contextlib.suppress(httpx.TransportError):  # killed meanwhile, as a test does on purpose
                    await client.get(f"{base}/close/{target['id']}")


@asynccontextmanager
async def chromium(*flags: str) -> AsyncIterator[Chromium]:
    """Starts a browser with a profile of its own, and ends it. Raises WanggeError when there is none."""
    program = shutil.which("chromium")
    if program is None:
        raise WanggeError("Chromium is missing: install the Debian package chromium.")
    folder = Path(tempfile.mkdtemp(prefix="wangge-chromium-"))
    process = await asyncio.create_subprocess_exec(
        program,
        *QUIET,
        *flags,
        f"--user-data-dir={folder}",
        "about:blank",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield Chromium(process.pid, await _port(folder / "DevToolsActivePort"))
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await asyncio.to_thread(_removed, folder)


async def _port(file: Path) -> int:
    async with asyncio.timeout(_START_S):
        while True:
            port = await asyncio.to_thread(_written, file)
            if port is not None:
                return port
            await asyncio.sleep(0.05)


def _written(file: Path) -> int | None:
    lines = file.read_text().splitlines() if file.is_file() else []
    return int(lines[0]) if len(lines) >= 2 else None


def _removed(folder: Path) -> None:
    """Children of the browser may write for a moment longer."""
    for _ in range(20):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
