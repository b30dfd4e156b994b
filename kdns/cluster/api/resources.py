"""The resources that are watched: where they are served, with which selectors, and their objects.

One JSON object, as a list or a watch has it, becomes a Reading: its name and version, and the
compact object or why there is none.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Struct, ValidationError

from kdns.cluster import outer_parse, outer_raw, parse, raw
from kdns.cluster.alike import name_of
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
from kdns.cluster.selection import Selection

T = TypeVar("T")
At = tuple[str, str]
"""Namespace and name as the Store has them, the namespace empty for what has none."""


class Told(Struct, Generic[T]):
    """One line of a watch."""

    type: str
    object: T


class Named(raw.Raw):
    """Any object, as far as all are alike."""

    metadata: raw.Meta | None = None


class ListMeta(raw.Raw):
    """metadata of a list."""

    resource_version: str | None = None
    continue_: str | None = msgspec.field(default=None, name="continue")


class Page(Struct, Generic[T]):
    """A part of a list."""

    metadata: ListMeta
    items: list[T] | None = None


class Reading(Struct, frozen=True, gc=False):
    """What an object says."""

    at: At
    version: str
    thing: Object | None = None
    """None for what answers do not know: a finished pod, a slice of no service."""
    error: str = ""
    """Why it cannot be understood, then there is no thing."""
    trigger: float = 0
    """Unix time of what a slice reacts to, 0 where it does not say."""
    ends_list: bool = False


PAGE: msgspec.json.Decoder[Page[msgspec.Raw]] = msgspec.json.Decoder(Page[msgspec.Raw])
NAMES: msgspec.json.Decoder[Page[Named]] = msgspec.json.Decoder(Page[Named])
_NAMED = msgspec.json.Decoder(Named)
_TOLD: msgspec.json.Decoder[Told[Named]] = msgspec.json.Decoder(Told[Named])


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource of the API and the kind of object that its objects become."""

    kind: type[Object]
    name: str
    """As RBAC names it."""
    group: str
    """As it stands in a path."""
    item: msgspec.json.Decoder[Any]  # Any: the raw type of the kind
    told: msgspec.json.Decoder[Told[Any]]  # Any: the same
    make: Callable[[Any], Object | None]  # Any: the same
    is_optional: bool = False
    """True where a cluster without it is just one that has none."""
    is_spare: bool = False
    """True where all else is answered whether or not this can be read."""

    @property
    def title(self) -> str:
        """The resource as RBAC and kubectl name it."""
        group = self.group.split("/")
        return f"{self.name}.{group[1]}" if len(group) == 3 else self.name

    def path(self, namespace: str = "") -> str:
        """Where all of it is served, or that of a namespace."""
        within = f"/namespaces/{namespace}" if namespace else ""
        return f"/{self.group}{within}/{self.name}"

    def query(self, selection: Selection) -> dict[str, str]:
        """What of it is asked for."""
        labels = selection.namespaces if self.kind is Namespace else selection.labels
        is_chosen = self.kind in _CHOSEN and labels.terms
        terms = [str(labels)] if is_chosen else []
        if self.kind is Slice and not selection.endpoints:
            terms.append(parse.IMPORT_LABEL)
        query = {"labelSelector": ",".join(terms)} if terms else {}
        if self.kind is Pod:
            query["fieldSelector"] = _UNFINISHED
        return query

    def read(self, text: bytes | msgspec.Raw) -> Reading:
        """An object of a list; msgspec.DecodeError where it is none."""
        try:
            found = self.item.decode(text)
        except ValidationError as error:
            return _broken(_NAMED.decode(text), str(error))
        return self._reading(found)

    def hear(self, line: bytes) -> tuple[str, Reading]:
        """The type of a watch event and its object; msgspec.DecodeError where it is none."""
        try:
            told = self.told.decode(line)
        except ValidationError as error:
            named = _TOLD.decode(line)
            return named.type, _broken(named.object, str(error))
        if told.type == "BOOKMARK":
            meta = told.object.metadata or raw.Meta()
            ends = meta.annotations is not None and meta.annotations.ends_list == "true"
            return told.type, Reading(("", ""), meta.resource_version or "", ends_list=ends)
        return told.type, self._reading(told.object)

    def _reading(self, found: Any) -> Reading:  # Any: the raw type of the kind
        try:
            thing = self.make(found)
        except ValueError as error:
            return _broken(found, str(error))
        meta = found.metadata or raw.Meta()
        version = meta.resource_version or ""
        if thing is None:
            return Reading(place(meta), version)
        return Reading(name_of(thing), version, thing, trigger=_trigger(meta))


