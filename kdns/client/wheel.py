"""Time-outs of many queries by one timer: items are put into slots of 1/64 s and run out together.

perf: a timer, Task or `wait_for` per query would cost more than sending it.
"""

import asyncio
from typing import Protocol

_SLOTS_PER_S = 64


class Item(Protocol):
    """Something that runs out unless it is dropped before."""

    slot: "set[Item] | None"

    def expire(self) -> None:
        """Called once, when the time is over."""


class Wheel:
    """The running time-outs. Items run out at most a slot late, never early."""

    __slots__ = ("_armed", "_loop", "_slots", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._slots: dict[int, set[Item]] = {}
        self._armed = 0
        self._timer: asyncio.TimerHandle | None = None

    def add(self, item: Item, until: float) -> None:
        """Lets the item run out at that time of the loop."""
        at = int(until * _SLOTS_PER_S) + 1
        slot = self._slots.get(at)
        if slot is None:
            slot = self._slots[at] = set()
            if self._timer is None or at < self._armed:
                self._arm(at)
        slot.add(item)
        item.slot = slot

    def drop(self, item: Item) -> None:
        """The item no longer runs out."""
        if item.slot is not None:
            item.slot.discard(item)
            item.slot = None

    def close(self) -> None:
        """Stops the timer; nothing runs out any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._slots.clear()

    def turn(self, now: float) -> None:
        """Lets everything run out whose time is over at `now`, and sets the timer to the next."""
        for at in [at for at in self._slots if at <= now * _SLOTS_PER_S]:
            slot = self._slots.pop(at)
            while slot:  # one that runs out may drop others
                item = slot.pop()
                item.slot = None
                item.expire()
        waiting = [at for at, slot in self._slots.items() if slot]
        self._slots = {at: self._slots[at] for at in waiting}
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if waiting:
            self._arm(min(waiting))

    def _arm(self, at: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._armed = at
        self._timer = self._loop.call_at(at / _SLOTS_PER_S, self._fire)

    def _fire(self) -> None:
        self._timer = None
        # A loop may fire within its clock's resolution, a hair early.
        self.turn(max(self._loop.time(), self._armed / _SLOTS_PER_S))
