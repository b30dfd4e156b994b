"""What one worker knows of a cluster becomes frames that the others read, and objects again.

A frame is about one cluster: parts in the order they happened, and the serials that hold behind
them. Objects travel without their versions, which only whoever watches needs, and come back with
the strings that many of them share kept once, as when the API tells them.
"""

from collections.abc import Callable, Iterable, Sequence
from sys import intern
from typing import Any, Final

from msgspec import Raw, Struct, msgpack
from msgspec.structs import astuple

from kdns.cluster.objects import (
    KINDS,
    Gateway,
    Ingress,
    Namespace,
    Node,
    Object,
    Pod,
    Port,
    Route,
    Service,
    ServiceImport,
    Slice,
)

MOST_SHARED: Final = 4096
"""Sets of ports that are remembered for being shared."""

Name = tuple[str, str]
"""Namespace and name."""


class Begin(Struct, tag="b", array_like=True, gc=False):
    """A whole state begins; it ends with Whole."""


class Puts(Struct, tag="p", array_like=True, gc=False):
    """Objects of one kind that are new or changed."""

    kind: int
    """Its place in KINDS."""
    objects: Raw


class Gone(Struct, tag="g", array_like=True, gc=False):
    """Objects of one kind that are no more."""

    kind: int
    names: tuple[Name, ...]


class Released(Struct, tag="r", array_like=True, gc=False):
    """Holds ended before their time."""


class Whole(Struct, tag="w", array_like=True, gc=False):
    """All since Begin is the first state of the source; what it did not name is gone."""


class News(Struct, tag="n", array_like=True, gc=False):
    """What is to be known of the source."""

    is_restored: bool = False
    failure: str = ""
    heard: dict[int, float | None] = {}
    """The time of the last news by kind, of the clock that all processes of a machine share."""


Part = Begin | Puts | Gone | Released | Whole | News


class Frame(Struct, array_like=True, gc=False):
    """Parts about one cluster."""

    cluster: bytes
    serials: tuple[int, int, int]
    """Of the zones of the cluster, of imported services, and of names beyond the cluster."""
    parts: list[Part]


class Wish(Struct, array_like=True, gc=False):
    """What a worker that is fed says: it wants the whole state of a cluster, or no more of it."""

    cluster: bytes
    is_wanted: bool


class _Namespace(Namespace, frozen=True, gc=False, array_like=True):
    pass


class _Service(Service, frozen=True, gc=False, array_like=True):
    pass


class _Slice(Slice, frozen=True, gc=False, array_like=True):
    pass


class _Pod(Pod, frozen=True, gc=False, array_like=True):
    pass


class _ServiceImport(ServiceImport, frozen=True, gc=False, array_like=True):
    pass


class _Node(Node, frozen=True, gc=False, array_like=True):
    pass


class _Ingress(Ingress, frozen=True, gc=False, array_like=True):
    pass


class _Gateway(Gateway, frozen=True, gc=False, array_like=True):
    pass


class _Route(Route, frozen=True, gc=False, array_like=True):
    pass


_PACKED = (
    _Namespace, _Service, _Slice, _Pod, _ServiceImport, _Node, _Ingress, _Gateway, _Route,
)  # fmt: skip
_READERS = tuple(
    msgpack.Decoder(list[kind])  # type: ignore[valid-type]  # the kinds of KINDS, packed
    for kind in _PACKED
)
_encode = msgpack.Encoder().encode
read_frame = msgpack.Decoder(Frame).decode
read_wish = msgpack.Decoder(Wish).decode


def pack(message: Frame | Wish) -> bytes:
    """The bytes of a frame or wish."""
    return _encode(message)


def puts(objects: Sequence[Object]) -> Puts:
    """Objects of one kind, at least one, as a part."""
    return Puts(KINDS.index(type(objects[0])), Raw(_encode([astuple(one) for one in objects])))


def parts(noted: Iterable[tuple[type[Object], Name, Object | None]]) -> list[Part]:
    """What happened to objects, one after the other; neighbours of one kind join."""
    out: list[Part] = []
    run: list[tuple[type[Object], Name, Object | None]] = []
    for one in noted:
        if run and (one[0] is not run[0][0] or (one[2] is None) is not (run[0][2] is None)):
            out.append(_part(run))
            run = []
        run.append(one)
    return [*out, _part(run)] if run else out


def _part(run: list[tuple[type[Object], Name, Object | None]]) -> Part:
    objects = [new for _, _, new in run if new is not None]
    if objects:
        return puts(objects)
    return Gone(KINDS.index(run[0][0]), tuple(at for _, at, _ in run))


class Unpacker:
    """Makes objects of parts; equal sets of ports are one."""

    def __init__(self) -> None:
        self._shared: dict[Any, Any] = {}  # Any: ports, by themselves
        self._makers: tuple[Callable[[Any], Object], ...] = (
            _namespace, self._service, self._slice, _pod, self._import, _node,
            _ingress, _gateway, _route,
        )  # fmt: skip # Any: what the reader of the same place reads

    def objects(self, part: Puts) -> list[Object]:
        """The objects of a part."""
        return list(map(self._makers[part.kind], _READERS[part.kind].decode(part.objects)))

    def _once(self, ports: tuple[Port, ...]) -> tuple[Port, ...]:
        if len(self._shared) > MOST_SHARED:
            self._shared.clear()
        found: tuple[Port, ...] = self._shared.setdefault(ports, ports)
        return found

    def _service(self, it: Service) -> Service:
        return Service(
            intern(it.namespace), intern(it.name), it.addresses, it.is_headless, it.external_name,
            self._once(it.ports), it.external_addresses, it.external_hosts, _labels(it.labels),
            more=it.more,
        )  # fmt: skip

    def _slice(self, it: Slice) -> Slice:
        return Slice(
            intern(it.namespace), it.name, intern(it.service), it.width, it.addresses, it.unready,
            it.hostnames, it.pods, _interned(it.zones),
            self._once(it.ports), intern(it.cluster), nodes=_interned(it.nodes),
            hints=_interned(it.hints),
        )  # fmt: skip

    def _import(self, it: ServiceImport) -> ServiceImport:
        ports = self._once(it.ports)
        return ServiceImport(
            intern(it.namespace), intern(it.name), it.addresses, it.is_headless, ports
        )


def _namespace(it: Namespace) -> Namespace:
    return Namespace(intern(it.name), _labels(it.labels), "", it.is_plain)


def _pod(it: Pod) -> Pod:
    return Pod(intern(it.namespace), it.name, it.addresses, _labels(it.labels))


def _node(it: Node) -> Node:
    return Node(intern(it.name), it.addresses, it.is_ready, intern(it.zone), it.nets)


def _ingress(it: Ingress) -> Ingress:
    return Ingress(intern(it.namespace), it.name, it.hosts, it.addresses, it.targets)


def _gateway(it: Gateway) -> Gateway:
    return Gateway(intern(it.namespace), it.name, it.hosts, it.addresses, it.targets)


def _route(it: Route) -> Route:
    return Route(intern(it.namespace), it.name, it.hosts, it.gateways)


def _interned(column: tuple[str, ...] | None) -> tuple[str, ...] | None:
    return tuple(map(intern, column)) if column else None


def _labels(labels: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    return tuple([(intern(key), intern(value)) for key, value in labels])
