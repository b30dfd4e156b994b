"""The controllers that turn services into endpoints: slices, Endpoints, mirrored slices, addresses.

Whoever changes the ready endpoints of a service leaves an Event on it that says which and why.
"""

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Network
from typing import ClassVar

from kdns.lab.controllers import endpoints as endpoints_
from kdns.lab.controllers import mirroring, slices
from kdns.lab.controllers.bodies import (
    annotations_of,
    has_all,
    is_terminating,
    labels_of,
    name_of,
    namespace_of,
    owner_reference,
    spec_of,
    status_of,
)
from kdns.lab.controllers.desk import Desk
from kdns.lab.controllers.slices import HEADLESS, MANAGED_BY, SERVICE_NAME, Frame, Group
from kdns.lab.controllers.work import Controller
from kdns.lab.errors import Obj
from kdns.lab.history import Event
from kdns.lab.resources import ENDPOINTS, NODES, PODS, SERVICES, SLICES, Resource
from kdns.lab.storage import Key

MANAGER = "endpointslice-controller.k8s.io"


def services_of(desk: Desk, event: Event) -> Iterable[Key]:
    """The services that select a pod, as it was or as it is."""
    namespace = namespace_of(event.object)
    found: dict[Key, None] = {}
    for pod in filter(None, (event.old, event.object)):
        labels = labels_of(pod)
        for service in desk.storage.selecting(SERVICES, namespace, labels):
            is_real = endpoints_.has_selector(service)
            if is_real and has_all(labels, spec_of(service)["selector"]):
                found[namespace, name_of(service)] = None
    return found


class Known:
    """The slices that one controller made, by service; looking at all would be quadratic."""

    def __init__(self, desk: Desk, manager: str) -> None:
        self._storage = desk.storage
        self._manager = manager
        self._names: dict[Key, set[str]] = {}
        for one in desk.storage.list(SLICES):
            self.note(one)

    def note(self, one: Obj) -> None:
        """Remembers a slice."""
        for key in self.service_of(one):
            self._names.setdefault(key, set()).add(name_of(one))

    def service_of(self, one: Obj) -> Sequence[Key]:
        """The service of a slice, if it is one of this controller's."""
        labels = labels_of(one)
        is_ours = labels.get(MANAGED_BY) == self._manager and SERVICE_NAME in labels
        return ((namespace_of(one), labels[SERVICE_NAME]),) if is_ours else ()

    def of(self, key: Key) -> list[Obj]:
        """The slices of a service."""
        named = self._names.get(key, set())
        found = [self._storage.find(SLICES, key[0], name) for name in sorted(named)]
        there = [one for one in found if one and key in self.service_of(one)]
        self._names[key] = {name_of(one) for one in there}
        if not there:
            del self._names[key]
        return there

    def changed(self, event: Event) -> Iterable[Key]:
        """The services whose slices somebody, perhaps somebody else, has touched."""
        if event.type != "DELETED":
            self.note(event.object)
        for one in (event.old, event.object):
            if one:
                yield from self.service_of(one)


def write(
    desk: Desk, frame: Frame, groups: dict[Group, list[Obj]], known: Known, *, now: str
) -> bool:
    """Makes slices hold the groups; True when anything had to change."""
    old = known.of((frame.namespace, frame.prefix))
    todo = slices.plan(frame, groups, old, now=now, suffix=desk.suffix)
    for one in todo.create:
        known.note(desk.create(one))
    for one in todo.update:
        desk.update(one)
    for one in todo.delete:
        desk.delete(one)
    return any(todo)