def place(meta: raw.Meta) -> At:
    """Where an object belongs, folded as the Store has it."""
    return (meta.namespace or "").lower(), (meta.name or "").lower()


def _broken(found: Any, error: str) -> Reading:  # Any: every raw type has metadata
    meta = found.metadata or raw.Meta()
    return Reading(place(meta), meta.resource_version or "", error=error)


def _trigger(meta: raw.Meta) -> float:
    text = meta.annotations.trigger if meta.annotations else None
    try:
        return datetime.fromisoformat(text).timestamp() if text else 0.0
    except ValueError:
        return 0.0


def _pod(given: raw.RawPod) -> Pod | None:
    state = parse.pod(given)
    return None if state.is_gone else state.pod


def _resource(
    kind: type[Object],
    name: str,
    group: str,
    given: type[Struct],
    make: Callable[[Any], Object | None],  # Any: takes its own raw type
) -> Resource:
    told = msgspec.json.Decoder(Told[given])  # type: ignore[valid-type]  # the type is a value here
    is_spare = kind in _SPARE
    is_optional = kind is ServiceImport or (is_spare and kind is not Node)
    item = msgspec.json.Decoder(given)
    return Resource(kind, name, group, item, told, make, is_optional, is_spare)


_CHOSEN = frozenset((Namespace, Service, Slice, Pod))
"""Kinds that selectors choose of."""
_SPARE = frozenset((Node, Ingress, Gateway, Route))
_UNFINISHED = "status.phase!=Succeeded,status.phase!=Failed,status.phase!=Unknown"
_SLICES = "apis/discovery.k8s.io/v1"
_INGRESSES = "apis/networking.k8s.io/v1"
_GATEWAYS = "apis/gateway.networking.k8s.io/v1"
_IMPORTS = "apis/multicluster.x-k8s.io/v1alpha1"
RESOURCES = (
    _resource(Namespace, "namespaces", "api/v1", raw.RawNamespace, parse.namespace),
    _resource(Service, "services", "api/v1", raw.RawService, parse.service_alone),
    _resource(Slice, "endpointslices", _SLICES, raw.RawSlice, parse.slice_),
    _resource(Pod, "pods", "api/v1", raw.RawPod, _pod),
    _resource(ServiceImport, "serviceimports", _IMPORTS, raw.RawImport, parse.service_import),
    _resource(Node, "nodes", "api/v1", outer_raw.RawNode, outer_parse.node),
    _resource(Ingress, "ingresses", _INGRESSES, outer_raw.RawIngress, outer_parse.ingress),
    _resource(Gateway, "gateways", _GATEWAYS, outer_raw.RawGateway, outer_parse.gateway),
    _resource(Route, "httproutes", _GATEWAYS, outer_raw.RawRoute, outer_parse.route),
)
WIDE_SLICES = _resource(Slice, "endpointslices", _SLICES, raw.RawWideSlice, parse.slice_)
"""The same slices, with what is read only where nodes are watched."""


def wanted(selection: Selection) -> tuple[Resource, ...]:
    """What must be watched for a selection."""
    unwanted: set[type[Object]] = set()
    if not selection.pods:
        unwanted.add(Pod)
    if not selection.imports:
        unwanted.add(ServiceImport)
        if not selection.endpoints:
            unwanted.add(Slice)
    if not selection.nodes:
        unwanted.add(Node)
    if not selection.entrances:
        unwanted.update((Ingress, Gateway, Route))
    return tuple(
        WIDE_SLICES if one.kind is Slice and selection.nodes else one
        for one in RESOURCES
        if one.kind not in unwanted
    )
