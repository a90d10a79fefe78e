"""Metrics of the room (Prometheus): what waits behind every reader's cursor, and the sessions of this process's pool.

A part samples them every few seconds; while the store is away nothing is known of the cursors, so none are shown.
"""

from prometheus_client import Gauge

from core.clock import Clock
from core.errors import StoreUnavailable
from core.lane import Lane
from core.supervise import Part
from store.cursors import CursorLag, cursor_lags
from store.pool import Store

SAMPLE_S = 5.0

LAG_ROWS = Gauge(
    "wangge_store_cursor_lag_rows", "Facts that wait behind a reader's cursor.", ["reader", "family", "lane"]
)
LAG_SECONDS = Gauge(
    "wangge_store_cursor_lag_seconds",
    "Age of the oldest facts behind a reader's cursor.",
    ["reader", "family", "lane"],
)
SESSIONS = Gauge("wangge_store_sessions", "Database sessions of the pool: idle or in use.", ["state"])
SESSIONS_MOST = Gauge("wangge_store_sessions_most", "Most sessions that the pool may have.")
SESSIONS_WANTED = Gauge("wangge_store_sessions_wanted", "Tasks that wait for a session of the pool.")


class StoreMetrics:
    """`run` is a part of every process, beside its store."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store, self._clock = store, clock

    async def run(self, part: Part) -> None:
        """Samples until cancelled; an outage of the store is another part's news."""
        part.ready()
        while True:
            try:
                await self.sample()
            except StoreUnavailable:
                _show_lags([])
            await self._clock.sleep(SAMPLE_S)

    async def sample(self) -> None:
        """Once. Raises StoreUnavailable."""
        sessions = self._store.sessions()
        SESSIONS.labels("used").set(sessions.used)
        SESSIONS.labels("idle").set(sessions.idle)
        SESSIONS_MOST.set(sessions.most)
        SESSIONS_WANTED.set(sessions.wanted)
        async with self._store.connection() as connection:
            lags = await cursor_lags(connection)
        _show_lags(lags)


def _show_lags(lags: list[CursorLag]) -> None:
    """All at once: a reader that is gone leaves no figure behind."""
    LAG_ROWS.clear()
    LAG_SECONDS.clear()
    for lag in lags:
        labels = (lag.reader, lag.family, Lane(lag.lane).name.lower())
        LAG_ROWS.labels(*labels).set(lag.rows)
        LAG_SECONDS.labels(*labels).set(lag.seconds)
