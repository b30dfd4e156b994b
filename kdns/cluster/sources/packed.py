"""Frames of the worker that watches become events: the source of the workers that do not.

What was known before a whole state came stays until it is replaced: each object by its Put, what
is gone by the Prune behind. State out of a snapshot is passed over by whoever knows more than that,
until the API has told everything again; then the whole of it is asked for once more.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass

from kdns.cluster.alike import name_of
from kdns.cluster.objects import KINDS, Object
from kdns.cluster.pace import Pace
from kdns.cluster.packing import (
    Begin,
    Frame,
    Gone,
    Name,
    News,
    Part,
    Puts,
    Released,
    Unpacker,
    Whole,
)
from kdns.cluster.store import Delete, Event, Prune, Put, Release, Synced

Named = dict[type[Object], set[Name]]


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads frames, as far as the source must know him."""

    knows: Callable[[Object], bool]
    """True when he has just this object already."""
    knows_more: Callable[[], bool]
    """True when what he has is newer than any snapshot."""
    hear: Callable[[News], None]
    """Takes what is to be known of the source."""
    note: Callable[[tuple[int, int, int]], None]
    """Takes the serials, when all of a frame has been applied."""
    ask: Callable[[], None]
    """Asks for the whole state again."""


class Packed:
    """The source of a worker that is fed."""

    def __init__(self, frames: AsyncGenerator[Frame, None], reader: Reader) -> None:
        self._frames = frames
        self._reader = reader
        self._unpacker = Unpacker()
        self._named: Named | None = None
        """What the state that is coming in has named so far."""
        self._is_deaf = False
        self._pace = Pace()

    async def __aiter__(self) -> AsyncGenerator[Event, None]:
        """Events for as long as frames come."""
        async with aclosing(self._frames) as frames:
            async for frame in frames:
                self._pace.begin()
                if self._pace.is_due:
                    await self._pace.rest()
                for part in frame.parts:
                    if type(part) is News:
                        self._hear(part)
                    elif not self._is_deaf:
                        for event in self._events(part):
                            yield event
                if not self._is_deaf:
                    self._reader.note(frame.serials)

    def _hear(self, news: News) -> None:
        was_deaf, self._is_deaf = self._is_deaf, news.is_restored and self._reader.knows_more()
        if self._is_deaf:
            return
        self._reader.hear(news)
        if was_deaf:
            self._named = None
            self._reader.ask()

    def _events(self, part: Part) -> list[Event]:
        named = self._named
        match part:
            case Begin():
                self._named = {kind: set() for kind in KINDS}
            case Puts():
                objects = self._unpacker.objects(part)
                if named is not None:
                    named[KINDS[part.kind]].update(map(name_of, objects))
                knows = self._reader.knows
                return [Put(one, is_chosen=True) for one in objects if not knows(one)]
            case Gone():
                kind = KINDS[part.kind]
                if named is not None:
                    named[kind].difference_update(part.names)
                return [Delete(kind, *at) for at in part.names]
            case Released():
                return [Release()]
            case Whole() if named is not None:
                self._named = None
                return [*(Prune(kind, names) for kind, names in named.items()), Synced()]
        return []
