"""What whoever plays a part of the cluster asks of its ground: sockets on its addresses, and doors.

Two things are a Ground: `spaces.Spaces` (a network namespace with the real ranges, and one per pod)
and `loopback.Loopback` (addresses in 127.0.0.0/8). Who listens or connects says addresses and ports
as the API has them; a ground that must shift ports does so by itself.
"""

import asyncio
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from kdns.lab.ranges import Ranges

Transport = Literal["TCP", "UDP"]
BACKLOG = 128
OF_CLUSTER = ""
"""The place of services, nodes, load balancers and of the DNS server: no pod's."""

NO_PLACE = "the pod has no place to run a command in: it has not started, or has ended"


@dataclass(frozen=True, slots=True)
class Stand:
    """A pod that has its place; on the host network its addresses are the node's."""

    uid: str
    name: str
    """`namespace/name`, for messages."""
    addresses: tuple[str, ...]
    is_on_host: bool = False


Socket = socket.socket


@dataclass(eq=False, slots=True)
class Listener:
    """A bound socket (TCP: listening), not blocking; address and port as the API has them."""

    socket: socket.socket
    address: str
    port: int
    transport: Transport
    at: str = OF_CLUSTER
    """The uid of the pod whose it is."""
    beside: list[Socket] = field(default_factory=list)
    """What policies have opened at the same place; closed with it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What runs in a pod, and what it finds there."""

    command: Sequence[str]
    environ: Mapping[str, str]
    hostname: str
    files: Mapping[str, Path]
    """What stands for a path within the pod: /etc/resolv.conf, /etc/hosts, /etc/hostname, and the
    folders /tmp, /var/run/secrets/kubernetes.io/serviceaccount and (with spaces) /root and
    /run/kdns."""


@dataclass(frozen=True, slots=True)
class Streams:
    """File descriptors of whoever runs: the ends that it is given; all one for a terminal."""

    stdin: int
    stdout: int
    stderr: int
    is_terminal: bool = False
    """stdin is the slave of a pseudo terminal, which becomes its controlling terminal."""


class Ground(Protocol):
    """Addresses, sockets and processes of the played cluster."""

    ranges: Ranges
    offset: int
    """Is added to ports below 1024; 0 where they can be had."""
    has_spaces: bool
    """True when what runs in a pod sees files, addresses and ports of its own by itself; else it is
    given kdns's own nslookup, dig, getent, curl, cat (kdns/lab/tools), first in its PATH."""
    listeners: "Listeners"

    def put_up(self, stand: Stand) -> None:
        """Makes the place of a pod; raises OSError."""

    def take_down(self, uid: str) -> None:
        """Ends it, with whatever listens, is connected or runs there; unknown ones are fine."""

    def stand_of(self, address: str) -> Stand | None:
        """Whose address it is."""

    def listen(
        self, address: str, port: int, transport: Transport, *, at: str = OF_CLUSTER
    ) -> Listener:
        """A listener on that address; in a pod with spaces on its localhost too. Raises OSError."""

    def outgoing(self, address: str, transport: Transport, *, source: str = "") -> socket.socket:
        """A socket, not blocking nor connected, for that address's family; it leaves from where
        the address `source` stands and bears it, so that the other side sees who asks."""

    def target(self, address: str, port: int) -> tuple[str, int]:
        """What to connect to for an address and port of the API's."""

    def block(self, uid: str, targets: frozenset[tuple[str, int, Transport]]) -> None:
        """Drops what a pod sends to these addresses and ports, which programs beside the lab have
        opened, and nothing else any more; where that cannot be, a line says so."""

    async def enter(self, uid: str, entry: Entry, streams: Streams) -> asyncio.subprocess.Process:
        """Runs a command in the place of a pod, in a session of its own; raises OSError, and
        LookupError for a pod without a place."""


@dataclass(eq=False, slots=True)
class Listeners:
    """All that listens, for whoever must look at each: network policies put filters on them."""

    open: set[Listener] = field(default_factory=set)
    told: list[Callable[[Listener], None]] = field(default_factory=list)
    """Called with each new one, before its first packet is read."""
    left: list[Callable[[Listener], None]] = field(default_factory=list)
    """Called with each that is closed."""

    def add(self, listener: Listener) -> Listener:
        """Notes a new one; TCP listens only once all have been told, with their filters on it."""
        self.open.add(listener)
        for tell in self.told:
            tell(listener)
        if listener.transport == "TCP":
            try:
                listener.socket.listen(BACKLOG)
            except OSError:
                self.close(listener)
                raise
        return listener

    def close(self, listener: Listener) -> None:
        """Closes one."""
        if listener in self.open:
            self.open.discard(listener)
            for tell in self.left:
                tell(listener)
        for one in (listener.socket, *listener.beside):
            one.close()
