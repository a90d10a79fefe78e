"""The main job on real input: recorded tracks, sent by foreign clients, stored once, given back as they were sent.

The recordings are years old and some points have no time, so times are replaced: 2.5 h ago, 3 s apart in file order.
"""

import csv
import io
import json
import math
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import gpxpy
import httpx
import pytest

from tests.acceptance.conftest import House
from tests.support.service import until

TRACKS = Path(__file__).parents[3] / "shared" / "data" / "tracks"
AT_ONCE = 500


@dataclass(frozen=True)
class Recording:
    """A track as its handset sends it."""

    device: str
    fixes: list[dict[str, Any]]

    @property
    def period(self) -> tuple[str, str, str, str]:
        """Options of an export that holds all of it."""
        last = datetime.fromisoformat(self.fixes[-1]["fixed_at"]) + timedelta(seconds=1)
        return "--from", self.fixes[0]["fixed_at"], "--to", last.isoformat()

    @property
    def payloads(self) -> list[str]:
        """Arrays as the contract takes them, as JSON."""
        starts = range(0, len(self.fixes), AT_ONCE)
        return [json.dumps(self.fixes[start : start + AT_ONCE]) for start in starts]


def recording(name: str, device: str) -> Recording:
    path = TRACKS / name
    if not path.is_file():
        pytest.skip(f"the recorded tracks are not here ({path})")
    base = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=2.5)
    parsed = gpxpy.parse(path.read_text(encoding="utf-8"))
    points = [point for track in parsed.tracks for segment in track.segments for point in segment.points]
    fixes: list[dict[str, Any]] = []
    for number, point in enumerate(points):
        at = base + timedelta(seconds=3 * number)
        fix = {"fixed_at": at.isoformat(), "lat": point.latitude, "lon": point.longitude}
        if point.elevation is not None:
            fix["altitude_m"] = point.elevation
        fixes.append(fix)
    return Recording(device, fixes)


Send = Callable[[House, Recording, str, str, Path], None]


def published_line_by_line(house: House, track: Recording, token: str, mosquitto_pub: str, folder: Path) -> None:
    """`mosquitto_pub -l`: a message a line, QoS 1."""
    lines = "".join(json.dumps(fix) + "\n" for fix in track.fixes)
    _publish(house, track, token, mosquitto_pub, "-l", text=lines)


def published_as_arrays(house: House, track: Recording, token: str, mosquitto_pub: str, folder: Path) -> None:
    """`mosquitto_pub -f`: a file is a message."""
    for number, payload in enumerate(track.payloads):
        file = folder / f"{track.device}-{number}.json"
        file.write_text(payload)
        _publish(house, track, token, mosquitto_pub, "-f", str(file))


