"""Live view of one 720p15 camera in a process of its own, for `bench.live`: prints its address, ends with its stdin."""

import asyncio
import sys

import uvloop

from bench.live_port import live_port
from bench.live_source import Player, film
from streams.hub import Hub


async def _main() -> None:
    hub = Hub()
    with Player(hub, film("h264", (1280, 720), 15, seconds=4, gop_s=2, bits_per_s=2_000_000)):
        async with live_port({("c", "main"): hub}) as (_, url):
            sys.stdout.write(f"{url}\n")
            sys.stdout.flush()
            await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    uvloop.run(_main())
