"""A lab that is played: its ground, its Stage and what leads to it from 127.0.0.1 outside, joined.

    Plan (ports, files) + Site (namespaces or loopback) → Played → API, kube-proxy, pods, relays

Nothing is played here: the rooms are opened in the order in which they need each other, and closed
again in the other.
"""

import asyncio
import errno
import logging
import socket
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from random import randrange
from typing import Self

from kdns.lab import certificates, dns, manifests, quiet
from kdns.lab.controllers.desk import Desk
from kdns.lab.doors.rooms import Rooms
from kdns.lab.ground.base import Transport
from kdns.lab.ground.enter import allow_files
from kdns.lab.ground.loopback import Loopback
from kdns.lab.ground.outside import Outside, opened
from kdns.lab.ground.relay import Target, carry
from kdns.lab.ground.spaces import Spaces
from kdns.lab.inside.folder import Folder
from kdns.lab.inside.furnished import Furnished
from kdns.lab.kubelet.console import Consoles
from kdns.lab.kubelet.journal import Journal
from kdns.lab.kubelet.kubelet import Kubelet
from kdns.lab.kubelet.logs import PodLogs
from kdns.lab.kubelet.member import Parts
from kdns.lab.lab import Lab
from kdns.lab.policies.enforcement import Enforcement
from kdns.lab.porch import Porch
from kdns.lab.proxy.proxy import Proxy
from kdns.lab.stage import Stage, Staging
from kdns.lab.storage import Storage
from kdns.lab.tokens import Tokens
from kdns.lab.tools import programs

HERE = "127.0.0.1"
API_PORT = 6443
DNS_PORT = 53
PROBES = (8080, 8181, 9153)
"""Health, readiness and metrics of DNS servers."""
OWN_DNS = Path(__file__).with_name("dns.yaml")
"""The cluster's DNS, for manifests that bring none."""
_LOG = logging.getLogger("kdns.lab")
_BOTH: tuple[Transport, ...] = ("UDP", "TCP")
Opener = Callable[[str, int, Transport], socket.socket]


@dataclass(frozen=True, slots=True)
class Plan:
    """What the user wants of it."""

    port: int
    dns_port: int
    page_port: int
    data: Path | None
    has_page: bool
    """The DNS server is kdns: its status page is to be reached."""


@dataclass(frozen=True, slots=True)
class Site:
    """Where it is played; `said` says so."""

    ground: Callable[[], Spaces | Loopback]
    opener: Opener
    """Opens sockets of the machine on 127.0.0.1."""
    said: str


def in_spaces(outside: Outside) -> Site:
    """In namespaces, in which this process is."""
    return Site(Spaces, outside.listen, "played in namespaces of its own")


def on_loopback(why: str) -> Site:
    """On addresses of this machine; `why` not in namespaces."""
    allow_files()
    reason = f" ({why})" if why else ""
    return Site(Loopback.first_free, opened, f"played on loopback addresses{reason}")


