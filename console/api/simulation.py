"""What simulated devices need to be: ids, fresh tokens, grids, shifts. For the simulators' command line only."""

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from console.caller import needs
from console.context import console_of
from console.rights import Operator
from core.errors import InvalidInput, NotAllowed
from devices.manifest import manifest
from store.audit import Entry, record
from store.pool import Connection

router = APIRouter(prefix="/simulation", tags=["simulation"])

PROFILED_TRANSACTIONS = 200


class Wanted(BaseModel):
    """How many of each kind. Their present tokens stop working: each gets a new one."""

    handsets: int = Field(0, ge=0, le=20_000)
    terminals: int = Field(0, ge=0, le=20_000)


class Manifest(BaseModel):
    """The document that `python -m simulators` reads."""

    handsets: list[dict[str, Any]]
    terminals: list[dict[str, Any]]


@router.post("/manifest", status_code=201)
async def make_manifest(
    request: Request, caller: Annotated[Operator, needs("simulation.manifest")], body: Wanted
) -> Manifest:
    """Picks simulated devices, idle ones first, gives each a new token, and says where it belongs."""
    if caller.division:
        raise NotAllowed("Only an administrator of the whole city makes a manifest: it takes any device.")
    console = console_of(request)
    async with console.store.transaction() as connection:
        document: Any = await manifest(
            connection, handsets=body.handsets, terminals=body.terminals, now=datetime.now(UTC), zone=console.zone
        )
        for kind, wanted in (("handsets", body.handsets), ("terminals", body.terminals)):
            if (known := len(document[kind])) < wanted:
                raise InvalidInput(
                    f"{kind}: {wanted} were asked for, {known} simulated ones are registered; make more with demo-city "
                    "(real devices are never taken: their tokens would change)."
                )
        profiled = await _profiled(connection, [one["id"] for one in document["terminals"]])
        details: dict[str, object] = {"handsets": body.handsets, "terminals": body.terminals}
        await record(
            connection, Entry(caller.who, "simulation.manifest", caller.role, peer=caller.peer, details=details)
        )
    terminals = [one | {"profiled": one["id"] in profiled} for one in document["terminals"]]
    return Manifest(handsets=document["handsets"], terminals=terminals)


async def _profiled(connection: Connection, devices: list[str]) -> set[str]:
    """Terminals with enough of a past that what is unusual for them can be known. Index: primary key of pos_hours."""
    cursor = await connection.execute(
        """SELECT d.id FROM transactions_per_hour t JOIN devices d ON d.key = t.device WHERE d.id = ANY(%s)
           GROUP BY d.id HAVING sum(t.transactions) >= %s""",
        [devices, PROFILED_TRANSACTIONS],
    )
    return {row[0] for row in await cursor.fetchall()}
