"""The worker that watches gives what it knows to the others: the whole state, then each change.

Everybody who follows a cluster gets the same bytes, packed once a turn of the loop. Whoever reads
too slowly costs a bounded queue and delays nobody: over MOST_WAITING his queue is dropped, and when
he reads again he gets the whole state anew, as whoever comes new does.
"""

import asyncio
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final, Protocol

from kdns.cluster.follower import Follower
from kdns.cluster.freshness import Freshness
from kdns.cluster.objects import KINDS, Object
from kdns.cluster.packing import (
    Begin,
    Frame,
    Name,
    News,
    Part,
    Released,
    Whole,
    pack,
    parts,
    puts,
    read_wish,
)
from kdns.cluster.store import Store
from kdns.observe.counters import Counters

MOST_WAITING: Final = 4 << 20
"""Octets that wait for one worker."""
CHUNK: Final = 100
"""Objects a frame, in a whole state."""
NEWS_S: Final = 1.0
"""How often it is looked whether there is news to tell."""


class Pipe(Protocol):
    """The way to one worker that is fed."""

    @property
    def waiting(self) -> int:
        """Octets that were sent and not taken yet."""

    def send(self, message: bytes) -> None:
        """Sends a message, sooner or later."""

    def drop(self) -> None:
        """Takes back the messages of which nothing has left yet."""

    async def room(self) -> None:
        """Returns when little is waiting."""


class Given(Protocol):
    """A cluster that is given to others."""

    store: Store
    freshness: Freshness
    is_restored: bool

    @property
    def title(self) -> bytes:
        """The same in all workers."""

    @property
    def failure(self) -> str:
        """What is wrong with the source."""