def _publish(house: House, track: Recording, token: str, mosquitto_pub: str, *how: str, text: str = "") -> None:
    host, port = house.mqtt
    address = ("-h", host, "-p", port, "-u", track.device, "-P", token, "-q", "1")
    command = [mosquitto_pub, *address, "-t", f"wangge/v1/{track.device}/fix", *how]
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def posted(house: House, track: Recording, token: str, curl: str, folder: Path) -> None:
    """`curl --data-binary @file`: every answer is 200 and rejects nothing."""
    for number, payload in enumerate(track.payloads):
        file = folder / f"{track.device}-{number}.json"
        file.write_text(payload)
        command = [curl, "-sS", "--fail-with-body", "--noproxy", "*", "-H", f"Authorization: Bearer {token}"]
        command += ["-H", "Content-Type: application/json", "--data-binary", f"@{file}", f"{house.http}/v1/fixes"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, (done.stdout, done.stderr)
        answer = json.loads(done.stdout)
        assert answer["rejected"] == []
        assert answer["stored"] + answer["duplicate"] == len(json.loads(payload))


CASES = [
    pytest.param("walk-1.gpx", "walker-1", "mosquitto_pub", published_line_by_line, id="walk-1 mosquitto_pub -l"),
    pytest.param("walk-2.gpx", "walker-2", "mosquitto_pub", published_as_arrays, id="walk-2 mosquitto_pub -f"),
    pytest.param("bus-304.gpx", "bus-304", "curl", posted, id="bus-304 curl"),
]


@pytest.mark.parametrize(("name", "device", "client", "send"), CASES)
def test_a_recorded_track_comes_back_as_it_was_sent(
    house: House, program: Callable[[str], str], tmp_path: Path, name: str, device: str, client: str, send: Send
) -> None:
    path = program(client)
    track = recording(name, device)
    token = house.handset(device)
    for _ in range(2):  # sent again, none is stored twice
        send(house, track, token, path, tmp_path)
        stored = features(house, track)
        assert [of_feature(feature) for feature in stored] == points_of(track)
    assert all("out_of_country" in feature["properties"]["flags"] for feature in stored)
    assert [fix.get("altitude_m") for fix in track.fixes] == pytest.approx(
        [feature["properties"].get("altitude_m") for feature in stored], abs=0.01
    )
    assert of_gpx(export(house, track, "gpx")) == points_of(track)
    assert of_csv(export(house, track, "csv")) == points_of(track)
    assert of_moving_features(export(house, track, "mfjson")) == points_of(track)
    assert of_gpx(export(house, track, "gpx", "--datum", "gcj02")) == points_of(track), (
        "outside China there is no shift"
    )
    until(lambda: judged(house) >= len(track.fixes), 15, "the rules")
    assert house.tells("events", "list", "--subject", device) == []


def test_gcj02_is_the_shift_of_chinese_maps(house: House, program: Callable[[str], str]) -> None:
    """In Yongzhou GCJ-02 lies 657 m away; sent in GCJ-02 and exported in it, a point is where it was."""
    token = house.handset("map-1")
    sent = {
        "fixed_at": datetime.now(UTC).replace(microsecond=0).isoformat(),
        "lat": 26.42,
        "lon": 111.61,
        "datum": "gcj02",
    }
    track = Recording("map-1", [sent])
    _publish(house, track, token, program("mosquitto_pub"), "-m", json.dumps(sent))
    assert of_gpx(export(house, track, "gpx", "--datum", "gcj02")) == points_of(track)
    ((_, lon, lat),) = of_gpx(export(house, track, "gpx"))
    metres = math.hypot((lat - 26.42) * 110_800, (lon - 111.61) * 99_700)
    assert 640 < metres < 670


Point = tuple[datetime, float, float]


def points_of(track: Recording) -> list[Point]:
    """(time, lon, lat) to 1e-6 degrees, in order of time."""
    return [
        (datetime.fromisoformat(fix["fixed_at"]), round(fix["lon"], 6), round(fix["lat"], 6)) for fix in track.fixes
    ]


def export(house: House, track: Recording, form: str, *more: str) -> str:
    return house.does("tracks", "export", "--device", track.device, *track.period, "--format", form, *more)


def features(house: House, track: Recording) -> list[dict[str, Any]]:
    collection = json.loads(export(house, track, "geojson"))
    assert collection["type"] == "FeatureCollection"
    assert {feature["geometry"]["type"] for feature in collection["features"]} == {"Point"}
    return list(collection["features"])


def of_feature(feature: dict[str, Any]) -> Point:
    lon, lat = feature["geometry"]["coordinates"]
    return datetime.fromisoformat(feature["properties"]["fixed_at"]), round(lon, 6), round(lat, 6)


def of_gpx(text: str) -> list[Point]:
    (track,) = gpxpy.parse(text).tracks
    found = [point for segment in track.segments for point in segment.points]
    return [(point.time, round(point.longitude, 6), round(point.latitude, 6)) for point in found]


def of_csv(text: str) -> list[Point]:
    rows = csv.DictReader(io.StringIO(text))
    return [
        (datetime.fromisoformat(row["fixed_at"]), round(float(row["lon"]), 6), round(float(row["lat"]), 6))
        for row in rows
    ]


def of_moving_features(text: str) -> list[Point]:
    """OGC Moving Features JSON: as many places as instants, instants growing."""
    feature = json.loads(text)
    assert feature["type"] == "Feature"
    moving = feature["temporalGeometry"]
    assert moving["type"] == "MovingPoint"
    times = [datetime.fromisoformat(at) for at in moving["datetimes"]]
    assert times == sorted(set(times))
    places = moving["coordinates"]
    return [(at, round(lon, 6), round(lat, 6)) for at, (lon, lat, *_) in zip(times, places, strict=True)]


def judged(house: House) -> float:
    """Back-filled fixes that the rules have taken; none of them may have failed."""
    text = httpx.get(f"{house.http}/metrics", trust_env=False).text
    lines = [line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#")]
    assert not [line for line in lines if line[0].startswith("wangge_alerts_rule_failures_total") and float(line[1])]
    taken = [
        name for name in lines if name[0].startswith("wangge_alerts_facts_total{") and 'lane="backfill"' in name[0]
    ]
    return sum(float(value) for _, value in taken)
