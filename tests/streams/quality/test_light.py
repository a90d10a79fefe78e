"""Day, night and twilight at places and dates whose sun is known."""

from datetime import UTC, datetime

import pytest

from core.camera import Light
from streams.quality.light import Place, light_at, sun_elevation
from streams.quality_settings import QualitySettings

YONGZHOU: Place = (26.42, 111.61)
TROMSO: Place = (69.65, 18.96)


@pytest.mark.parametrize(
    ("at", "place", "light"),
    [
        ("2025-06-21T04:30", YONGZHOU, Light.DAY),
        ("2025-06-21T16:00", YONGZHOU, Light.NIGHT),
        ("2025-12-21T04:30", None, Light.DAY),
        ("2025-12-21T16:00", None, Light.NIGHT),
        ("2025-06-21T11:33", YONGZHOU, None),  # sunset
        ("2025-12-20T23:20", YONGZHOU, None),  # sunrise of the 21st there
        ("2025-06-21T22:30", TROMSO, None),  # midnight sun stands at 3°
        ("2025-06-21T10:30", TROMSO, Light.DAY),
        ("2025-12-21T23:00", TROMSO, Light.NIGHT),
        ("2025-12-21T11:00", TROMSO, None),  # polar night at noon: twilight
    ],
)
def test_light(at: str, place: Place | None, light: Light | None) -> None:
    at_us = int(datetime.fromisoformat(at).replace(tzinfo=UTC).timestamp() * 1e6)
    assert light_at(at_us, place, QualitySettings()) == light


def test_the_sun_stands_highest_at_noon() -> None:
    noon = int(datetime(2025, 6, 21, 4, 35, tzinfo=UTC).timestamp() * 1e6)
    assert sun_elevation(noon, *YONGZHOU) == pytest.approx(90 - 26.42 + 23.44, abs=0.3)
