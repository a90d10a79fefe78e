"""A bell that wakes everybody who waits at this moment; nobody queues behind it."""

import asyncio


class Bell:
    """One event loop. `ring` wakes all waiters; who is not waiting misses nothing that it reads before it waits."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self.closed = False
        """Set by `close`: waiters should end."""

    def ring(self) -> None:
        """Wakes everybody who waits."""
        event, self._event = self._event, asyncio.Event()
        event.set()

    def close(self) -> None:
        """Wakes everybody for good: the service is stopping."""
        self.closed = True
        self.ring()

    def ticket(self) -> asyncio.Event:
        """Taken before reading; set by the next `ring`."""
        return self._event
