"""One resource is listed and watched for ever: each rule of following it stands here.

What exists is listed by a watch (WatchList) or in pages, with an empty version: the newest state.
Then the watch goes on, and is resumed after an end or a break, if the server is not older than what
we know: else it would be silent for ever. After 410, any ERROR, 504 or silence: list again. Only a
list that came to its end deletes what it did not name.
"""

import asyncio
import logging
from typing import TypeVar

import msgspec

from kdns.cluster.api.backoff import Backoff
from kdns.cluster.api.failures import (
    MALFORMED,
    Broken,
    Refused,
    SourceError,
    Stale,
    Status,
    Unreachable,
)
from kdns.cluster.api.intake import Intake, number
from kdns.cluster.api.lines import Lines
from kdns.cluster.api.resources import NAMES, PAGE, Page, Reading, Resource, Told
from kdns.cluster.api.session import JSON, METADATA, Body
from kdns.cluster.api.shared import Shared

T = TypeVar("T")

PAGE_SIZE = 100
FAULT_S = 5.0
"""The longest wait after what the server or the network did: they may be well any moment."""
REFUSAL_S = 30.0
"""The longest wait after what a person must change."""
PATIENCE_S = 300.0
"""The longest wait that a server can ask for."""
SOUND_S = 10.0
"""A watch that lasted this long was none of a row of failures."""
GATHER_S = 0.008
"""How long events gather once there are many. perf: bench-cluster; to be woken for each costs as
much as to read and apply it, since the caches are cold: 0.29 → 0.155 ms each at 500 a second."""
FEW = 8
"""Events in a row, each within GATHER_S of the last, that do not wait."""
ABSENT_S = 30.0
"""What was served once must be gone this long: a server that has just started says so as well."""

_ERROR: msgspec.json.Decoder[Told[Status]] = msgspec.json.Decoder(Told[Status])


