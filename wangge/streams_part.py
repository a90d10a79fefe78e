"""The role `streams` in the service: starts the camera workers, watches them, starts again what ended.

A worker is a process of its own (`wangge.camera_process`): libav and OpenCV may take one down, never the service. It
gets its plan on stdin and ends when that pipe does; on stdout it says how it is, a JSON line a change.
"""

import asyncio
import json
import sys
from collections.abc import Mapping

import structlog

from core.errors import WanggeError
from core.health import STARTING
from core.supervise import Part, RestartPolicy, Run

log = structlog.get_logger()

ENDS_WITHIN_S = 8.0
STARTS_WITHIN_S = 60.0
HANGS_S = 30.0
"""A worker says every few seconds how it is; one whose event loop hangs holds its cameras' leases for nothing."""
MOST_LINE = 1 << 20
AGAIN = RestartPolicy(most_s=5.0)
"""While no worker runs nothing is recorded: however often one ended, the next is not kept waiting for long."""


class WorkerEnded(WanggeError):
    """A camera worker ended by itself."""

    kind = "worker_ended"


def worker_parts(count: int, plan: Mapping[str, object]) -> dict[str, Run]:
    """One part a worker; nobody needs them for readiness. plan: what `wangge.camera_process` reads."""

    def run_of(number: int) -> Run:
        async def run(part: Part) -> None:
            await _keep(part, {**plan, "number": number})

        return run

    return {f"streams.worker.{number}": run_of(number) for number in range(1, count + 1)}


async def _keep(part: Part, plan: Mapping[str, object]) -> None:
    """Runs one worker until it ends (WorkerEnded) or we are cancelled."""
    part.degraded(STARTING)
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "wangge.camera_process",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=MOST_LINE,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        child.stdin.write(json.dumps(plan).encode() + b"\n")
        await child.stdin.drain()
        async with asyncio.timeout(STARTS_WITHIN_S) as patience:
            async for line in child.stdout:
                _show(part, line)
                patience.reschedule(asyncio.get_running_loop().time() + HANGS_S)
        status = await child.wait()
        raise WorkerEnded(f"The camera worker ended with status {status}; it is started again.")
    except TimeoutError as error:
        child.kill()
        raise WorkerEnded(f"The camera worker said nothing for {HANGS_S:g} s; it is started again.") from error
    except (BrokenPipeError, ConnectionResetError) as error:
        raise WorkerEnded("The camera worker ended at its start; it is started again.") from error
    finally:
        await _end(child)


def _show(part: Part, line: bytes) -> None:
    try:
        said = json.loads(line)
        state, why = said["state"], str(said["why"])
    except (ValueError, KeyError, TypeError):
        log.warning("streams.worker_said_nonsense", line=line[:200].decode(errors="replace"))
        return
    if state == "ok":
        part.ready()
    else:
        part.degraded(why)


async def _end(child: asyncio.subprocess.Process) -> None:
    """Closes its stdin and waits; a worker that does not end is killed (its footage is whole to the last second)."""
    if child.returncode is not None:
        return
    assert child.stdin is not None
    child.stdin.close()
    try:
        async with asyncio.timeout(ENDS_WITHIN_S):
            await child.wait()
    except TimeoutError:
        log.warning("streams.worker_killed", pid=child.pid)
        child.kill()
        await child.wait()
