"""Every few minutes what we hold is compared with a fresh list of versions, and repaired.

A watch can lose an event without anybody noticing. An object counts as missed only when the watch
told nothing of it since the comparison began and has passed the list's version, or does not get
there in time: an event on its way is no loss. It is fetched by a list of one: a `list` is all that
CoreDNS's ClusterRole allows.
"""

import asyncio
import logging
from collections.abc import Collection, Iterable

from kdns.cluster.api.backoff import Backoff
from kdns.cluster.api.channel import Batch
from kdns.cluster.api.failures import MALFORMED, SourceError, Stale
from kdns.cluster.api.intake import number
from kdns.cluster.api.resources import NAMES, PAGE, At, Named, Page, place
from kdns.cluster.api.session import METADATA
from kdns.cluster.api.shared import Shared
from kdns.cluster.api.watcher import Watcher
from kdns.cluster.store import Delete, Event

log = logging.getLogger("kdns.kubernetes")

PAGE_SIZE = 500
MAX_REPAIRS = 100
"""Above, the whole list is the cheaper way."""
SPREAD_S = 5.0
"""Not everybody compares at the moment that the server is back,"""
MAX_SPREAD_S = 60.0
OBJECTS_A_S = 2000
"""and what is dear to list waits longer: where there are 100,000 objects, there are many of us."""
LATER_S = 60.0
"""The longest wait after a comparison that failed: a server that is just back refuses much."""
NAMED = 5
"""Objects that the log line names."""


class Comparison:
    """Compares what one watcher made of a resource."""

    def __init__(self, watcher: Watcher, shared: Shared) -> None:
        self._watcher = watcher
        self._intake = watcher.intake
        self._resource = watcher.resource
        self._shared = shared
        self._backoff = Backoff(shared.chance)
        self._size = 0
        """Objects of the last list."""

    async def run(self) -> None:
        """Compares for ever."""
        while True:
            await self._wait()
            if not self._intake.has_listed or self._intake.is_listing:
                continue
            try:
                await self.compare()
            except (SourceError, *MALFORMED) as error:
                log.debug("no comparison of %s: %s", self._resource.title, error)
                self._watcher.doubted.set()
                await asyncio.sleep(self._backoff.delay(LATER_S))
            else:
                self._backoff.reset()

    async def _wait(self) -> None:
        """Waits until it is time, or there is a reason.

        A server restored from a backup may have passed our version by the time we reach it again.
        """
        timing, chance = self._shared.timing, self._shared.chance
        try:
            async with asyncio.timeout(timing.compare_s * (1 - chance() / 5)):
                await self._watcher.doubted.wait()
        except TimeoutError:
            return
        self._watcher.doubted.clear()
        await asyncio.sleep(spread_s(self._size) * chance())

    async def compare(self) -> None:
        """Compares once."""
        epoch = self._watcher.epoch
        self._intake.touched = touched = set[At]()
        try:
            at_least = self._intake.applied
            listed, version = await self._list()
            self._size = len(listed)
            if 0 < version < at_least:
                self._resync("older", f"a list is of version {version}, the watch of {at_least}")
                return
            missed = await self._missed(listed)
            if missed:
                await self._pass(version)
                left = {at: theirs for at, theirs in missed.items() if at not in touched}
                missed = await self._missed(left, among=frozenset(left))
            if self._watcher.epoch == epoch and missed:
                await self._repair(missed, touched, epoch)
        finally:
            self._intake.touched = None

    async def _list(self) -> tuple[dict[At, str], int]:
        """The version of every object, and that of the list."""
        query = self._resource.query(self._shared.selection) | {"limit": str(PAGE_SIZE)}
        found: dict[At, str] = {}
        version = 0
        while True:
            page = NAMES.decode(await self._get(query, METADATA))
            version = version or number(page.metadata.resource_version)
            await self._add(found, page)
            query["continue"] = page.metadata.continue_ or ""
            if not query["continue"]:
                return found, version

    async def _get(self, query: dict[str, str], accept: str) -> bytes:
        what = f"list {self._resource.title}"
        return await self._shared.session.get(
            self._resource.path(), query, what=what, accept=accept
        )

    async def _add(self, found: dict[At, str], page: Page[Named]) -> None:
        pace = self._shared.pace
        pace.begin()
        for item in page.items or ():
            if pace.is_due:
                await pace.rest()
            if item.metadata is not None:
                found[place(item.metadata)] = item.metadata.resource_version or ""

    async def _missed(
        self, listed: dict[At, str], among: frozenset[At] | None = None
    ) -> dict[At, str]:
        """The objects, of all or of some, that are not with us what the list says, which is given
        along: empty for what it does not name.

        The list is emptied on the way: to copy or to free 150,000 names at once holds the loop.
        """
        pace, ignored = self._shared.pace, self._intake.ignored
        missed: dict[At, str] = {}
        pace.begin()
        for namespace, name, version in self._shared.versions(self._resource.kind):
            at = (namespace, name)
            if among is None or at in among:
                theirs = listed.pop(at, "")
                if theirs != version and ignored.get(at, "-") != theirs:
                    missed[at] = theirs
            if pace.is_due:
                await pace.rest()
        while listed:
            at, theirs = listed.popitem()
            if theirs and ignored.get(at) != theirs:
                missed[at] = theirs
            if pace.is_due:
                await pace.rest()
        return missed

    async def _pass(self, version: int) -> None:
        """Waits until the watch has told all that the list knew, for a bounded time."""
        try:
            async with asyncio.timeout(self._shared.timing.settle_s):
                while self._intake.applied < version:
                    self._intake.advanced.clear()
                    await self._intake.advanced.wait()
        except TimeoutError:
            log.debug("the watch of %s does not reach %d", self._resource.title, version)

    async def _repair(self, missed: Collection[At], touched: set[At], epoch: int) -> None:
        if len(missed) > MAX_REPAIRS:
            self._count(sorted(missed))
            self._resync("drift", f"the watch missed {len(missed)} changes")
            return
        repaired: list[At] = []
        for at in sorted(missed):
            event = await self._fetch(at)
            if at in touched or self._watcher.epoch != epoch:
                continue
            if event is not None:
                await self._shared.channel.put(Batch([event], _nothing, self._shared.clock()))
            repaired.append(at)
        if repaired:
            self._count(repaired)

    async def _fetch(self, at: At) -> Event | None:
        """What an object is now."""
        namespace, name = at
        query = self._resource.query(self._shared.selection)
        fields = [query.get("fieldSelector", ""), f"metadata.name={name}"]
        query["fieldSelector"] = ",".join(filter(None, fields))
        what = f"list {self._resource.title}"
        path = self._resource.path(namespace)
        page = PAGE.decode(await self._shared.session.get(path, query, what=what))
        if not page.items:
            return Delete(self._resource.kind, namespace, name)
        return self._intake.event(self._resource.read(page.items[0]))

    def _resync(self, reason: str, why: str) -> None:
        self._watcher.resync(Stale(reason, why))

    def _count(self, repaired: Iterable[At]) -> None:
        names = ["/".join(filter(None, at)) for at in repaired]
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        self._shared.counters.add("kdns_drift_repaired_total", self._resource.name, by=len(names))
        log.warning(
            "the watch of %s missed changes, repaired: %s%s",
            self._resource.title, ", ".join(names[:NAMED]), more,
        )  # fmt: skip


def spread_s(size: int) -> float:
    """Over how long everybody's comparisons are spread, for so many objects."""
    return min(max(SPREAD_S, size / OBJECTS_A_S), MAX_SPREAD_S)


def _nothing() -> None:
    """A repair is no sign that the watch is up to date."""
