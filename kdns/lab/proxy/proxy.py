"""The played kube-proxy: follows the storage, and listens where the rules say, by difference.

Events are read and listeners opened in turns of a few milliseconds; whoever must choose an endpoint
now has all events read at once, and his own place brought in line. What cannot be listened on is
told once, with what to do, and tried again after changes.
"""

import asyncio
import errno
import os
import resource
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from kdns.lab.controllers.bodies import annotations_of, name_of
from kdns.lab.errors import ApiError, Obj
from kdns.lab.ground.base import Ground, Transport
from kdns.lab.history import Event, Watch
from kdns.lab.proxy.board import Board, Room, log
from kdns.lab.proxy.dial import Dial
from kdns.lab.proxy.ingress import IngressFront
from kdns.lab.proxy.listing import OFFSET
from kdns.lab.proxy.rules import Place, Rule, key_of
from kdns.lab.proxy.table import Table
from kdns.lab.proxy.tcp import TcpFront
from kdns.lab.proxy.udp import UdpFront
from kdns.lab.resources import INGRESSES, NODES, SERVICES, SLICES, Resource
from kdns.lab.storage import Storage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kdns.lab.stage import Policies

TURN_S = 0.002
RETRY_S = 1.0
LONG_S = 60.0
_FOLLOWED = (NODES, SERVICES, SLICES, INGRESSES)
_MOST = 4096
_AT_ONCE = 8
"""Listeners that are opened, or closed, between two looks at the clock."""
_NONSENSE = (LookupError, TypeError, ValueError, AttributeError)

Front = TcpFront | UdpFront


