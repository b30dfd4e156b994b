"""The time that a party at work takes of one turn of the loop: 3 ms, then it is others' turn."""

import asyncio
from time import perf_counter

TURN_S = 0.003
"""Nothing on the loop runs longer than 5 ms (design.md §4)."""


class Pace:
    """The turns of those who share it."""

    def __init__(self, turn_s: float = TURN_S) -> None:
        self._turn_s = turn_s
        self._started = 0.0
        self._is_open = False

    def begin(self) -> None:
        """To be called when work begins or goes on; the turn may have begun with another's."""
        if not self._is_open:
            self._is_open = True
            self._started = perf_counter()
            asyncio.get_running_loop().call_soon(self._close)

    @property
    def is_due(self) -> bool:
        """True when it is somebody else's turn."""
        return perf_counter() - self._started > self._turn_s

    async def rest(self) -> None:
        """Lets the loop have its turn."""
        await asyncio.sleep(0)
        self.begin()

    def _close(self) -> None:
        self._is_open = False
