"""Keeps listeners closed to whom NetworkPolicies forbid them: implements `Policies` of a Stage.

Each listener gets a filter by the addresses of pods that may not come: a pod's own port as it is, a
service's where no endpoint behind it may be reached. A new listener has its filter before its first
packet; what others must know of a new pod they know once all is settled, for which its start waits.
A change has those listeners looked at that it concerns, in turns of a few milliseconds.
"""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence

from kdns.lab.errors import ApiError
from kdns.lab.ground.base import OF_CLUSTER, Ground, Listener, Stand, Transport
from kdns.lab.history import Event, Watch
from kdns.lab.policies import filters, pits
from kdns.lab.policies.cluster import Change, Cluster, Group
from kdns.lab.resources import NAMESPACES, PODS, POLICIES, Resource
from kdns.lab.storage import Storage

TURN_S = 0.002
LONG_S = 60.0
DNS_PORT = 53
_FOLLOWED = (NAMESPACES, POLICIES, PODS)
"""In the order in which they are read: pods are known by the labels of their namespaces."""
_LOG = logging.getLogger("kdns.lab")
_DNS: tuple[Transport, ...] = ("UDP", "TCP")

Place = tuple[str, int, Transport]
Behind = Callable[[str, int, Transport], Sequence[tuple[str, int]]]
"""The endpoints of the service that listens at an address and port."""


