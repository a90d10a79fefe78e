"""Writes a made-up Yongzhou into the registry, for demonstrations, tests and benchmarks.

The same number of grids and seed give the same city; doing it twice changes nothing. Refused where the registry holds
grids that are none of it, so that it never lands in a real city.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from core.errors import Conflict
from devices import area, people
from devices.credentials import issue_many
from devices.demo_names import DEPARTMENTS
from devices.demo_plan import CAMERA_PORT, DemoPlan, DemoTerminal, plan_city, plan_components
from devices.equipment import keys_of, put_devices
from devices.intervals import DEVICE_SITES, HANDSET_WORKERS, WORKER_GRIDS, Interval, put_intervals
from devices.merging import Counts
from store.pool import Connection

HISTORY = timedelta(days=40)
"""Assignments and plans hold this long back, so that a demo's past has workers and shifts."""
_GRIDS_A_TIME = 1000

FOREIGN_GRIDS = "SELECT count(*) FROM grids WHERE code <> ALL (%s)"
WITHOUT_CREDENTIAL = """
SELECT d.key, d.id FROM devices d
WHERE d.id = ANY (%s) AND NOT EXISTS (SELECT FROM credentials c WHERE c.device = d.key AND c.revoked_at IS NULL)
"""


@dataclass(slots=True)
class DemoCity:
    """What was written, by table."""

    counts: dict[str, Counts] = field(default_factory=dict)

    @property
    def changed(self) -> bool:
        """False when the city was there already."""
        return any(counts.added or counts.changed for counts in self.counts.values())


async def demo_city(
    connection: Connection,
    grids: int,
    seed: int = 1,
    *,
    now: datetime,
    zone: ZoneInfo,
    on_duty_now: bool = False,
    cameras: int = 0,
    camera_port: int = CAMERA_PORT,
    components: bool = True,
) -> DemoCity:
    """Makes a city of that many grids (1 to 25,000), one worker and handset each, in the caller's transaction.

    camera_port: where its simulated cameras listen. on_duty_now: shifts that cover the clock round.
    Raises InvalidInput, Conflict when another city is there.
    """
    plan = await asyncio.to_thread(
        plan_city, grids, seed, on_duty_now=on_duty_now, cameras=cameras, camera_port=camera_port
    )
    cursor = await connection.execute(FOREIGN_GRIDS, [[grid.code for grid in plan.grids]])
    row = await cursor.fetchone()
    if row is not None and row[0]:
        raise Conflict(f"The registry holds {row[0]} grids of another city; make the demo city in an empty store.")
    city = DemoCity()
    since = (now - HISTORY).astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
    await _put_area(connection, plan, city)
    await _put_people(connection, plan, since, city)
    await _put_devices(connection, plan, since, city)
    if components:
        city.counts["components"] = await _put_components(connection, plan, seed)
    return city


async def _put_area(connection: Connection, plan: DemoPlan, city: DemoCity) -> None:
    city.counts["divisions"] = await area.put_divisions(connection, plan.divisions)
    city.counts["grids"] = await area.put_grids(connection, plan.grids)
    city.counts["places"] = await area.put_places(connection, plan.places)
    city.counts["roads"] = await area.put_roads(connection, plan.roads)
    city.counts["departments"] = await area.put_departments(connection, DEPARTMENTS)


async def _put_people(connection: Connection, plan: DemoPlan, since: datetime, city: DemoCity) -> None:
    rows = [(worker.id, worker.name, worker.phone, worker.team) for worker in plan.workers]
    city.counts["workers"] = await people.put_workers(connection, rows)
    grids = [(worker.id, Interval(since, None, (worker.grid,))) for worker in plan.workers]
    city.counts["worker_grids"], _ = await put_intervals(connection, WORKER_GRIDS, grids)
    plans = {worker.id: people.WeekPlan(since.date(), None, worker.lines) for worker in plan.workers}
    city.counts["shift_plans"], _ = await people.put_plans(connection, plans)


async def _put_devices(connection: Connection, plan: DemoPlan, since: datetime, city: DemoCity) -> None:
    standing: Sequence[DemoTerminal] = [*plan.terminals, *plan.cameras]
    devices = [*(worker.handset for worker in plan.workers), *(one.device for one in standing)]
    city.counts["devices"] = await put_devices(connection, devices)
    keys = await keys_of(connection, [device.id for device in devices])
    held = [(keys[worker.handset.id], Interval(since, None, (worker.id,))) for worker in plan.workers]
    city.counts["handset_workers"], _ = await put_intervals(connection, HANDSET_WORKERS, held)
    sites = [(keys[one.device.id], Interval(since, None, (one.grid, one.lat, one.lon))) for one in standing]
    city.counts["device_sites"], _ = await put_intervals(connection, DEVICE_SITES, sites)
    speaking = [device.id for device in devices if device.kind != "camera"]
    rows = await (await connection.execute(WITHOUT_CREDENTIAL, [speaking])).fetchall()
    await issue_many(connection, [(key, device_id) for key, device_id in rows])
    city.counts["credentials"] = Counts(len(rows), 0, len(speaking) - len(rows))


async def _put_components(connection: Connection, plan: DemoPlan, seed: int) -> Counts:
    counts = Counts()
    for begin in range(0, len(plan.grids), _GRIDS_A_TIME):
        rows = await asyncio.to_thread(plan_components, plan, begin, min(begin + _GRIDS_A_TIME, len(plan.grids)), seed)
        counts = counts.plus(await area.put_components(connection, rows))
    return counts
