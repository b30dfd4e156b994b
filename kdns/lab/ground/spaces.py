"""The ground with real addresses: each pod has a network namespace, joined by a veth pair.

The lab's own namespace routes between them and has all addresses of services and nodes (`inner`).
Sockets of pods are made by the lab in the pod's namespace, where its thread stands for that long.
"""

import asyncio
import itertools
import logging
import os
import signal
import socket
from asyncio.subprocess import Process
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from weakref import WeakSet

from kdns.lab.ground import kernel, netlink
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
from kdns.lab.ground.children import send
from kdns.lab.ground.inner import has_v6
from kdns.lab.ground.netlink import Netlink
from kdns.lab.ground.processes import Starter, sweep
from kdns.lab.ranges import USUAL, Ranges

_KINDS = {"net": kernel.NEWNET, "uts": kernel.NEWUTS}
_FIRST_LINK = 100
_IN_POD = 2
_EVERYTHING = {4: ip_network("0.0.0.0/0"), 6: ip_network("::/0")}
_WILDCARD = {4: "0.0.0.0", 6: "::"}  # noqa: S104 (of a pod, in its own namespace)
_DROP_PRIORITY = 1000
_LOG = logging.getLogger("kdns.lab")
_BIND_WITHOUT_PORT = 24  # IP_BIND_ADDRESS_NO_PORT


Target = tuple[str, int, Transport]


@dataclass(eq=False, slots=True)
class _Space:
    """Where a pod stands."""

    stand: Stand
    descriptor: int
    """Of its network namespace, or of its UTS namespace when it is on the host network."""
    link: int = 0
    """Of the lab's end of its veth pair."""
    entered: list[Process] | None = None
    """Those that were started there last, or None when nobody came in."""
    listeners: list[Listener] = field(default_factory=list)
    outgoing: WeakSet[socket.socket] = field(default_factory=WeakSet)
    blocked: frozenset[Target] = frozenset()

    @property
    def kind(self) -> str:
        """Of the namespace that tells its processes from all others."""
        return "uts" if self.stand.is_on_host else "net"


