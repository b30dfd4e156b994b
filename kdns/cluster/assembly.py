"""Everything that manifests say becomes the objects of one cluster, as if a control plane had run.

Namespaces named only by their objects exist, services get the ClusterIPs they lack, and slices are
made: EndpointSlices of a service are the truth about it, else its Endpoints, else its pods. A pure
function of what was found: the order of files matters only where they contradict each other.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from msgspec import Struct
from msgspec.structs import replace

from kdns.cluster.allocate import Ranges, allocate
from kdns.cluster.endpoints import PodIndex, mirror, select
from kdns.cluster.objects import (
    Gateway,
    Ingress,
    Namespace,
    Node,
    Object,
    Pod,
    Route,
    Service,
    ServiceImport,
    Slice,
)
from kdns.cluster.parse import Thing
from kdns.cluster.workloads import Endpoints, PodState, ServiceSpec

T = TypeVar("T")

_NAME_LABEL = "kubernetes.io/metadata.name"


class Found(Struct, frozen=True, gc=False):
    """An object and where it was read."""

    where: str
    thing: Thing


@dataclass(frozen=True, slots=True)
class World:
    """All objects by kind, each in the order of their names, and what had to be warned of."""

    objects: dict[type[Object], tuple[Object, ...]]
    warnings: tuple[str, ...] = ()


def assemble(found: Iterable[Found], ranges: Ranges) -> World:
    """The cluster that all these objects make."""
    things, warnings = _unique(found)
    specs = _of(things, ServiceSpec)
    slices, endpoints, pods = _of(things, Slice), _of(things, Endpoints), _of(things, PodState)
    if any(spec.lacks for spec in specs):
        specs = allocate(specs, _in_use(specs, slices, endpoints, pods), ranges)
        warnings += [
            f"{spec.service.key}: no ClusterIP is free for it" for spec in specs if spec.lacks
        ]
    objects: dict[type[Object], Iterable[Object]] = {
        Namespace: _namespaces(things),
        Service: [spec.service for spec in specs],
        Slice: [*slices, *_made(specs, slices, endpoints, pods)],
        Pod: [state.pod for state in pods if not state.is_gone],
        ServiceImport: _of(things, ServiceImport),
        Node: _of(things, Node),
        Ingress: _of(things, Ingress),
        Gateway: _of(things, Gateway),
        Route: _of(things, Route),
    }
    ordered = {kind: tuple(sorted(listed, key=_name)) for kind, listed in objects.items()}
    return World(ordered, tuple(warnings))


def _unique(found: Iterable[Found]) -> tuple[list[Thing], list[str]]:
    """Each object once: the last one read wins."""
    last: dict[tuple[type[Thing], tuple[str, str]], Found] = {}
    warnings = []
    for one in found:
        key = (type(one.thing), _name(one.thing))
        other = last.get(key)
        if other is not None and other.thing != one.thing:
            kind = key[0].__name__.removesuffix("Spec").removesuffix("State")
            name = "/".join(filter(None, key[1]))
            warnings.append(f"{one.where}: {kind} {name} replaces the one in {other.where}")
        last[key] = one
    return [one.thing for one in last.values()], warnings


def _of(things: Iterable[Thing], kind: type[T]) -> list[T]:
    return [thing for thing in things if isinstance(thing, kind)]


def _name(thing: Thing | Object) -> tuple[str, str]:
    match thing:
        case Namespace() | Node():
            return "", thing.name
        case ServiceSpec():
            return thing.service.namespace, thing.service.name
        case PodState():
            return thing.pod.namespace, thing.pod.name
        case _:
            return thing.namespace, thing.name


def _namespaces(things: Sequence[Thing]) -> list[Namespace]:
    """With the label that the API server gives each of them."""
    names = {_name(thing)[0] for thing in things} - {""}
    named = {name: Namespace(name) for name in names} | {
        ns.name: ns for ns in _of(things, Namespace)
    }
    return [
        replace(ns, labels=tuple(sorted({**dict(ns.labels), _NAME_LABEL: ns.name}.items())))
        for ns in named.values()
    ]


def _in_use(
    specs: Iterable[ServiceSpec],
    slices: Iterable[Slice],
    endpoints: Iterable[Endpoints],
    pods: Iterable[PodState],
) -> set[bytes]:
    """Addresses that no service may be given."""
    used = {address for spec in specs for address in spec.service.external_addresses}
    used.update(address for state in pods for address in state.pod.addresses)
    used.update(slice_.address(at) for slice_ in slices for at in range(slice_.count))
    used.update(one.address for e in endpoints for subset in e.subsets for one in subset.addresses)
    return used


def _made(
    specs: Iterable[ServiceSpec],
    slices: Iterable[Slice],
    endpoints: Iterable[Endpoints],
    pods: Iterable[PodState],
) -> Iterable[Slice]:
    """The slices of services that no EndpointSlice speaks for."""
    spoken = {slice_.key for slice_ in slices if not slice_.cluster}
    written = {f"{e.namespace}/{e.name}": e for e in endpoints}
    index = PodIndex(pods)
    for spec in specs:
        key = spec.service.key
        if key in spoken:
            continue
        if key in written:
            yield from mirror(spec.service, written[key])
        elif spec.selector:
            yield from select(spec, index)
