"""Keeps listeners closed to whom NetworkPolicies forbid them: implements `Policies` of a Stage.

Each listener gets a filter by the addresses of pods that may not come: a pod's own port as it is, a
service's where no endpoint behind it may be reached. A new listener has its filter before its first
packet; changes of policies, pods, namespaces and slices follow within SOON_S.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from kdns.lab.errors import ApiError
from kdns.lab.ground.base import OF_CLUSTER, Ground, Listener, Transport
from kdns.lab.policies import filters, pits
from kdns.lab.policies.verdicts import Pod, Verdicts, verdicts
from kdns.lab.resources import NAMESPACES, PODS, POLICIES, Resource
from kdns.lab.storage import Storage

SOON_S = 0.02
TURN_S = 0.002
"""Of looking at listeners: the loop is free in between."""
DNS_PORT = 53
_LOG = logging.getLogger("kdns.lab")
_DNS: tuple[Transport, ...] = ("UDP", "TCP")

Behind = Callable[[str, int, Transport], Sequence[tuple[str, int]]]
"""The endpoints of the service that listens at an address and port."""


@dataclass(frozen=True, slots=True)
class _Group:
    """Pods of one namespace that have the same labels: policies see no difference but addresses."""

    pods: tuple[Pod, ...]

    @property
    def addresses(self) -> Iterable[str]:
        return (address for pod in self.pods for address in pod.addresses)

    def other_than(self, address: str) -> str:
        """One of its addresses, of another pod than has this one where there is another."""
        pods = (pod for pod in self.pods if address not in pod.addresses)
        return next(pods, self.pods[0]).addresses[0]


class Enforcement:
    """The policies of one lab, in force."""

    def __init__(self, storage: Storage, ground: Ground, behind: Behind) -> None:
        self._storage = storage
        self._ground = ground
        self._behind = behind
        self._verdicts = Verdicts()
        self._groups: list[_Group] = []
        self._filtered: dict[Listener, frozenset[str]] = {}
        self._blocked: set[str] = set()
        self._news = asyncio.Event()
        self._version = 0
        ground.listeners.told.append(self._welcome)

    def allows(self, source: str, target: str, port: int, transport: Transport) -> bool:
        """Whether the one address may connect to a port (of the pod's own) of the other."""
        return self._verdicts.allows(source, target, port, transport)

    def look_again(self) -> None:
        """Something has changed that verdicts depend on."""
        self._news.set()

    async def run(self) -> None:
        """Follows the cluster until it is cancelled."""
        async with asyncio.TaskGroup() as group:
            for resource in (POLICIES, PODS, NAMESPACES):
                group.create_task(self._follow(resource))
            group.create_task(self._enforce())

    async def _follow(self, resource: Resource) -> None:
        while True:
            watch = self._storage.watch(resource)
            self._news.set()
            try:
                while await watch.batch():
                    self._news.set()
            except ApiError:  # it fell behind: everything is looked at again anyway
                continue

    async def _enforce(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            self._judge()
            is_needed = self._groups or self._filtered  # without policies nothing is
            listening = list(self._ground.listeners.open) if is_needed else []
            self._filtered = {
                one: self._filtered[one] for one in listening if one in self._filtered
            }
            start = time.monotonic()
            for listener in listening:
                self._close(listener)
                if time.monotonic() - start > TURN_S:
                    await asyncio.sleep(0)
                    start = time.monotonic()
            self._block()
            await asyncio.sleep(SOON_S)

    def _judge(self) -> None:
        """Looks at policies and pods; where there are no policies there is nothing to look at."""
        self._version = self._storage.version
        policies = self._storage.list(POLICIES)
        if not policies:
            self._verdicts, self._groups = Verdicts(), []
            return
        pods = self._storage.list(PODS)
        self._verdicts = verdicts(policies, pods, self._storage.list(NAMESPACES))
        groups: dict[tuple[str, frozenset[tuple[str, str]]], list[Pod]] = {}
        has_blocks = "ipBlock" in str(policies)
        for pod in {id(one): one for one in self._verdicts.pods.values()}.values():
            mark = frozenset({("", pod.name)}) if has_blocks else frozenset(pod.labels.items())
            groups.setdefault((pod.namespace, mark), []).append(pod)
        self._groups = [_Group(tuple(found)) for found in groups.values()]

    def _welcome(self, listener: Listener) -> None:
        """A new listener may belong to a pod that nobody has looked at."""
        if self._version != self._storage.version:
            self._judge()
        self._close(listener)

    def _close(self, listener: Listener) -> None:
        """Puts the filter on a listener that it must have now."""
        dropped = self._dropped(listener)
        if listener.socket.fileno() < 0 or dropped == self._filtered.get(listener, frozenset()):
            return
        try:
            _attach(listener, dropped)
        except OSError as error:
            where = f"{listener.address}:{listener.port}"
            _LOG.warning("NetworkPolicies are not in force at %s: %s", where, error)
        if dropped:
            self._filtered[listener] = dropped
        else:
            self._filtered.pop(listener, None)

    def _dropped(self, listener: Listener) -> frozenset[str]:
        if not self._groups:
            return frozenset()
        targets: Sequence[tuple[str, int]] = [(listener.address, listener.port)]
        if listener.at == OF_CLUSTER:
            targets = self._behind(listener.address, listener.port, listener.transport)
        selves = {address for address, _ in targets}
        is_v6 = ":" in listener.address
        return frozenset(
            address
            for group in self._groups
            if not self._reach(group, targets, listener.transport)
            for address in group.addresses
            if (":" in address) is is_v6 and address not in selves
        )

    def _reach(
        self, group: _Group, targets: Sequence[tuple[str, int]], transport: Transport
    ) -> bool:
        """Whether pods may reach any of these; where nothing is behind, nothing is kept away."""
        return not targets or any(
            self._verdicts.allows(group.other_than(address), address, port, transport)
            for address, port in targets
        )

    def _block(self) -> None:
        """Keeps from DNS who may not reach its pods: its server is a process of its own."""
        address = self._ground.ranges.dns
        wanted: dict[str, frozenset[tuple[str, int, Transport]]] = {}
        for group in self._groups:
            blocked = frozenset(
                (address, DNS_PORT, transport)
                for transport in _DNS
                if not self._reach(group, self._behind(address, DNS_PORT, transport), transport)
            )
            for one in group.addresses if blocked else ():
                stand = self._ground.stand_of(one)
                if stand:
                    wanted[stand.uid] = blocked
        for uid in self._blocked | wanted.keys():  # all: a pod may have been put up anew
            self._ground.block(uid, wanted.get(uid, frozenset()))
        self._blocked = set(wanted)


def _attach(listener: Listener, dropped: frozenset[str]) -> None:
    """Closes a listener to these addresses, by whatever means there are here."""
    if listener.beside:
        pits.attach(listener, dropped)
        return
    try:
        filters.attach(listener.socket, dropped)
    except PermissionError:
        if listener.transport != "TCP":
            raise
        pits.attach(listener, dropped)
