"""A Store kept up to date for as long as somebody needs it, from whatever source a Corefile names.

Fail-static: where a snapshot is kept and the API server fails, or says nothing for
SNAPSHOT_GRACE_S, what an earlier process knew is put wherever the API has not spoken yet. What
the API says later repairs it: each object by a Put, what is gone by the Prune behind its kind's
list. `flag` is the fact that answers depend on for being marked as stale or not.
"""

import asyncio
import gc
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import blake2b

from kdns.cluster.alike import name_of
from kdns.cluster.api.connection import Access
from kdns.cluster.chronicle import Chronicle, Recorder
from kdns.cluster.feed import Feed
from kdns.cluster.freshness import Freshness
from kdns.cluster.link import Link
from kdns.cluster.objects import KINDS, Object, Slice
from kdns.cluster.packing import News
from kdns.cluster.selection import Selection
from kdns.cluster.selectors import Selector
from kdns.cluster.snapshot import Keeper
from kdns.cluster.sources.api import Api
from kdns.cluster.sources.packed import Packed, Reader
from kdns.cluster.sources.snapshot import Snapshot, SnapshotError
from kdns.cluster.store import SYNCED, Change, Event, Prune, Put, Store, Synced
from kdns.cluster.taking import Taker
from kdns.observe.counters import Counters

log = logging.getLogger("kdns.kubernetes")

SNAPSHOT_GRACE_S = 1.0
"""How long an API server may say nothing before the snapshot is served."""
LOOK_S = 0.05
INHERIT_S = 3.0
"""How long another worker may take to tell what it knows."""
FREEZE_EVERY = 2000
"""Objects of a first state that are put between two freezes. What is kept for good is no garbage;
a full collection over 150,000 pods would hold the loop for 15 ms."""
BUCKETS = tuple(0.001 * 2**n for n in range(20))


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a cluster is told of, and which part of it: two stanzas with one Origin share it."""

    selection: Selection
    manifests: tuple[str, ...] = ()
    """Files and folders; empty when an API server is the source."""
    access: Access = field(default_factory=Access)
    snapshot: str = ""
    """The file that what is known is kept in, empty for none."""

    @property
    def owner(self) -> str:
        """Whose snapshot it is: the same for every process that would hold the same objects."""
        access, chosen = self.access, self.selection
        where = [access.kubeconfig, access.context] if access.kubeconfig else [access.endpoint]
        kinds = [chosen.endpoints, chosen.pods, chosen.imports]
        kinds += [chosen.nodes, chosen.entrances, chosen.hosts]
        return repr([where, _told(chosen.labels), _told(chosen.namespaces), kinds])

    @property
    def title(self) -> bytes:
        """What it is called between the workers of one server."""
        access = (self.access, self.manifests, self.snapshot)
        return blake2b(f"{self.owner}{access}".encode(), digest_size=16).digest()

    def clashes(self, other: "Origin") -> bool:
        """True when each would write its snapshot over the other's."""
        return bool(self.snapshot) and self.snapshot == other.snapshot and self != other


def _told(selector: Selector) -> list[tuple[str, str, list[str]]]:
    return sorted((term.key, term.operator, sorted(term.values)) for term in selector.terms)


@dataclass(frozen=True, slots=True)
class Lent:
    """What the process lends to its clusters."""

    bump: Callable[[Change], None]
    """Makes whoever remembers answers forget what a Change names."""
    counters: Counters
    clock: Callable[[], float]
    wall: Callable[[], float]
    chance: Callable[[], float]
    is_stopping: Callable[[], bool]
    """True when the process ends, so that what is let go of goes with it."""
    link: Link | None = None
    """The way to the other workers."""