class Giver:
    """Everything that is given, and everybody it is given to."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._streams: dict[bytes, Stream] = {}
        self._takers: dict[Pipe, dict[bytes, Taking]] = {}
        """By pipe, then by the cluster that is wanted."""
        self._news: asyncio.Task[None] | None = None

    def give(self, cluster: Given) -> None:
        """Gives a cluster from now on."""
        stream = self._streams[cluster.title] = Stream(cluster)
        for pipe, wanted in self._takers.items():
            if cluster.title in wanted:
                self._begin(pipe, cluster.title)
        if self._news is None:
            self._news = asyncio.get_running_loop().create_task(self._tell_news())
        cluster.store.follower = stream

    def keep(self, cluster: Given) -> None:
        """Gives a cluster no more."""
        cluster.store.follower = Follower()
        stream = self._streams.pop(cluster.title, None)
        if stream is not None:
            stream.stop()
        for wanted in self._takers.values():
            if cluster.title in wanted:
                wanted[cluster.title].stop()

    def tell(self, cluster: Given) -> None:
        """Has everybody know at once that there is news of a cluster, or that it is whole."""
        stream = self._streams.get(cluster.title)
        if stream is not None:
            stream.tell()

    def hear(self, pipe: Pipe, message: bytes) -> None:
        """Takes what a worker that is fed says."""
        wish = read_wish(message)
        if wish.is_wanted:
            self._begin(pipe, wish.cluster)
        else:
            self._end(pipe, wish.cluster)

    def leave(self, pipe: Pipe) -> None:
        """Forgets a worker that is gone."""
        for title in list(self._takers.get(pipe, ())):
            self._end(pipe, title)
        self._takers.pop(pipe, None)

    def _begin(self, pipe: Pipe, title: bytes) -> None:
        self._end(pipe, title)
        stream = self._streams.get(title)
        wanted = self._takers.setdefault(pipe, {})
        wanted[title] = Taking(pipe, stream, lambda: self._overflow(pipe))

    def _end(self, pipe: Pipe, title: bytes) -> None:
        taking = self._takers.get(pipe, {}).pop(title, None)
        if taking is not None:
            taking.stop()

    def _overflow(self, pipe: Pipe) -> None:
        """Lets go of all that waits for a worker, of whatever cluster it is."""
        self._counters.add("kdns_worker_resyncs_total")
        pipe.drop()
        for title in list(self._takers[pipe]):
            self._begin(pipe, title)

    async def _tell_news(self) -> None:
        while True:
            await asyncio.sleep(NEWS_S)
            for stream in self._streams.values():
                stream.tell()


class Stream(Follower):
    """What happens to one cluster, packed for everybody who takes it."""

    def __init__(self, cluster: Given) -> None:
        self.cluster = cluster
        self.takings: dict[Taking, None] = {}
        self._noted: list[tuple[type[Object], Name, Object | None]] = []
        self._flush: asyncio.Handle | None = None
        self._said: News | None = None

    def put(self, kind: type[Object], at: Name, new: Object | None) -> None:
        """Notes a change; all of a turn leave together."""
        if self.takings:
            self._noted.append((kind, at, new))
            if self._flush is None:
                self._flush = asyncio.get_running_loop().call_soon(self.flush)

    def released(self) -> None:
        """Tells that holds end."""
        self.say(Released())

    def flush(self) -> None:
        """Sends what is noted."""
        if self._flush is not None:
            self._flush.cancel()
            self._flush = None
        if self._noted:
            noted, self._noted = self._noted, []
            self._send(self.frame(*parts(noted)))

    def say(self, part: Part) -> None:
        """Sends a part behind all that was noted."""
        self.flush()
        self._send(self.frame(part))

    def tell(self) -> None:
        """Tells what is new of the source, if anything is."""
        news = self.news()
        if news != self._said:
            self._said = news
            self.say(news)
        for taking in self.takings:
            taking.finish()

    def news(self) -> News:
        """What is to be known of the source now."""
        cluster = self.cluster
        heard = {KINDS.index(kind): at for kind, at in cluster.freshness.heard_at().items()}
        return News(cluster.is_restored, cluster.failure, heard)

    def frame(self, *some: Part) -> bytes:
        """A frame of these parts."""
        store = self.cluster.store
        return pack(Frame(self.cluster.title, store.serials, list(some)))

    def chunks(self) -> Iterator[list[Object]]:
        """All objects, some at a time, each as it is when it is its turn."""
        store = self.cluster.store
        for kind in KINDS:
            names = store.versions(kind)
            while some := list(islice(names, CHUNK)):
                objects = [store.get(kind, *at) for *at, _ in some]
                yield [one for one in objects if one is not None]

    def stop(self) -> None:
        """Sends no more."""
        if self._flush is not None:
            self._flush.cancel()

    def _send(self, frame: bytes) -> None:
        for taking in list(self.takings):
            taking.send(frame)


class Taking:
    """One cluster on its way to one worker."""

    def __init__(self, pipe: Pipe, stream: Stream | None, overflow: Callable[[], None]) -> None:
        self._pipe = pipe
        self._stream = stream
        self._overflow = overflow
        self._is_complete = False
        """True once every object there was has been sent."""
        self._is_whole = False
        self._task: asyncio.Task[None] | None = None
        if stream is not None:
            self._task = asyncio.get_running_loop().create_task(self._start(stream))

    def send(self, frame: bytes) -> None:
        """Sends a frame, or gives up on what is waiting."""
        if self._pipe.waiting + len(frame) > MOST_WAITING:
            self._overflow()
        else:
            self._pipe.send(frame)

    def finish(self) -> None:
        """Says that the state is whole, once it is."""
        stream = self._stream
        if stream is not None and self._is_complete and not self._is_whole:
            self._is_whole = stream.cluster.store.has_synced
            if self._is_whole:
                stream.flush()
                self.send(stream.frame(Whole()))

    def stop(self) -> None:
        """Sends no more."""
        if self._task is not None:
            self._task.cancel()
        if self._stream is not None:
            self._stream.takings.pop(self, None)
            self._stream = None

    async def _start(self, stream: Stream) -> None:
        """Sends the whole state; changes made meanwhile go between."""
        await self._pipe.room()
        stream.flush()
        stream.takings[self] = None
        self.send(stream.frame(stream.news(), Begin()))
        for objects in stream.chunks():
            stream.flush()  # what was noted is older than these
            if objects:
                self.send(stream.frame(puts(objects)))
            await self._pipe.room()
            await asyncio.sleep(0)
        self._is_complete = True
        self.finish()
