"""The ground of a lab that stands on this machine's loopback addresses: nothing is isolated.

10.96.0.10 is 127.96.0.10 here (127.112.0.10 in a second lab, and so on), and ports below 1024 are
shifted where they cannot be had. All that listens is on addresses of the lab, and endpoints lead
only to what listens for the lab: services of this machine that listen everywhere would otherwise be
found behind its addresses, too.
"""

import errno
import socket
import uuid
from asyncio.subprocess import Process
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import AddressValueError, IPv4Address
from pathlib import Path
from typing import TypeVar
from weakref import WeakSet

from kdns.lab.ground import running, warden
from kdns.lab.ground.base import (
    NO_PLACE,
    OF_CLUSTER,
    Entry,
    Listener,
    Listeners,
    Stand,
    Streams,
    Transport,
)
from kdns.lab.ranges import LOOPBACK, MOST_LOOPBACKS, Ranges, loopback

SHIFT = 20000
_RESERVED = 1024
_BIND_ADDRESS_NO_PORT = 24
"""IP_BIND_ADDRESS_NO_PORT of linux/in.h, which Python knows from 3.12 on."""


def least_offset() -> int:
    """0 where this process may listen on ports below 1024, else what must be added to them."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as one:
        try:
            one.bind((LOOPBACK.dns, 1))
        except OSError as error:
            # a port that somebody has could have been had: the right is looked at first
            return 0 if error.errno == errno.EADDRINUSE else SHIFT
    return 0


@dataclass(eq=False, slots=True)
class _Indexed(Listeners):
    """Listeners by where they are and whose they are; looking at all would be quadratic."""

    at: dict[tuple[str, int], set[Listener]] = field(default_factory=dict)
    of: dict[str, set[Listener]] = field(default_factory=dict)
    places: dict[Listener, tuple[str, int]] = field(default_factory=dict)
    """A socket that its user has closed already does not say where it was."""

    def add(self, listener: Listener) -> Listener:
        """Notes a new one."""
        place = self.places[listener] = listener.socket.getsockname()
        self.at.setdefault(place, set()).add(listener)
        self.of.setdefault(listener.at, set()).add(listener)
        return Listeners.add(self, listener)

    def close(self, listener: Listener) -> None:
        """Closes one."""
        if listener in self.open:
            _drop(self.at, self.places.pop(listener), listener)
            _drop(self.of, listener.at, listener)
        Listeners.close(self, listener)


_Key = TypeVar("_Key")


def _drop(index: dict[_Key, set[Listener]], key: _Key, listener: Listener) -> None:
    index[key].discard(listener)
    if not index[key]:
        del index[key]


class Loopback:
    """A Ground of addresses in 127.0.0.0/8."""

    has_spaces = False

    def __init__(self, ranges: Ranges = LOOPBACK, claim: socket.socket | None = None) -> None:
        """`claim` keeps the ranges for as long as the ground stands; see first_free."""
        self.ranges = ranges
        self._claim = claim
        self.offset = least_offset()
        self._indexed = _Indexed()
        self.listeners: Listeners = self._indexed
        self._stands: dict[str, Stand] = {}
        self._owners: dict[str, list[Stand]] = defaultdict(list)
        self._admitted: set[tuple[str, int]] = set()
        self._leaving: dict[str, WeakSet[socket.socket]] = defaultdict(WeakSet)
        self._mark = uuid.uuid4().hex
        self._warden: running.Warden | None = None
        self._entered: dict[str, set[str]] = defaultdict(set)

    @classmethod
    def first_free(cls) -> "Loopback":
        """One on ranges that no other lab of this machine stands on; raises OSError."""
        for number in range(MOST_LOOPBACKS):
            claim = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                # no file: the kernel gives the name back when the lab ends, killed or not
                claim.bind(f"\0kdns-lab-loopback-{number}")
            except OSError:
                claim.close()
                continue
            return cls(loopback(number), claim)
        why = f"{MOST_LOOPBACKS} labs stand on the loopback addresses of this machine: end one"
        raise OSError(errno.EADDRINUSE, why)

    def put_up(self, stand: Stand) -> None:
        """Knows a pod by its addresses; there is nothing to make."""
        self.take_down(stand.uid)
        self._stands[stand.uid] = stand
        if not stand.is_on_host:
            for address in stand.addresses:
                self._owners[address].append(stand)

    def take_down(self, uid: str) -> None:
        """Closes its listeners, breaks off what it began, and kills what runs in it."""
        stand = self._stands.pop(uid, None)
        if stand is None:
            return
        for address in stand.addresses:
            self._disown(address, stand)
        for listener in list(self._indexed.of.get(uid, ())):
            self.listeners.close(listener)
        for one in self._leaving.pop(uid, ()):
            with suppress(OSError):  # it never connected, or its user has closed it
                one.shutdown(socket.SHUT_RDWR)
        if uid in self._entered:
            warden.end(f"{self._mark}/{uid}", self._entered.pop(uid))

    def close(self) -> None:
        """Takes down all; what ran in pods is gone then."""
        for uid in list(self._stands):
            self.take_down(uid)
        for listener in list(self.listeners.open):
            self.listeners.close(listener)
        if self._warden:
            self._warden.close()
            self._warden = None
        if self._claim:
            self._claim.close()

    def stand_of(self, address: str) -> Stand | None:
        """Whose address it is; those of nodes, where pods on the host network are, are nobody's."""
        owners = self._owners.get(address)
        return owners[-1] if owners else None

    def listen(
        self, address: str, port: int, transport: Transport, *, at: str = OF_CLUSTER
    ) -> Listener:
        """A listener on an address of the lab; raises OSError."""
        place = self._place(address, port)
        kind = socket.SOCK_STREAM if transport == "TCP" else socket.SOCK_DGRAM
        one = socket.socket(socket.AF_INET, kind)
        try:
            one.setblocking(False)
            if transport == "TCP":
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            one.bind(place)
        except OSError:
            one.close()
            raise
        return self.listeners.add(Listener(one, address, port, transport, at))

    def outgoing(self, address: str, transport: Transport, *, source: str = "") -> socket.socket:
        """A socket bound to the source, if that is an address of this machine's loopback."""
        self._require_ours(address)
        kind = socket.SOCK_STREAM if transport == "TCP" else socket.SOCK_DGRAM
        one = socket.socket(socket.AF_INET, kind)
        try:
            one.setblocking(False)
            if _is_loopback(source):
                one.setsockopt(socket.IPPROTO_IP, _BIND_ADDRESS_NO_PORT, 1)
                one.bind((source, 0))
        except OSError:
            one.close()
            raise
        stand = self.stand_of(source)
        if stand:
            self._leaving[stand.uid].add(one)
        return one

    def target(self, address: str, port: int) -> tuple[str, int]:
        """Where it is here; raises OSError for all that does not listen for the lab."""
        place = self._place(address, port)
        if place in self._admitted or place in self._indexed.at:
            return place
        why = f"nothing of the lab listens on {place[0]}:{place[1]}"
        raise ConnectionRefusedError(errno.ECONNREFUSED, why)

    def admit(self, address: str, port: int) -> tuple[str, int]:
        """Lets targets lead to what listens for the lab in a process of its own: the DNS server."""
        place = self._place(address, port)
        self._admitted.add(place)
        return place

    def block(self, uid: str, targets: frozenset[tuple[str, int, Transport]]) -> None:
        """Nothing is left to do: DNS is asked through a relay of the lab's, which has filters."""

    async def enter(self, uid: str, entry: Entry, streams: Streams) -> Process:
        """Runs a command that is told by its environment which pod it is in."""
        stand = self._stands.get(uid)
        if stand is None:
            raise LookupError(NO_PLACE)
        environ = {
            **entry.environ,
            **running.told(stand, entry, self),
            warden.MARK: f"{self._mark}/{uid}",
        }
        program = running.found(entry.command[0], environ)
        if self._warden is None:
            self._warden = running.Warden(self._mark)
        folder = entry.files.get(running.TMP)
        known = self._entered[uid]
        if folder:
            known.add(self._warden.watch(folder))
        process = await running.start(
            [program, *entry.command[1:]], environ, streams, folder or Path("/")
        )
        if uid not in self._stands:  # taken down while it began
            warden.end(f"{self._mark}/{uid}", known)
        return process

    # Private

    def _place(self, address: str, port: int) -> tuple[str, int]:
        """Where an address and port of the API's are."""
        host = self._require_ours(address)
        shifted = port + self.offset if port < _RESERVED else port
        return host, shifted

    def _require_ours(self, address: str) -> str:
        host = self.ranges.moved(address)
        if ":" in host:
            why = f"a lab on loopback addresses has no IPv6: {address}"
            raise OSError(errno.EAFNOSUPPORT, why)
        if not self._has(host):
            raise OSError(errno.EADDRNOTAVAIL, f"{address} is no address of this lab")
        return host

    def _has(self, host: str) -> bool:
        try:
            address = IPv4Address(host)
        except AddressValueError:
            return False
        here = self.ranges
        return any(
            address in network for network in (here.services, here.pods, here.nodes, here.outside)
        )

    def _disown(self, address: str, stand: Stand) -> None:
        left = [one for one in self._owners.get(address, ()) if one is not stand]
        if left:
            self._owners[address] = left
        else:
            self._owners.pop(address, None)


def _is_loopback(text: str) -> bool:
    try:
        return IPv4Address(text).is_loopback
    except AddressValueError:
        return False