class Cluster:
    """A Store and what feeds it, one for all plugins of the process that ask for the same."""

    def __init__(self, origin: Origin, lent: Lent) -> None:
        self.origin = origin
        self.store = Store(origin.selection)
        self.synced = asyncio.Event()
        """Set once there is a whole state to answer from, be it of a snapshot."""
        self.freshness = Freshness(lent.clock)
        self.flag = object()
        """The fact that says whether answers are marked as stale."""
        self.is_restored = False
        """True while what is answered comes, at least in part, from a snapshot."""
        self._lent = lent
        self._feed = Feed(self.store, lent.wall, self._changed)
        self._has_heard = False
        """True once the API has told the whole state."""
        self._last_news = 0.0
        self._count = 0
        self._listed: set[type[Object]] = set()
        self._api: Api | None = None
        self._told = ""
        """The failure that another worker has told."""
        self._recorder: Recorder | None = None
        self._is_heir = False
        """What is known came from another worker, which knew more than any snapshot."""
        self._keeper: Keeper | None = None

    @property
    def title(self) -> bytes:
        """The same in all workers."""
        return self.origin.title

    @property
    def failure(self) -> str:
        """What is wrong with the API in one line, empty while all is well."""
        return self._api.failure if self._api is not None else self._told

    def record(self, chronicle: Chronicle | None) -> None:
        """Has what happens written down from now on, or no more."""
        lent, store = self._lent, self.store
        recorder = self._recorder = self._feed.recorder = (
            None
            if chronicle is None
            else Recorder(chronicle, store, clock=lent.clock, wall=lent.wall)
        )
        store.noted = recorder.note if recorder is not None else None
        if recorder is not None and store.has_synced:
            recorder.listed()

    def restored(self, is_restored: bool) -> None:
        """Answers are from a snapshot from now on, or no longer; remembered ones are forgotten."""
        self.is_restored = is_restored
        self._lent.bump(Change(frozenset((self.flag,))))
        self._tell()

    def _tell(self) -> None:
        if self._lent.link is not None:
            self._lent.link.giver.tell(self)

    async def run(self) -> None:
        """Feeds the Store until it is cancelled; then what is known is kept once more."""
        link = self._lent.link
        try:
            if link is None:
                await self._follow()
            else:
                await self._share(link)
        except asyncio.CancelledError:
            if link is not None:
                link.giver.keep(self)
            if not self._lent.is_stopping():
                await self._clear()
            raise

    async def _clear(self) -> None:
        """Lets go of all that was known, in short turns: a reload has other options.

        Without this it would stay for good: whoever holds us is in cycles that gc.freeze has seen.
        """
        self.store.has_synced = False
        quiet = Feed(self.store, self._lent.wall, lambda _: None)
        for kind in KINDS:
            await quiet.apply(Prune(kind, frozenset()))
        quiet.stop()

    async def _follow(self) -> None:
        if self.origin.manifests:
            # Here, for YAML takes 25 ms to load, which who has an API server does without.
            from kdns.cluster.sources.manifests import Manifests  # noqa: PLC0415

            await self._feed.run(aiter(Manifests(self.origin.manifests)))
            return
        async with asyncio.TaskGroup() as group:
            self._api = api = self._make_api()
            group.create_task(self._feed.run(self._watched(api)))
            if self.origin.snapshot:
                self._keeper = keeper = self._make_keeper()
                group.create_task(self._rescue(api, keeper))

    def _make_api(self) -> Api:
        lent = self._lent
        return Api(
            self.origin.access,
            self.origin.selection,
            freshness=self.freshness,
            counters=lent.counters,
            versions=self.store.versions,
            clock=lent.clock,
            wall=lent.wall,
            chance=lent.chance,
            triggered=self._programmed,
        )

    def _make_keeper(self) -> Keeper:
        origin, lent = self.origin, self._lent
        return Keeper(origin.snapshot, origin.owner, self.store.objects, lent.clock, lent.counters)

    def _changed(self, change: Change) -> None:
        if not self.store.has_synced:
            return  # what was made of less than a whole state is forgotten as a whole, below
        self._lent.bump(change)
        if SYNCED in change.keys:
            self._lent.bump(Change(frozenset((self.flag,))))
            self.synced.set()
            self._tell()

    async def _watched(self, api: Api) -> AsyncGenerator[Event, None]:
        """The events of the API, with notes of what it has spoken of."""
        self._last_news = self._lent.clock()
        async with aclosing(aiter(api)) as events:
            async for event in events:
                self._last_news = self._lent.clock()
                if isinstance(event, Prune):
                    self._listed.add(event.kind)
                if self._recorder is not None:
                    self._recorder.came_at = api.came_at
                yield event
                self._applied()
                if isinstance(event, Synced) and not self._has_heard:
                    self._caught_up()
                if self._keeper is not None and self._has_heard:
                    self._keeper.changed_to(self.store.edition)

    def _applied(self) -> None:
        self._count += 1
        if not self._has_heard and self._count % FREEZE_EVERY == 0:
            gc.freeze()

    def _caught_up(self) -> None:
        """The API has told everything once, and it was applied."""
        self._has_heard = True
        if self.is_restored:
            self.restored(False)
            log.info("the API server has told everything: answers are fresh again")
            gc.freeze()  # the server did so at its start, when all this was not there

    def _programmed(self, slice_: Slice, caused_at: float) -> None:
        """Counts how long a change of endpoints took from its cause, a Unix time, to us."""
        if self._recorder is not None:
            self._recorder.caused(slice_, caused_at)
        service = self.store.services.get(slice_.key)
        if service is not None:
            took = max(self._lent.wall() - caused_at, 0.0)
            kind = "headless_with_selector" if service.is_headless else "cluster_ip"
            metric = "coredns_kubernetes_dns_programming_duration_seconds"
            self._lent.counters.histogram(BUCKETS, metric, kind).observe(took)

    # Where there are other workers

    async def _share(self, link: Link) -> None:
        """Follows the source, or the worker that does; either way others can take it from here."""
        if link.watches and link.inherits:
            await self._inherit(link.taker)
        link.giver.give(self)
        if link.watches:
            await self._follow()
        else:
            await self._feed.run(self._taken(link.taker))

    async def _inherit(self, taker: Taker) -> None:
        """Begins with what another worker knows; the source, asked next, will repair it."""
        with suppress(TimeoutError):
            async with asyncio.timeout(INHERIT_S), aclosing(self._packed(taker)) as events:
                async for event in events:
                    await self._feed.apply(event)
                    self._applied()
                    if isinstance(event, Synced):
                        self._is_heir = True
                        break

    async def _taken(self, taker: Taker) -> AsyncGenerator[Event, None]:
        async with aclosing(self._packed(taker)) as events:
            async for event in events:
                yield event
                self._has_heard = self.store.has_synced
                self._applied()

    def _packed(self, taker: Taker) -> AsyncGenerator[Event, None]:
        """The events of another worker."""
        reader = Reader(
            lambda one: self.store.get(type(one), *name_of(one)) == one,
            lambda: self.store.has_synced and not self.is_restored,
            self._hear,
            self._note,
            lambda: taker.ask(self.title),
        )
        return aiter(Packed(taker.frames(self.title), reader))

    def _hear(self, news: News) -> None:
        self._told = news.failure
        for kind, at in news.heard.items():
            self.freshness.heard_elsewhere(KINDS[kind], at)
        if news.is_restored != self.is_restored:
            self.restored(news.is_restored)

    def _note(self, serials: tuple[int, int, int]) -> None:
        if serials != self.store.serials:
            self.store.serials = serials
            self._lent.bump(Change())  # what is remembered stands, but for its serial

    # Where the API fails

    async def _rescue(self, api: Api, keeper: Keeper) -> None:
        """Serves the snapshot if the API fails before it has told everything; keeps it after."""
        while not self._has_heard and not api.failure:
            if self._lent.clock() - self._last_news >= SNAPSHOT_GRACE_S:
                break
            await asyncio.sleep(LOOK_S)
        if not (self._has_heard or self._is_heir):
            await self._restore(api)
        try:
            await keeper.run()
        finally:
            await keeper.write()

    async def _restore(self, api: Api) -> None:
        origin = self.origin
        snapshot = Snapshot(origin.snapshot, origin.owner)
        try:
            async with aclosing(aiter(snapshot)) as events:
                async for event in events:
                    await self._feed.rest()
                    # From here on nothing is awaited: what the API says meanwhile would be undone.
                    if self._has_heard:
                        return
                    if not self.is_restored:
                        self.restored(True)
                    if self._may_restore(event):
                        self._feed.apply_at_once(event)
                        self._applied()
        except SnapshotError as error:
            log.warning("snapshot %s: not served: %s", origin.snapshot, error)
            return
        why = api.failure or "it does not answer"
        written = datetime.fromtimestamp(snapshot.written_at, UTC).isoformat(" ", "seconds")
        log.warning("API server: %s; serving %s, written %s", why, origin.snapshot, written)

    def _may_restore(self, event: Event) -> bool:
        """True for what the API has not spoken of."""
        if not isinstance(event, Put):
            return True
        thing = event.object
        is_known = self.store.get(type(thing), *name_of(thing)) is not None
        return not is_known and type(thing) not in self._listed