class Spaces:
    """A Ground of namespaces; made inside of `inner`."""

    def __init__(self, ranges: Ranges = USUAL) -> None:
        self.ranges = ranges
        self.offset = 0
        self.has_spaces = True
        self.listeners = Listeners()
        self._net = Netlink()
        self._home = {kind: _open(kind) for kind in _KINDS}
        self._spaces: dict[str, _Space] = {}
        self._by_address: dict[str, _Space] = {}
        self._links = itertools.count(_FIRST_LINK)
        self._has_v6 = has_v6()
        self._starter = Starter()
        self._turn = asyncio.Lock()
        """Each start holds the loop up for a few ms: between two of them others have their turn."""
        self._own = (ranges.services, ranges.services6, ranges.nodes, ranges.outside)

    def close(self) -> None:
        """Takes all down."""
        for uid in list(self._spaces):
            self.take_down(uid)
        self._net.close()
        for home in self._home.values():
            os.close(home)

    # Places

    def put_up(self, stand: Stand) -> None:
        """Makes a pod's namespace, and the way there and back."""
        self.take_down(stand.uid)
        if stand.is_on_host:
            with self._new_namespace("uts") as descriptor:
                self._spaces[stand.uid] = _Space(stand, descriptor)
            return
        space = self._put_up(stand)
        self._spaces[stand.uid] = space
        for address in stand.addresses:
            self._by_address[address] = space

    def _put_up(self, stand: Stand) -> _Space:
        with self._new_namespace("net") as descriptor:
            inner = Netlink()
        link = next(self._links)
        try:
            with inner:
                networks = self._networks(stand)
                pair = netlink.veth(
                    link_name(link), link, peer="eth0", peer_index=_IN_POD, space=descriptor
                )
                self._net.run(pair, *(netlink.route(one, link) for one in networks))
                inner.run(
                    netlink.link_up(netlink.LO),
                    netlink.link_up(_IN_POD),
                    *(netlink.address(str(one), _IN_POD) for one in networks),
                    *(netlink.route(_EVERYTHING[one.version], _IN_POD) for one in networks),
                )
        except OSError:
            with suppress(OSError):
                self._net.run(netlink.delete_link(link))
            os.close(descriptor)
            raise
        return _Space(stand, descriptor, link)

    def _networks(self, stand: Stand) -> list[netlink.Network]:
        """Of its addresses, as far as the kernel has IPv6."""
        found = [ip_network(one) for one in stand.addresses]
        return [one for one in found if one.version == 4 or self._has_v6]

    @contextmanager
    def _new_namespace(self, kind: str) -> Iterator[int]:
        """Stands in a new one for a moment; it lives on by the descriptor."""
        kernel.unshare(_KINDS[kind])
        try:
            yield _open(kind)
        finally:
            kernel.setns(self._home[kind], _KINDS[kind])

    def take_down(self, uid: str) -> None:
        """Ends what runs in a pod's namespace, closes what listens there, and removes it."""
        space = self._spaces.get(uid)
        if space is None:
            return
        self.block(uid, frozenset())
        del self._spaces[uid]
        for listener in space.listeners:
            self.listeners.close(listener)
        _kill(space)
        os.close(space.descriptor)
        if space.link:
            self._cut_off(space)

    def _cut_off(self, space: _Space) -> None:
        """The kernel removes the pair with the namespace, in a moment of its own (45 ms for two
        hundred); to ask for it would hold the lab up for 30 ms each."""
        for one in space.outgoing:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        for address in space.stand.addresses:
            if self._by_address.get(address) is space:
                del self._by_address[address]
        with suppress(OSError):
            networks = self._networks(space.stand)
            self._net.run(*(netlink.delete_route(one, space.link) for one in networks))

    def stand_of(self, address: str) -> Stand | None:
        """The pod that has an address of its own."""
        space = self._by_address.get(address)
        return space.stand if space else None

    def link_of(self, uid: str) -> str:
        """The lab's link to a pod, by which rules know what comes from it; "" without one."""
        space = self._spaces.get(uid)
        return link_name(space.link) if space and space.link else ""

    # Sockets

    def listen(
        self, address: str, port: int, transport: Transport, *, at: str = OF_CLUSTER
    ) -> Listener:
        """In a pod on all of its addresses of that family, localhost too."""
        space = self._spaces.get(at)
        version = ip_address(address).version
        is_in_pod = space is not None and bool(space.link)
        made = self._socket(space, version, transport)
        try:
            if transport == "TCP":
                made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind((_WILDCARD[version] if is_in_pod else address, port))
            port = made.getsockname()[1]
            listener = self.listeners.add(Listener(made, address, port, transport, at))
        except OSError:
            made.close()
            raise
        if space:
            space.listeners = [
                listener,
                *(one for one in space.listeners if one.socket.fileno() >= 0),
            ]
        return listener

    def outgoing(self, address: str, transport: Transport, *, source: str = "") -> socket.socket:
        """A socket of the pod whose address `source` is, or one of the lab's own that bears it."""
        version = ip_address(address).version
        space = self._by_address.get(source)
        made = self._socket(space, version, transport)
        is_ours = space is None and source and any(ip_address(source) in own for own in self._own)
        if is_ours and ip_address(source).version == version:
            made.setsockopt(socket.IPPROTO_IP, _BIND_WITHOUT_PORT, 1)
            made.bind((source, 0))
        if space:
            space.outgoing.add(made)
        return made

    def target(self, address: str, port: int) -> tuple[str, int]:
        """As the API has it."""
        return address, port

    def block(self, uid: str, targets: frozenset[Target]) -> None:
        """By rules for what comes in by the link of a pod."""
        space = self._spaces.get(uid)
        if space is None or not space.link:
            return
        link = link_name(space.link)
        changes = [netlink.delete_rule(_drop(link, one)) for one in space.blocked - targets]
        changes += [netlink.add_rule(_drop(link, one)) for one in targets - space.blocked]
        space.blocked = targets
        try:
            self._net.run(*changes)
        except OSError as error:
            _LOG.warning("what pod %s sends cannot be dropped: %s", space.stand.name, error)

    def _socket(self, space: _Space | None, version: int, transport: Transport) -> socket.socket:
        family = socket.AF_INET if version == 4 else socket.AF_INET6
        kind = socket.SOCK_STREAM if transport == "TCP" else socket.SOCK_DGRAM
        with self._standing_in(space):
            made = socket.socket(family, kind)
        made.setblocking(False)
        if version == 6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        return made

    @contextmanager
    def _standing_in(self, space: _Space | None) -> Iterator[None]:
        if space is None or not space.link:
            yield
            return
        kernel.setns(space.descriptor, kernel.NEWNET)
        try:
            yield
        finally:
            kernel.setns(self._home["net"], kernel.NEWNET)

    # Processes

    async def enter(self, uid: str, entry: Entry, streams: Streams) -> Process:
        """By way of the launcher, which stands on its own."""
        async with self._turn:
            space = self._spaces.get(uid)
            if space is None:
                raise LookupError(NO_PLACE)
            process = await self._starter.start((space.kind, space.descriptor), entry, streams)
        if self._spaces.get(uid) is not space:  # it was taken down meanwhile
            send(process, signal.SIGKILL)
        before = space.entered or []
        space.entered = [process, *(one for one in before if one.returncode is None)]
        return process


def link_name(link: int) -> str:
    """What the lab's end of a pair is called."""
    return f"pod{link}"


def _open(kind: str) -> int:
    return os.open(f"/proc/thread-self/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC)


def _drop(link: str, target: Target) -> netlink.Rule:
    address, port, transport = target
    where = ip_network(address)
    protocol = socket.IPPROTO_TCP if transport == "TCP" else socket.IPPROTO_UDP
    return netlink.Rule(
        _DROP_PRIORITY, target=where, iif=link, protocol=protocol, ports=(port, port),
        is_v6=where.version == 6,
    )  # fmt: skip


def _kill(space: _Space) -> None:
    """Kills whatever runs in a pod, also what has left the session that it was started in."""
    if space.entered is None:
        return
    for one in space.entered:  # it may not have arrived yet
        send(one, signal.SIGKILL)
    sweep(space.kind, space.descriptor)