class Proxy:
    """All listeners of services; `kept` are places that somebody else serves."""

    def __init__(
        self,
        storage: Storage,
        ground: Ground,
        policies: "Policies",
        *,
        kept: set[tuple[str, int, str]] | None = None,
    ) -> None:
        self._storage = storage
        self._ground = ground
        self._kept = {Place(address, port, _protocol(name)) for address, port, name in kept or ()}
        most = _most()
        self._most_fronts = _most_files() // 3
        """Else one service with many ports could keep everybody from the API."""
        self.board = Board(
            Dial(ground),
            policies,
            self.catch_up,
            Room("connections to services", most),
            Room("connections that a policy forbids", most // 4),
            Room("UDP flows to services", most),
        )
        self._fronts: dict[Place, Front] = {}
        self._failed: dict[Place, str] = {}
        self._told: set[tuple[str, Place]] = set()
        self._closed: set[TcpFront] = set()
        self._watches: dict[Resource, Watch] = {}
        self._events: deque[tuple[Resource, Event]] = deque()
        self._parts: Iterator[set[Place]] | None = None
        """What is left of the event that is being taken."""
        self._ingress = IngressFront(self.board, storage)
        self._is_due = True
        self._is_settling = False
        self._is_at_work = False
        self._touched: set[Place] = set()
        self.changed: list[Callable[[set[Place]], None]] = []
        """Called after the rules of these places have changed."""

    @property
    def table(self) -> Table:
        """The rules."""
        return self.board.table

    async def run(self) -> None:
        """Does its duty until it is cancelled; all listeners and connections end with it."""
        self._watches = self._watching()
        try:
            async with asyncio.TaskGroup() as group:
                for followed in _FOLLOWED:
                    group.create_task(self._wake(followed))
                group.create_task(self._retry())
        finally:
            await self._end()

    def catch_up(self, place: Place | None = None) -> None:
        """Reads all that the storage has, and settles one place by it."""
        if self._is_settling:  # whoever looks at a new listener may ask what is behind it
            return
        self._read()
        while self._events or self._parts:
            self._apply()
        if place in self._touched:
            self._touched.discard(place)
            self._settle({place})

    def behind(self, address: str, port: int, transport: Transport) -> list[tuple[str, int]]:
        """The endpoints that connections to a place may go to, as far as events were read."""
        rule = self.table.rule_at(Place(address, port, transport))
        return [one.place for one in rule.endpoints] if rule else []

    # Following

    def _watching(self) -> dict[Resource, Watch]:
        return {one: self._storage.watch(one) for one in _FOLLOWED}

    async def _wake(self, followed: Resource) -> None:
        while True:
            self._read()
            if not self._is_at_work:  # one of us does what all have to
                await self._work()
            await self._watches[followed].wait(LONG_S)

    async def _work(self) -> None:
        self._is_at_work = True
        start = time.monotonic()
        while self._advance():
            if time.monotonic() - start > TURN_S:
                await asyncio.sleep(0)
                start = time.monotonic()
        self._is_at_work = False

    def _advance(self) -> bool:
        """Does a little of what is left to do; False when nothing was."""
        if (self._events or self._parts) and len(self._touched) < _AT_ONCE:
            self._apply()
            return True
        places = {self._touched.pop() for _ in range(min(_AT_ONCE, len(self._touched)))}
        if places:
            self._settle(places)
        return bool(places)

    def _read(self) -> None:
        try:
            for followed, watch in self._watches.items():
                self._events.extend((followed, event) for event in watch.taken())
        except ApiError:  # the history was cut, or replaced
            self._begin_anew()

    def _begin_anew(self) -> None:
        """Forgets everything but the listeners, and reads all that is stored now."""
        self._touched |= {*self.table.places(), *self._fronts}
        self.board.table = Table()
        self._ingress.clear()
        self._watches = self._watching()
        self._events.clear()
        self._parts = None
        for followed, watch in self._watches.items():
            self._events.extend((followed, event) for event in watch.taken())
        while self._events or self._parts:
            self._apply()

    def _apply(self) -> None:
        """Takes an event, or a part of one."""
        if self._parts is None:
            self._event = self._events.popleft()
            self._parts = self._changed(*self._event)
        try:
            changed = next(self._parts, None)
        except _NONSENSE as error:
            changed = None
            words = "kube-proxy: %s %s makes no sense (%s: %s); left alone until it changes"
            followed, event = self._event
            name = name_of(event.object)
            log.warning(words, followed.singular, name, type(error).__name__, error)
        if changed is None:
            self._parts = None
        else:
            self._touched |= changed

    def _changed(self, followed: Resource, event: Event) -> Iterator[set[Place]]:
        table, is_gone = self.table, event.type == "DELETED"
        if followed is INGRESSES:
            self._ingress.change(event)
            return
        actions: Mapping[Resource, tuple[Callable[[Obj], set[Place]], ...]] = {
            SERVICES: (table.set_service, table.drop_service),
            SLICES: (table.set_slice, table.drop_slice),
            NODES: (table.set_node, table.drop_node),
        }
        if followed is SERVICES and not is_gone:
            yield from table.taking(event.object)
        else:
            yield actions[followed][is_gone](event.object)
        if followed is SERVICES:
            self._tell_losers(event.object)
            if is_gone:
                key = key_of(event.object)
                self.board.forget(key)
                self._told = {one for one in self._told if one[0] != key}
        elif followed is NODES and not is_gone:
            self._mark(event.object)

    def _tell_losers(self, service: Obj) -> None:
        key = key_of(service)
        for rule in self.table.rules(key):
            winner = self.table.rule_at(rule.place)
            if winner and winner.service != key and (key, rule.place) not in self._told:
                self._told.add((key, rule.place))
                words = "kube-proxy: %s is not served at %s: %s, which is older, has it"
                log.warning(words, key, _words(rule.place), winner.service)

    def _mark(self, node: Obj) -> None:
        """Leaves on a node what `kdns lab rules` must know of this ground."""
        offset = str(self._ground.offset)
        if annotations_of(node).get(OFFSET, "0") == offset:
            return
        annotations = {**annotations_of(node), OFFSET: offset}
        changed = {**node, "metadata": {**node["metadata"], "annotations": annotations}}
        changed["metadata"].pop("resourceVersion", None)
        with suppress(ApiError):
            self._storage.update(NODES, "", name_of(node), changed)

    # Listening

    def _settle(self, places: set[Place]) -> None:
        """Brings listeners in line with the rules; first what closes, which may make room."""
        self._is_settling = self._is_due = True
        try:
            self._open_and_close(places)
        finally:
            self._is_settling = False
        for tell in self.changed:
            tell(places)

    def _open_and_close(self, places: set[Place]) -> None:
        opening = []
        for place in places:
            rule, front = self.table.rule_at(place), self._fronts.get(place)
            is_wanted = rule is not None and bool(rule.members) and place not in self._kept
            if not is_wanted:
                self._failed.pop(place, None)
                if front:
                    self._close(place, front)
            elif front and rule:
                front.update(rule)
            elif rule:
                opening.append(rule)
        for rule in opening:
            self._open(rule)

    def _open(self, rule: Rule) -> None:
        place = rule.place
        try:
            self.board.dial.require_inside(place.address)
            self._require_room()
            listener = self._ground.listen(place.address, place.port, place.protocol)
        except OSError as error:
            why = _remedy(error, rule, self._ground)
            if self._failed.get(place) != why:
                log.warning("kube-proxy: %s: nothing listens on %s: %s",
                            rule.service, _words(place), why)  # fmt: skip
            self._failed[place] = why
            return
        self._failed.pop(place, None)
        made = TcpFront if place.protocol == "TCP" else UdpFront
        self._fronts[place] = made(self.board, rule, listener)

    def _require_room(self) -> None:
        if len(self._fronts) >= self._most_fronts:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    def _close(self, place: Place, front: Front) -> None:
        del self._fronts[place]
        front.close()
        if isinstance(front, TcpFront):
            self._closed.add(front)

    async def _retry(self) -> None:
        """Tries again what could not be listened on, when something has changed."""
        while True:
            await asyncio.sleep(RETRY_S)
            self._closed = {front for front in self._closed if front.is_busy}
            if self._is_due:
                self._is_due = False
                rules = [self.table.rule_at(place) for place in list(self._failed)]
                for rule in filter(None, rules):
                    self._open(rule)
            self._ingress.settle()

    async def _end(self) -> None:
        self._watches.clear()
        for place, front in list(self._fronts.items()):
            self._close(place, front)
        for front in self._closed:
            await front.end()
        await self._ingress.end()


def _remedy(error: OSError, rule: Rule, ground: Ground) -> str:
    """Why an address cannot be listened on, and what to do."""
    match error.errno:
        case errno.EADDRINUSE:
            return "another program has that address and port; end it, or choose another port"
        case errno.ENETUNREACH | errno.EADDRNOTAVAIL | errno.EAFNOSUPPORT:
            field = "spec.externalIPs" if rule.kind == "ExternalIP" else "its address"
            outside = ground.ranges.outside
            return f"it is no address of this lab; for {field} take one of {outside}"
        case errno.EACCES:
            return f"this process may not listen on port {rule.place.port}; take one from 1024 on"
        case errno.EMFILE | errno.ENFILE:
            return "too many files are open; raise the limit (ulimit -n) or have fewer services"
    return os.strerror(error.errno) if error.errno else str(error)


def _most() -> int:
    """Connections that may be open: two files each, and half of all files for the rest."""
    return min(_MOST, _most_files() // 4)


def _most_files() -> int:
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return limit if limit > 0 else 1 << 20  # RLIM_INFINITY is less than 0


def _protocol(name: str) -> Transport:
    return "UDP" if name == "UDP" else "TCP"


def _words(place: Place) -> str:
    host = f"[{place.address}]" if ":" in place.address else place.address
    return f"{host}:{place.port}/{place.protocol}"
