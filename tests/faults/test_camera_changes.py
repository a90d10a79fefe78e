"""Cameras are changed while they are recorded and seen: the others do not notice, nothing that was sent is lost."""

import asyncio
from pathlib import Path

import psycopg

from devices.camera_secrets import LogIn, put_log_ins
from tests.faults.filmed import HANGING_UP, Film, cameras, filming, street_of
from tests.faults.harness import rows, until
from tests.faults.test_camera_viewers import come_and_go, viewers
from tests.support.rtsp import Street

USER, FIRST, SECOND = "viewer", "a first pass phrase", "quite another one"
FOLLOWED_WITHIN_S = 15.0
QUICK = {"WANGGE_ALERTS__RULES__CAM_01__AFTER_S": "2"}


def change(film: Film, statement: str, *values: object) -> None:
    """Of the registry; the worker follows within a few seconds."""
    with psycopg.connect(film.up.dsn) as connection:
        connection.execute(statement, values)  # type: ignore[arg-type]


async def ended(film: Film, name: str, stream: str = "main") -> None:
    """Waits until a stream's connection is closed and its rows are."""
    await until(lambda: film.sent(name, stream)[-1].ended_at_ms, FOLLOWED_WITHIN_S, f"the end of {name}/{stream}")
    query = (
        "SELECT count(*) FROM footage_segments s JOIN devices d ON d.key = s.camera"
        " WHERE d.id = %s AND s.stream = %s AND s.state <> 1"
    )
    await until(
        lambda: rows(film.up.dsn, query, name, int(stream == "sub")) == [(0,)],
        FOLLOWED_WITHIN_S,
        f"closed rows of {name}/{stream}",
    )


def pictures(street: Street, name: str) -> int:
    """That all connections to a camera were sent."""
    return sum(one.frames for one in street.sent(name))


async def test_retired_moved_and_given_other_log_ins(service_folder: Path) -> None:
    with street_of(cameras("d"), user=USER, password=FIRST) as elsewhere:

        async def more() -> None:
            before = pictures(elsewhere, "d")
            await until(lambda: pictures(elsewhere, "d") > before + 20, FOLLOWED_WITHIN_S, "pictures from elsewhere")

        async with (
            filming(service_folder / "data", "abcd", **QUICK) as film,
            film.client() as client,
            asyncio.TaskGroup() as beside,
        ):
            await viewers(client)
            descriptors = film.worker.num_fds()
            watched = beside.create_task(come_and_go(film, client))
            log_ins = film.up.data / "cameras.toml"
            change(film, "UPDATE devices SET retired_at = now() WHERE id = 'c'")
            change(film, "UPDATE devices SET url = %s WHERE id = 'd'", elsewhere.url("d"))
            change(film, "UPDATE devices SET settings = '{}' WHERE id = 'a'")
            await ended(film, "c")
            await ended(film, "a", "sub")
            await until(lambda: film.sent("d")[-1].ended_at_ms, FOLLOWED_WITHIN_S, "the end of the old connection")
            assert pictures(elsewhere, "d") == 0, "it asks for a log-in that we have not got yet"
            put_log_ins(log_ins, {"d": LogIn(USER, FIRST)})
            await more()
            elsewhere.call(lambda: setattr(elsewhere.server, "password", SECOND))
            elsewhere.call(elsewhere.camera("d").cut)
            (event,) = await until(lambda: film.events("CAM-01", "d"), 30, "CAM-01 of the camera that refuses us")
            put_log_ins(log_ins, {"d": LogIn(USER, SECOND)})
            await more()
            assert event["causes"]["reason"] == "unauthorized"
            print(f"ten viewers, gone without a word, were noticed after {await watched:.1f} s")
            assert film.worker.num_fds() <= descriptors, "two streams fewer, and nothing stays of viewers"
            await film.agrees()
            assert FIRST not in film.up.said
            assert SECOND not in film.up.said
            sent = film.sent("d")[0].frames
            reel = await film.stop()
        sent += pictures(elsewhere, "d")
    reel.undisturbed("a", "b", "c")
    lost = sent - sum(part.pictures for part in reel.parts["d", "main"])
    print(f"d: {sent} pictures by three connections, {lost} lost")
    assert 0 <= lost <= 3 * HANGING_UP
