"""Watches: the events behind a version, as lines of JSON, for as long as the client stays.

As on a real server: a version that is forgotten is a 410 in the stream; one that the server has not
reached is silence until it gets there, without bookmarks; a WatchList from such a version ends
after 3 s with a 504 in the stream. A selector turns what enters into ADDED and what leaves into
DELETED.
"""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from time import perf_counter

from kdns.lab import errors, forms
from kdns.lab.calls import Call, Selection, check_list_options, selection
from kdns.lab.errors import Obj
from kdns.lab.faults import Fault, Faults, Subject, What
from kdns.lab.history import Event, Watch
from kdns.lab.pieces import joined
from kdns.lab.reading import version_of
from kdns.lab.storage import Storage

BOOKMARK_S = 60.0
TOO_LARGE_S = 3.0
_BREAKS: tuple[What, ...] = ("error", "end", "half_close", "reset", "garble")


class Broken(Exception):
    """A fault ends this stream."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.what)
        self.fault = fault


@dataclass(frozen=True, slots=True)
class Pace:
    """How often bookmarks come, and how long a client is kept at most."""

    bookmark_s: float = BOOKMARK_S
    longest_s: float = 3600.0


class Stream:
    """One watch; iterating gives what to send, raises Broken where a fault ends it."""

    def __init__(self, call: Call, storage: Storage, faults: Faults, pace: Pace) -> None:
        check_list_options(call)
        self._call = call
        self._storage = storage
        self._faults = faults
        self._pace = pace
        self._wanted = selection(call)
        text = call.query.get("resourceVersion", "")
        self._asked = version_of(text)
        self._is_initial = call.is_set("sendInitialEvents") or (
            text in {"", "0"} and "sendInitialEvents" not in call.query
        )
        self.is_list = call.is_set("sendInitialEvents")
        verb = "watchlist" if self.is_list else "watch"
        self.subject = Subject(verb, call.resource.plural, call.target.namespace)
        self._has_bookmarks = call.is_set("allowWatchBookmarks")
        asked_s = call.number("timeoutSeconds")
        self._ends = perf_counter() + (asked_s or pace.longest_s)

    async def lines(self) -> AsyncGenerator[bytes, None]:
        """What to send, in pieces of whole lines; ends with the time-out."""
        try:
            async for piece in self._lines():
                yield piece
        except errors.ApiError as error:
            yield forms.failure(error)

    async def _lines(self) -> AsyncGenerator[bytes, None]:
        if self.is_list and self._asked > self._storage.version:
            await asyncio.sleep(TOO_LARGE_S)
            raise errors.too_large(self._asked, self._storage.version)
        since = self._asked or self._storage.version
        namespace = self._call.target.namespace
        watch = self._storage.watch(
            self._call.resource,
            namespace,
            since=self._storage.version if self._is_initial else since,
        )
        reached = self._storage.version
        if self._is_initial:
            items = self._storage.items(self._call.resource, namespace)
            async for piece in joined(self._line(Event("ADDED", one, None)) for one in items):
                yield piece
        if self.is_list and self._has_bookmarks:
            end = self._bookmark(reached, is_end=True)
            if end:
                yield end
        self._faults.follow(self.subject, watch.wake)
        try:
            async for piece in self._following(watch):
                yield piece
        finally:
            self._faults.leave(watch.wake)

    async def _following(self, watch: Watch) -> AsyncGenerator[bytes, None]:
        due = perf_counter() + self._pace.bookmark_s
        while True:
            now = perf_counter()
            if now >= self._ends:
                return
            self._break()
            async for piece in joined(map(self._line, watch.taken())):
                yield piece
            if now >= due:
                due = now + self._pace.bookmark_s
                line = self._bookmark(self._storage.version)
                if line:
                    yield line
            await watch.wait(min(due, self._ends) - perf_counter())

    def _line(self, event: Event) -> bytes:
        if event.version <= self._asked and not self._is_initial:
            return b""
        kind = _kind(event, self._wanted)
        if not kind or self._is_lost(event.object):
            return b""
        self._break()
        return forms.event(self._call.resource, kind, event, self._call.form, self._storage.now())

    def _bookmark(self, version: int, *, is_end: bool = False) -> bytes:
        """A bookmark; none for a client that is ahead of us, and none that a fault eats."""
        if not self._has_bookmarks or version < self._asked:
            return b""
        whats: tuple[What, ...] = ("endless", "silence") if is_end else ("mute", "silence")
        if self._faults.apply(whats, self.subject):
            return b""
        return forms.bookmark(self._call.resource, version, self._call.form, is_end=is_end)

    def _is_lost(self, obj: Obj) -> bool:
        metadata = obj["metadata"]
        named = Subject(
            self.subject.verb,
            self.subject.resource,
            metadata.get("namespace", ""),
            metadata["name"],
        )
        return self._faults.apply(("drop", "silence"), named) is not None

    def _break(self) -> None:
        fault = self._faults.apply(_BREAKS, self.subject)
        if fault:
            raise Broken(fault)


def _kind(event: Event, wanted: Selection) -> str:
    """The event as a selector sees it; "" when it does not."""
    if wanted.is_whole:
        return event.type
    is_in = event.type != "DELETED" and wanted.matches(event.object)
    was_in = event.old is not None and wanted.matches(event.old)
    if is_in:
        return "MODIFIED" if was_in else "ADDED"
    return "DELETED" if was_in else ""