class Played:
    """The lab with all that plays, for as long as the context lasts."""

    def __init__(self, plan: Plan, site: Site) -> None:
        self._plan = plan
        self._site = site
        self._ends = AsyncExitStack()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as ends:
            self.folder = ends.enter_context(Folder())
            self._ground = self._site.ground()
            ends.callback(self._ground.close)
            if isinstance(self._ground, Loopback) and not self._plan.page_port:
                with self._site.opener(HERE, 0, "TCP") as free:  # the DNS server opens it itself
                    self._plan = replace(self._plan, page_port=free.getsockname()[1])
            self._tls = certificates.make(self.folder, self._ground.ranges)
            self.lab = Lab(
                port=self._plan.port,
                data=self._plan.data,
                tls=self._tls,
                staging=Staging(self._stage, self._openings(), self._ground.ranges),
            )
            await ends.enter_async_context(self.lab)
            ends.push_async_callback(self._rest)
            self._ends = ends.pop_all()
        return self

    async def __aexit__(self, *reason: object) -> None:
        await self._ends.aclose()

    @property
    def listening(self) -> dns.Listening:
        """Where the DNS server is to listen."""
        address, ground = self._dns, self._ground
        node = ground.ranges.server
        if not isinstance(ground, Loopback):
            return dns.Listening(address, DNS_PORT, node, f"{HERE}:{dns.PAGE_PORT}")
        for port in PROBES:
            ground.admit(node, port)
        place, page = ground.admit(address, DNS_PORT), f"{HERE}:{self._plan.page_port}"
        return dns.Listening(*place, node, page)

    @property
    def inner_config(self) -> Path:
        """A kubeconfig for what runs inside."""
        server = f"https://{self._ground.ranges.api}:{API_PORT}"
        return self.lab.kubeconfig(self.folder / "kubeconfig", server=server)

    def open(self, found: Sequence[manifests.Found]) -> list[str]:
        """Applies manifests, opens all that leads in; gives lines that say what stands."""
        desk = Desk(self.lab.storage, randrange)
        manifests.apply(self.lab.storage, manifests.read([OWN_DNS]), desk)
        manifests.apply(self.lab.storage, found, desk)
        ranges = self._ground.ranges
        self._start(self._proxy.run(), "kube-proxy")
        self._start(self._policies.run(), "NetworkPolicies")
        self._start(quiet.collect(self.lab.storage), "looking for garbage")
        self._start(Porch(self.lab.storage, self._ground, self._site.opener).run(), "node ports")
        lines = [
            f"{self._site.said}: services {ranges.services}, pods {ranges.pods}",
            f"a Kubernetes API on {self.lab.url}, {len(found)} objects from manifests",
        ]
        if self._ground.offset:
            lines[0] += f", ports below 1024 are {self._ground.offset} higher"
        where = self.listening
        if self._dns != ranges.dns:
            for transport in _BOTH:
                front = self._ground.listen(ranges.dns, DNS_PORT, transport)
                self._carry(front.socket, self._dns, DNS_PORT, is_open=True)
        port = self._lead_in(self._plan.dns_port, _BOTH, ranges.dns, DNS_PORT)
        lines.append(f"DNS on {HERE}:{port}, which is {ranges.dns}:{where.port} within")
        if self._plan.has_page:
            page = self._plan.page_port
            if not isinstance(self._ground, Loopback):
                page = self._lead_in(page, ("TCP",), HERE, dns.PAGE_PORT)
            lines.append(f"a status page on http://{HERE}:{page}")
        return lines

    # Private

    @property
    def _dns(self) -> str:
        """Where the DNS server listens. On loopback addresses a relay stands before it: policies
        can be put on sockets of this process only."""
        ranges = self._ground.ranges
        return ranges.server if ranges.is_loopback else ranges.dns

    def _stage(self, storage: Storage, tokens: Tokens) -> Stage:
        ground, journal, consoles = self._ground, Journal(storage.now), Consoles()
        insides = Furnished(
            storage,
            ground,
            tokens,
            folder=self.folder,
            authority=Path(self._tls.ca).read_bytes(),
            tools=str(programs.folder(self.folder)),
        )
        self._policies = Enforcement(storage, ground, self._behind)
        rooms = Rooms(storage, ground, insides, consoles)
        self._ends_of_rooms = rooms.end
        parts = Parts(ground, insides, journal, consoles, self._policies.is_settled)
        stage = Stage(
            ground,
            insides,
            PodLogs(storage, journal),
            rooms,
            lambda desk: Kubelet(desk, parts),
            self._policies,
        )
        kept = {(ground.ranges.dns, DNS_PORT, transport) for transport in _BOTH}
        self._proxy = Proxy(storage, ground, self._policies, kept=set(kept))
        self._proxy.changed.append(self._policies.look_again)
        return stage

    def _behind(self, address: str, port: int, transport: Transport) -> list[tuple[str, int]]:
        return self._proxy.behind(address, port, transport)

    def _openings(self) -> tuple[Callable[[int], socket.socket], ...]:
        address = self._ground.ranges.api
        if isinstance(self._ground, Loopback):
            self._ground.admit(address, API_PORT)
        return (
            lambda port: self._site.opener(HERE, port, "TCP"),
            lambda _: socket.create_server((address, API_PORT), backlog=128),
        )

    def _lead_in(
        self, port: int, transports: Sequence[Transport], address: str, target: int
    ) -> int:
        """Leads a port of the machine to an address of the cluster; gives the port."""
        found = self._opened(port, transports)
        for outside in found:
            self._carry(outside, address, target)
        return int(found[0].getsockname()[1])

    def _opened(self, port: int, transports: Sequence[Transport]) -> list[socket.socket]:
        """Sockets on one port; where any will do, on one that is free for all of them."""
        found: list[socket.socket] = []
        try:
            for transport in transports:
                known = int(found[0].getsockname()[1]) if found else port
                found.append(self._site.opener(HERE, known, transport))
        except OSError as error:
            for one in found:
                one.close()
            if port or not found or error.errno != errno.EADDRINUSE:
                raise
            return self._opened(port, transports)
        return found

    def _carry(
        self, outside: socket.socket, address: str, port: int, *, is_open: bool = False
    ) -> None:
        where = Target(self._ground, address, port, is_open)
        self._start(carry(outside, where), f"the way to {address}:{port}")

    def _start(self, duty: Coroutine[None, None, None], name: str) -> None:
        task = asyncio.create_task(duty, name=name)
        task.add_done_callback(_say_end)
        self._tasks.append(task)

    async def _rest(self) -> None:
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with suppress(asyncio.CancelledError, Exception):
                await task
        self._ends_of_rooms()


def _say_end(task: asyncio.Task[None]) -> None:
    """What fails is a mistake in the lab, which goes on without it."""
    if not task.cancelled() and task.exception():
        name, error = task.get_name(), task.exception()
        _LOG.error("%s has stopped: %r", name, error, exc_info=error)
