"""What clients on streams have done is shared out over the turns of the loop, a little in each.

A turn of the loop has so much time for the connections of a listener together; what finds none left
waits in a queue for the next turns, each in its place. So UDP, and whoever else has a reader of his
own, comes to his turn however many connections there are and whatever is sent on them.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from time import perf_counter
from typing import Final

TURN_S: Final = 0.002
"""In each turn of the loop."""


class Turns:
    """The time that is left in this turn, and the work that waits for another."""

    def __init__(self) -> None:
        self._until = 0.0
        """When this turn is over; 0 where nothing was done yet."""
        self._waiting: deque[Callable[[], None]] = deque()

    @property
    def is_over(self) -> bool:
        """True where what is left to do is to wait for another turn."""
        if not self._until:
            self._until = perf_counter() + TURN_S
            asyncio.get_running_loop().call_soon(self._go_on)
            return False
        return bool(self._waiting) or perf_counter() >= self._until

    def add(self, work: Callable[[], None]) -> None:
        """Has something done as soon as there is time, behind what waits already."""
        if not self._until:
            self._until = perf_counter()
            asyncio.get_running_loop().call_soon(self._go_on)
        self._waiting.append(work)

    def _go_on(self) -> None:
        waiting = self._waiting
        if not waiting:
            self._until = 0.0
            return
        until = self._until = perf_counter() + TURN_S
        asyncio.get_running_loop().call_soon(self._go_on)
        for _ in range(len(waiting)):  # what is added meanwhile is for the next turn
            waiting.popleft()()
            if perf_counter() >= until:
                break