class Watcher:
    """Follows one resource."""

    def __init__(self, resource: Resource, shared: Shared) -> None:
        self.resource = resource
        self.intake = Intake(resource, shared)
        self.epoch = 0
        """How often we began to list."""
        self.doubted = asyncio.Event()
        """Set when a watch goes on at a server that was away: its history may be another."""
        self._shared = shared
        self._version = ""
        """The newest we have read, to resume from; empty when only a list will do."""
        self._is_fresh = False
        """True when `_version` comes from a list just now."""
        self._backoff = Backoff(shared.chance)
        self._body: Body | None = None
        self._demand: Stale | None = None
        self._absent_since: float | None = None
        self._outages = 0
        """Those of the server that are behind us."""

    async def run(self) -> None:
        """Follows for ever."""
        clock = self._shared.clock
        while True:
            began, failure = clock(), None
            try:
                await self._follow()
            except SourceError as error:
                failure = error
            if clock() - began >= SOUND_S:
                self._backoff.reset()
                failure = self._coped(failure)
            await asyncio.sleep(await self._delay(failure))

    def resync(self, stale: Stale) -> None:
        """Lists again, whatever is under way."""
        self._demand = stale
        if self._body is not None:
            self._body.interrupt()

    def _coped(self, error: SourceError | None) -> SourceError | None:
        """A watch that broke after some time is no failure if the next one succeeds."""
        if not isinstance(error, Broken):
            return error
        self._shared.report.say(logging.INFO, f"{error}; watching again")
        return None

    async def _delay(self, error: SourceError | None) -> float:
        """Notes how a watch ended; how long to wait before the next."""
        shared = self._shared
        cap_s, asked_s = FAULT_S, 0.0
        match error:
            case Stale():
                self._version = ""
                shared.counters.add("kdns_resyncs_total", self.resource.name, error.reason)
                shared.report.say(logging.INFO, f"listing {self.resource.title} again: {error}")
            case Refused(status=404) if self.resource.is_optional:
                return await self._absent(error)
            case Refused(status=403) if self.resource.is_spare:
                shared.report.say(logging.ERROR, str(error))
                await self.intake.excuse()
                cap_s = REFUSAL_S
            case Refused():
                shared.report.failed(self.resource.name, error)
                cap_s = REFUSAL_S if error.status in {401, 403, 404} else FAULT_S
                asked_s = min(error.retry_after, PATIENCE_S) * (1 + shared.chance() / 4)
            case Unreachable():  # the session sees to the wait, for all resources together
                shared.report.failed(self.resource.name, error)
                return 0
            case SourceError():
                shared.report.failed(self.resource.name, error)
        return max(asked_s, self._backoff.delay(cap_s))

    async def _follow(self) -> None:
        """One watch, and what must come before it."""
        self._demand = None
        if not self._version:
            self.epoch += 1
            if self._shared.session.has_watch_lists and await self._watch(lists=True):
                return
            await self._list()
        elif not self._is_fresh:
            await self._look()
        self._is_fresh = False
        await self._watch(lists=False)

    async def _look(self) -> None:
        """Makes sure that the server is not older than what we know.

        A server restored from a backup accepts a watch from its future and is silent for ever. Its
        former self may have ended our watch in good order: so we look after an orderly end, too.
        """
        page = _decoded(NAMES, await self._get({"limit": "1"}, METADATA))
        theirs = page.metadata.resource_version or ""
        if 0 < number(theirs) < number(self._version):
            raise self._older(theirs)

    def _older(self, theirs: str) -> Stale:
        return Stale("older", f"the API server went back from version {self._version} to {theirs}")

    async def _get(self, query: dict[str, str], accept: str = JSON) -> bytes:
        what = f"list {self.resource.title}"
        return await self._shared.session.get(self.resource.path(), query, what=what, accept=accept)

    async def _list(self) -> None:
        """Reads all pages."""
        self.intake.begin_list()
        query = self.resource.query(self._shared.selection) | {"limit": str(PAGE_SIZE)}
        version = ""
        while True:
            try:
                page = _decoded(PAGE, await self._get(query))
            except Refused as error:
                if error.status == 410:
                    raise Stale("expired", "the server forgot the list half-way") from None
                if error.status != 429:
                    raise
                await asyncio.sleep(await self._delay(error))
                continue  # of 1,500 pages one is always refused by a busy server
            version = version or page.metadata.resource_version or ""
            await self._take_page(page)
            query["continue"] = page.metadata.continue_ or ""
            if not query["continue"]:
                break
        self._version, self._is_fresh = version, True
        await self.intake.end_list(version)
        self._well()

    async def _take_page(self, page: Page[msgspec.Raw]) -> None:
        pace = self._shared.pace
        pace.begin()
        for item in page.items or ():
            if pace.is_due:
                await pace.rest()
            try:
                self.intake.put(self.resource.read(item))
            except MALFORMED as error:
                raise Broken(f"the API server listed what is no object: {error}") from None
        await self.intake.hand_over("")

    async def _watch(self, *, lists: bool) -> bool:
        """Watches until an orderly end; False when the server has no WatchList."""
        shared, resource = self._shared, self.resource
        seconds = shared.timing.watch_s * (1 + shared.chance())
        query = resource.query(shared.selection) | {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(max(1, int(seconds))),
            "resourceVersion": "" if lists else self._version,
        }
        if lists:
            query |= {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}
        try:
            what = f"watch {resource.title}"
            async with shared.session.open(resource.path(), query, what=what) as self._body:
                await self._hear(self._body, lists=lists)
        except Refused as error:
            if lists and error.status in {400, 403, 422}:  # without `watch`, a list is something
                shared.session.has_watch_lists &= error.status == 403
                return False
            if not lists and error.status in {410, 504}:
                raise Stale("expired", f"its history is gone ({error.status})") from None
            raise
        finally:
            self._body = None
        return True

    async def _hear(self, body: Body, *, lists: bool) -> None:
        """Reads a watch to its end."""
        lines, pace, intake = Lines(), self._shared.pace, self.intake
        if lists:
            intake.begin_list()
        else:
            intake.begin_watch()
            if self._outages != self._shared.session.outages:
                self.doubted.set()
            self._well()
        now = asyncio.get_running_loop().time
        heard_at, many = now(), 0
        while piece := await self._next(body, now() - heard_at):
            pace.begin()
            try:
                whole = lines.split(piece)
                for line in whole:
                    if pace.is_due:
                        await pace.rest()
                    await self._take(line)
            except SourceError:  # what was read before it counts, since we resume behind it
                await intake.hand_over(self._version)
                raise
            if whole:  # a line that trickles in is no sign of life
                many = many + 1 if len(whole) > 1 or now() - heard_at < GATHER_S else 0
                heard_at = now()
                await intake.hand_over(self._version)
                if many > FEW and not intake.is_listing:
                    await body.gather(GATHER_S)
        if intake.is_listing or not lines.is_empty:
            raise Broken("the API server ended a watch in the middle")

    async def _next(self, body: Body, silent_s: float) -> bytes:
        """The next piece of a watch, empty at its end; Stale after silence or `resync`."""
        timing, is_listing = self._shared.timing, self.intake.is_listing
        limit_s = timing.list_s if is_listing else timing.progress_s
        try:
            if self._demand is None:
                return await body.read(limit_s - silent_s)
        except TimeoutError:
            if self._demand is None and is_listing:
                raise self._no_list(f"no end of it came in {limit_s:g} s") from None
            if self._demand is None:
                raise Stale("silent", f"nothing was heard for {limit_s:g} s") from None
        raise self._demand

    def _no_list(self, why: str) -> Stale:
        """A server that does not know WatchList sends all objects, and never says that it did."""
        self._shared.session.has_watch_lists = False
        return Stale("unlisted", f"the API server sends no list in a watch: {why}")

    async def _take(self, line: bytes) -> None:
        """One line of a watch."""
        try:
            kind, reading = self.resource.hear(line)
        except MALFORMED as error:
            raise Broken(f"the API server sent no watch event: {error}") from None
        if kind == "ERROR":
            raise _error(line)
        if self.intake.is_listing:
            await self._take_listed(kind, reading)
            return
        # Versions only grow; where they do not, it is another history.
        if 0 < number(reading.version) < number(self._version):
            raise self._older(reading.version)
        self._version = reading.version or self._version
        self._backoff.reset()
        if kind != "BOOKMARK":
            self.intake.change(kind, reading)

    async def _take_listed(self, kind: str, reading: Reading) -> None:
        if kind != "BOOKMARK":
            self.intake.change(kind, reading)
        elif reading.ends_list:
            self._version = reading.version
            await self.intake.end_list(reading.version)
            self._well()
        else:
            raise self._no_list("a bookmark came before its end")

    def _well(self) -> None:
        self._absent_since, self._outages = None, self._shared.session.outages
        self._shared.report.well(self.resource.name)

    async def _absent(self, error: Refused) -> float:
        """The server does not serve this resource: there is none of it, if that stays so."""
        now = self._shared.clock()
        if self._absent_since is None:
            self._absent_since = now
            self._shared.report.say(logging.WARNING, f"{error}; asking again each minute")
        if self.intake.has_listed and now - self._absent_since < ABSENT_S:
            return FAULT_S
        self._version = ""
        self.intake.begin_list()
        await self.intake.end_list("")
        return REFUSAL_S * (1 + self._shared.chance())


def _decoded(decoder: msgspec.json.Decoder[T], text: bytes) -> T:
    try:
        return decoder.decode(text)
    except MALFORMED as error:
        raise Broken(f"this is no Kubernetes API server: {error}") from None


def _error(line: bytes) -> Stale:
    """An ERROR in a watch: whatever it is, it is the end of this history."""
    status = _decoded(_ERROR, line).object
    reason = {410: "expired", 504: "ahead"}.get(status.code or 0, "error")
    return Stale(reason, f"the watch failed ({status.code}: {status.message or status.reason})")
