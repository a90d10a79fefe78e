"""Day and night by the sun at the camera's place: pure.

Between the two thresholds it is twilight, which belongs to neither: cameras switch to infrared at a moment of their own
then, so a sample is held against whichever reference fits better, nothing is learned, and its light is None.
"""

from datetime import UTC, datetime
from functools import lru_cache

from astral import Observer
from astral.sun import elevation

from core.camera import Light
from streams.quality_settings import QualitySettings

Place = tuple[float, float]
"""Latitude, longitude (degrees, WGS-84)."""


def light_at(at_us: int, place: Place | None, settings: QualitySettings) -> Light | None:
    """DAY, NIGHT, or None in twilight. at_us: UTC epoch microseconds. place None: the site's centre of the settings.

    With the defaults (4° and −6°) twilight lasts some 45 minutes in Yongzhou. Where the sun neither rises nor sets it
    is what its elevation says. Source of the elevation: astral (NOAA's solar equations, ± 0.1°).
    """
    latitude, longitude = place or (settings.latitude, settings.longitude)
    degrees = sun_elevation(at_us, latitude, longitude)
    if degrees >= settings.day_from_deg:
        return Light.DAY
    return Light.NIGHT if degrees < settings.night_below_deg else None


def sun_elevation(at_us: int, latitude: float, longitude: float) -> float:
    """Degrees of the sun above the horizon, with refraction, at the minute's beginning (a quarter of a degree at
    most)."""
    return _elevation(at_us // 60_000_000, latitude, longitude)


@lru_cache(maxsize=1024)
def _elevation(minute: int, latitude: float, longitude: float) -> float:
    return float(elevation(Observer(latitude, longitude), datetime.fromtimestamp(minute * 60, UTC)))