class Enforcement:
    """The policies of one lab, in force."""

    def __init__(self, storage: Storage, ground: Ground, behind: Behind) -> None:
        self._storage = storage
        self._ground = ground
        self._behind = behind
        self._filtered: dict[Listener, frozenset[str]] = {}
        self._targets: dict[Listener, frozenset[str]] = {}
        """The addresses that listeners lead to."""
        self._leading: defaultdict[str, set[Listener]] = defaultdict(set)
        """The same, by address."""
        self._guarded: set[Listener] = set()
        """Those with a target that a policy says of who may come."""
        self._of_cluster: dict[Place, Listener] = {}
        self._blocked: dict[str, tuple[Stand, frozenset[Place]]] = {}
        """Who may not ask for names, by address."""
        self._due: set[Listener] = set()
        self._asking: set[str] = set()
        """Addresses of pods of which is to be seen whether they may ask for names."""
        self._news = asyncio.Event()
        self._is_at_work = False
        self._begin_anew()
        ground.listeners.told.append(self._welcome)
        ground.listeners.left.append(self._forget)

    def allows(self, source: str, target: str, port: int, transport: Transport) -> bool:
        """Whether the one address may connect to a port (of the pod's own) of the other."""
        self._read()
        return self._cluster.verdicts.allows(source, target, port, transport)

    def is_settled(self) -> bool:
        """Whether all that the storage says is in force; it soon will be."""
        self._read()
        if self._due or self._asking:
            self._news.set()
            return False
        return True

    def look_again(self, places: Collection[Place]) -> None:
        """The endpoints of services that listen at these places have changed."""
        if not self._cluster.has_policies:
            return
        self._due |= {self._of_cluster[one] for one in places if one in self._of_cluster}
        if any((self._ground.ranges.dns, DNS_PORT, transport) in places for transport in _DNS):
            self._asking |= self._cluster.pods.keys()
        self._news.set()

    async def run(self) -> None:
        """Follows the cluster until it is cancelled."""
        async with asyncio.TaskGroup() as group:
            for resource in _FOLLOWED:
                group.create_task(self._follow(resource))
            group.create_task(self._follow_services())

    # Following

    async def _follow(self, resource: Resource) -> None:
        while True:
            self._read()
            await self._work()
            await self._watches[resource].wait(LONG_S)

    async def _follow_services(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            await self._work()

    async def _work(self) -> None:
        """Looks at all that must be looked at, unless that is being done."""
        if self._is_at_work:
            return
        self._is_at_work = True
        start = time.monotonic()
        while self._due or self._asking:
            if self._due:
                self._close(self._due.pop())
            else:
                self._block(self._asking.pop())
            if time.monotonic() - start > TURN_S:
                await asyncio.sleep(0)
                start = time.monotonic()
        self._is_at_work = False

    def _begin_anew(self) -> None:
        self._cluster = Cluster()
        self._watches: dict[Resource, Watch] = {one: self._storage.watch(one) for one in _FOLLOWED}
        self._look_at_all()

    def _look_at_all(self) -> None:
        self._due |= self._ground.listeners.open
        self._asking |= self._cluster.pods.keys() | self._blocked.keys()

    def _read(self) -> None:
        """Reads all that the storage has."""
        try:
            for resource, watch in self._watches.items():
                self._note(resource, watch.taken())
        except ApiError:  # the history was cut, or replaced
            self._begin_anew()
            for resource, watch in self._watches.items():
                self._note(resource, watch.taken())

    def _note(self, resource: Resource, events: Sequence[Event]) -> None:
        if resource is POLICIES and events:
            self._cluster.set_policies(self._storage.list(POLICIES))
            self._look_at_all()
        for event in events if resource is NAMESPACES else ():
            if event.type == "DELETED":
                self._cluster.drop_namespace(event.object)
            elif self._cluster.set_namespace(event.object):
                self._look_at_all()
        for event in events if resource is PODS else ():
            is_gone = event.type == "DELETED"
            cluster = self._cluster
            change = cluster.drop_pod(event.object) if is_gone else cluster.set_pod(event.object)
            if cluster.has_policies:
                self._note_pod(event, change)

    def _note_pod(self, event: Event, change: Change | None) -> None:
        """Who must look again after a pod has changed."""
        status = event.object.get("status") or {}
        self._asking |= {one["ip"] for one in (status.get("podIPs") or ())[:1]}
        if change is None:
            return
        self._due |= self._ground.listeners.open if change.is_confined else self._guarded
        for address in change.addresses:
            self._due |= self._leading.get(address, set())

    # Listeners

    def _welcome(self, listener: Listener) -> None:
        """A new listener may belong to a pod that nobody has looked at."""
        if listener.at == OF_CLUSTER:
            self._of_cluster[listener.address, listener.port, listener.transport] = listener
        self._read()
        self._close(listener)

    def _forget(self, listener: Listener) -> None:
        """A listener is closed."""
        place = listener.address, listener.port, listener.transport
        if self._of_cluster.get(place) is listener:
            del self._of_cluster[place]
        self._lead(listener, frozenset())
        self._due.discard(listener)
        self._guarded.discard(listener)
        self._filtered.pop(listener, None)

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
        if not self._cluster.has_policies:
            return frozenset()
        targets: Sequence[tuple[str, int]] = [(listener.address, listener.port)]
        if listener.at == OF_CLUSTER:
            targets = self._behind(listener.address, listener.port, listener.transport)
        selves = frozenset(address for address, _ in targets)
        self._lead(listener, selves)
        is_guarded = any(map(self._cluster.is_guarded, selves))
        (self._guarded.add if is_guarded else self._guarded.discard)(listener)
        is_v6 = ":" in listener.address
        unlike = self._cluster.unlike(targets)
        return frozenset(
            address
            for group in self._cluster.groups(guarded=is_guarded)
            if not self._reach(group, unlike, listener.transport)
            for address in group.addresses
            if (":" in address) is is_v6 and address not in selves
        )

    def _lead(self, listener: Listener, addresses: frozenset[str]) -> None:
        """Notes where a listener leads."""
        before = self._targets.pop(listener, frozenset())
        for address in before - addresses:
            self._leading[address].discard(listener)
            if not self._leading[address]:
                del self._leading[address]
        for address in addresses - before:
            self._leading[address].add(listener)
        if addresses:
            self._targets[listener] = addresses

    def _reach(
        self, group: Group, targets: Sequence[tuple[str, int]], transport: Transport
    ) -> bool:
        """Whether pods may reach any of these; where nothing is behind, nothing is kept away."""
        return not targets or any(
            self._cluster.verdicts.allows(group.other_than(address), address, port, transport)
            for address, port in targets
        )

    # DNS

    def _block(self, address: str) -> None:
        """Keeps a pod from DNS that may not reach its pods: the server is a process of its own."""
        stand, before = self._ground.stand_of(address), self._blocked.get(address)
        wanted = self._unanswered(address)
        if stand is None or not (before or wanted):
            self._blocked.pop(address, None)
            return
        if before is None or before[0] is not stand or before[1] != wanted:
            self._ground.block(stand.uid, wanted)
        if wanted:
            self._blocked[address] = stand, wanted
        else:
            del self._blocked[address]

    def _unanswered(self, source: str) -> frozenset[Place]:
        """The places of DNS that a pod may not reach."""
        dns, allows = self._ground.ranges.dns, self._cluster.verdicts.allows
        found: list[Place] = []
        for transport in _DNS:
            behind = self._behind(dns, DNS_PORT, transport)
            if behind and not any(allows(source, *one, transport) for one in behind):
                found.append((dns, DNS_PORT, transport))
        return frozenset(found)


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