class EndpointSlices(Controller):
    """Slices of services with selectors."""

    name: ClassVar[str] = "endpoint-slice-controller"
    watches: ClassVar[tuple[Resource, ...]] = (SERVICES, PODS, NODES, SLICES)

    def begin(self) -> None:
        """Knows the slices that are there."""
        self._known = Known(self.desk, MANAGER)

    def keys(self, resource: Resource, event: Event) -> Iterable[Key]:
        """The services that an event concerns."""
        if resource is PODS:
            return services_of(self.desk, event)
        if resource is SLICES:
            return self._known.changed(event)
        if resource is NODES and event.old and labels_of(event.old) == labels_of(event.object):
            return ()
        found = self.desk.storage.list(SERVICES) if resource is NODES else [event.object]
        return [(namespace_of(one), name_of(one)) for one in found]

    def sync(self, key: Key) -> float | None:
        """Brings the slices of a service up to date and tells what became of its endpoints."""
        desk = self.desk
        service = desk.storage.find(SERVICES, *key)
        old = self._known.of(key)
        if service is None:
            for one in old:
                desk.delete(one)
            return None
        # A service that loses its selector keeps what it had, as on a real control plane.
        if is_terminating(service) or not endpoints_.has_selector(service):
            return None
        pods = desk.storage.bearing(PODS, key[0], spec_of(service)["selector"])
        zones = {name_of(node): labels_of(node).get(endpoints_.ZONE, "")
                 for node in desk.storage.list(NODES)}  # fmt: skip
        groups = endpoints_.groups_of(service, pods, zones)
        if write(desk, frame(service, MANAGER), groups, self._known, now=desk.now()):
            self._tell(service, old, groups)
        return None

    def _tell(self, service: Obj, old: Sequence[Obj], groups: dict[Group, list[Obj]]) -> None:
        before = [one for part in old for one in part.get("endpoints") or ()]
        after = [one for group in groups.values() for one in group]
        who = {(one.get("targetRef") or {}).get("name", "") for one in (*before, *after)}
        found = (self.desk.storage.find(PODS, namespace_of(service), name) for name in who)
        for news in endpoints_.news(before, after, filter(None, found)):
            self.desk.tell(service, "EndpointsChanged", news.text, source=self.name)
        if any(map(_is_ready, before)) and not any(map(_is_ready, after)):
            said = "no endpoint is ready any more"
            self.desk.tell(service, "NoEndpoints", said, source=self.name, is_warning=True)


def _is_ready(endpoint: Obj) -> bool:
    return (endpoint.get("conditions") or {}).get("ready") is not False


def frame(service: Obj, manager: str) -> Frame:
    """What the slices of a service have in common."""
    labels = {**labels_of(service), SERVICE_NAME: name_of(service), MANAGED_BY: manager}
    if endpoints_.is_headless(service):
        labels[HEADLESS] = ""
    return Frame(namespace_of(service), name_of(service), labels, owner_reference(service))


class LegacyEndpoints(Controller):
    """The Endpoints objects of services with selectors."""

    name: ClassVar[str] = "endpoint-controller"
    watches: ClassVar[tuple[Resource, ...]] = (SERVICES, PODS, ENDPOINTS)

    def keys(self, resource: Resource, event: Event) -> Iterable[Key]:
        """The services that an event concerns; what somebody deleted is made anew."""
        if resource is PODS:
            return services_of(self.desk, event)
        if resource is ENDPOINTS and event.type != "DELETED":
            return ()
        return ((namespace_of(event.object), name_of(event.object)),)

    def sync(self, key: Key) -> float | None:
        """Brings the Endpoints of a service up to date."""
        desk = self.desk
        service = desk.storage.find(SERVICES, *key)
        old = desk.storage.find(ENDPOINTS, *key)
        if service is None:
            if old is not None:  # the author's own go with the service too
                desk.delete(old)
            return None
        if not endpoints_.has_selector(service) or is_terminating(service):
            return None
        pods = desk.storage.bearing(PODS, key[0], spec_of(service)["selector"])
        subsets = endpoints_.subsets_of(service, pods)
        labels = {**labels_of(service), mirroring.MADE_BY_US: self.name}
        if endpoints_.is_headless(service):
            labels[HEADLESS] = ""
        metadata: Obj = {
            "namespace": key[0],
            "name": key[1],
            "labels": labels,
            "annotations": {slices.TRIGGER_TIME: desk.now()},
        }
        made: Obj = {"apiVersion": "v1", "kind": "Endpoints", "metadata": metadata}
        if subsets:
            made["subsets"] = subsets
        if old is None:
            desk.create(made)
        elif (old.get("subsets") or []) != subsets or labels_of(old) != labels:
            metadata["annotations"] = {**annotations_of(old), **metadata["annotations"]}
            desk.update({**made, "metadata": {**old["metadata"], **metadata}})
        return None


