"""Places: how many may watch at once, all together and each camera; one count for WHEP and MSE."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from streams.live.source import TooManyViewers


class Place:
    """One viewer's place, given back when its block ends, unless it was kept beyond."""

    def __init__(self, give_back: Callable[[], None]) -> None:
        self._give_back: Callable[[], None] | None = give_back

    def keep(self) -> Callable[[], None]:
        """From now on the place lasts until the returned function is called."""
        give_back, self._give_back = self._give_back, None
        assert give_back is not None
        return give_back

    def end(self) -> None:
        """Gives it back if nobody kept it."""
        if self._give_back is not None:
            self.keep()()


class Places:
    """Counts viewers. most: of the worker; most_per_camera."""

    def __init__(self, most: int, most_per_camera: int) -> None:
        self._most, self._most_per_camera = most, most_per_camera
        self._taken: Counter[str] = Counter()

    @contextmanager
    def taken(self, camera: str) -> Iterator[Place]:
        """A place for one viewer. Raises TooManyViewers naming the limit."""
        if self._taken.total() >= self._most:
            raise TooManyViewers(f"{self._most} viewers are watching here already (streams.live.most_sessions).")
        if self._taken[camera] >= self._most_per_camera:
            raise TooManyViewers(
                f"{self._most_per_camera} viewers are watching camera {camera} already "
                "(streams.live.most_sessions_per_camera)."
            )
        self._taken[camera] += 1
        place = Place(lambda: self._free(camera))
        try:
            yield place
        finally:
            place.end()

    def _free(self, camera: str) -> None:
        self._taken[camera] -= 1
        if not self._taken[camera]:
            del self._taken[camera]

    def __len__(self) -> int:
        return self._taken.total()