class Mirroring(Controller):
    """Slices for the Endpoints that somebody wrote by hand."""

    name: ClassVar[str] = "endpoint-slice-mirroring-controller"
    watches: ClassVar[tuple[Resource, ...]] = (ENDPOINTS, SERVICES, SLICES)

    def begin(self) -> None:
        """Knows the slices that are there."""
        self._known = Known(self.desk, mirroring.MIRRORING)

    def keys(self, resource: Resource, event: Event) -> Iterable[Key]:
        """The name that service and Endpoints share."""
        if resource is SLICES:
            return self._known.changed(event)
        return ((namespace_of(event.object), name_of(event.object)),)

    def sync(self, key: Key) -> float | None:
        """Brings the mirrored slices of a service up to date."""
        desk = self.desk
        service, written = desk.storage.find(SERVICES, *key), desk.storage.find(ENDPOINTS, *key)
        old = self._known.of(key)
        is_wanted = service and written and not spec_of(service).get("selector")
        if not (is_wanted and service and written and mirroring.is_mirrored(written)):
            for one in old:
                desk.delete(one)
            return None
        labels = {**labels_of(written), SERVICE_NAME: key[1], MANAGED_BY: mirroring.MIRRORING}
        kept = {
            name: text
            for name, text in annotations_of(written).items()
            if "kubectl.kubernetes.io/" not in name and name != slices.TRIGGER_TIME
        }
        shared = Frame(key[0], key[1], labels, owner_reference(written), kept)
        groups = mirroring.groups_of(written)
        if write(desk, shared, groups, self._known, now=""):
            before = [one for part in old for one in part.get("endpoints") or ()]
            after = [one for group in groups.values() for one in group]
            for news in endpoints_.news(before, after, ()):
                desk.tell(service, "EndpointsChanged", news.text, source=self.name)
        return None


class LoadBalancers(Controller):
    """An address outside for every service of type LoadBalancer."""

    name: ClassVar[str] = "service-controller"
    watches: ClassVar[tuple[Resource, ...]] = (SERVICES,)

    def keys(self, resource: Resource, event: Event) -> Iterable[Key]:
        """The service."""
        del resource
        return ((namespace_of(event.object), name_of(event.object)),)

    def sync(self, key: Key) -> float | None:
        """Gives the address, or takes it back."""
        desk = self.desk
        service = desk.storage.find(SERVICES, *key)
        if service is None or is_terminating(service):
            return None
        status = status_of(service)
        has = bool((status.get("loadBalancer") or {}).get("ingress"))
        is_wanted = spec_of(service).get("type") == "LoadBalancer"
        if is_wanted and not has:
            address = free_address(
                desk.storage.list(SERVICES), spec_of(service), desk.storage.ranges.outside
            )
            point = {"ip": address, "ipMode": "VIP"}
            desk.set_status(service, {**status, "loadBalancer": {"ingress": [point]}})
            said = f"Ensured load balancer, its address is {address}"
            desk.tell(service, "EnsuredLoadBalancer", said, source=self.name)
        elif has and not is_wanted:
            desk.set_status(service, {**status, "loadBalancer": {}})
        return None


def free_address(services: Iterable[Obj], spec: Obj, outside: IPv4Network) -> str:
    """The address that is asked for, or the first that nobody has; the last is for ingresses."""
    if spec.get("loadBalancerIP"):
        return str(spec["loadBalancerIP"])
    taken = {
        point.get("ip")
        for service in services
        for point in (status_of(service).get("loadBalancer") or {}).get("ingress") or ()
    }
    for address in outside.hosts():
        if str(address) not in taken and address != outside[-2]:
            return str(address)
    raise ValueError(f"all addresses of {outside} are taken")
