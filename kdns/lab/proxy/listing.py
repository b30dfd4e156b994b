"""The rules of a cluster as a person or a program reads them: `kdns lab rules`.

Pure: objects as an API server lists them become lines by service, or plain values for JSON.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any

from kdns.lab.controllers.bodies import annotations_of, name_of, namespace_of, spec_of, status_of
from kdns.lab.errors import Obj
from kdns.lab.proxy.routes import Backend, backend_of, endpoints_at
from kdns.lab.proxy.rules import Rule, is_served
from kdns.lab.proxy.slices import Endpoint
from kdns.lab.proxy.table import Table

OFFSET = "lab.kdns.io/port-offset"
"""Annotation of a node: what must be added to ports below 1024 to reach them in this lab."""
_RESERVED = 1024


@dataclass(frozen=True, slots=True)
class Row:
    """One place and what becomes of connections to it."""

    service: str
    kind: str
    protocol: str
    where: str
    address: str
    port: int
    listens: int
    """The port that is really listened on."""
    endpoints: tuple[Endpoint, ...]
    reject: str = ""
    """Why there are none."""
    notes: tuple[str, ...] = ()

    def plain(self) -> dict[str, Any]:  # Any: of JSON
        """As JSON has it."""
        return {
            "service": self.service,
            "kind": self.kind,
            "protocol": self.protocol,
            "address": self.address,
            "port": self.port,
            "listens": self.listens,
            "endpoints": [
                {"address": one.address, "port": one.port, "node": one.node}
                for one in self.endpoints
            ],
            "reject": self.reject,
            "notes": list(self.notes),
        }


@dataclass(slots=True)
class Cluster:
    """What was listed."""

    services: Sequence[Obj]
    slices: Sequence[Obj]
    nodes: Sequence[Obj] = ()
    ingresses: Sequence[Obj] = ()
    offset: int = 0
    table: Table = field(default_factory=Table)

    def __post_init__(self) -> None:
        for node in self.nodes:
            self.table.set_node(node)
            self.offset = self.offset or _number(annotations_of(node).get(OFFSET))
        for one in self.slices:
            self.table.set_slice(one)
        for service in self.services:
            self.table.set_service(service)

    def rows(self, service: str = "") -> list[Row]:
        """Of one service (`namespace/name`), or of all."""
        asked = [service] if service else sorted(self.table.services)
        found = []
        for key in asked:
            found += [self._row(rule) for rule in self.table.rules(key)]
            found += self._ingresses(key)
        return found

    def why_none(self, service: str) -> str:
        """Why a service that was asked for has no rules; empty where there is no such service."""
        found = self.table.services.get(service)
        if found is None:
            return ""
        spec = spec_of(found)
        if spec.get("type") == "ExternalName":
            return f"it is an ExternalName: its name leads to {spec.get('externalName')}"
        if spec.get("clusterIP") == "None":
            return "it is headless: its name leads to the endpoints themselves"
        if not is_served(found):
            return "it has no ClusterIP, or a label gives it to another proxy"
        return "none of its ports is TCP or UDP"

    def _row(self, rule: Rule) -> Row:
        place = rule.place
        winner = self.table.rule_at(place)
        has_place = winner is None or winner.service == rule.service
        why = ""
        if not has_place and winner:
            why = f"{winner.service}, which is older, has that place"
        elif not rule.members:
            slices = self.table.slices_of(rule.service)
            port = f":{rule.port}" if rule.port else ""
            none = slices.why_none((rule.port, place.protocol), rule.family)
            why = f"{rule.service}{port} has no endpoints: {none}"
        return Row(
            rule.service,
            rule.kind,
            place.protocol,
            f"{_host(place.address)}:{place.port}",
            place.address,
            place.port,
            self._shifted(place.port),
            rule.endpoints if has_place else (),
            why,
            tuple(self._notes(rule)) if rule.members and has_place else (),
        )

    def _notes(self, rule: Rule) -> Iterator[str]:
        shifted = self._shifted(rule.place.port)
        if shifted != rule.place.port:
            yield f"here on port {shifted}"
        if rule.affinity_s:
            yield f"affinity ClientIP {rule.affinity_s} s"
        if not rule.endpoints[0].is_ready:
            yield "none is ready: those that terminate still serve"
        if rule.is_local and not rule.is_from_outside:
            yield "Local: a pod reaches those on its own node only"
        elif rule.is_local and rule.node:
            here = ", ".join(_text(one) for one in rule.reached_from("")) or "none: dropped"
            yield f"Local: from outside those on {rule.node} only ({here})"
        if rule.sources:
            yield f"only from {', '.join(rule.sources)}"

    def _shifted(self, port: int) -> int:
        return port + self.offset if port < _RESERVED else port

    def _ingresses(self, service: str) -> Iterator[Row]:
        for ingress in self.ingresses:
            for text, backend in _paths(ingress):
                if backend and backend.service == service:
                    yield self._ingress(ingress, text, backend)

    def _ingress(self, ingress: Obj, text: str, backend: Backend) -> Row:
        key = backend.service
        found = self.table.services.get(key)
        endpoints = endpoints_at(backend, found, self.table.slices_of(key))
        points = (status_of(ingress).get("loadBalancer") or {}).get("ingress") or [{}]
        address = points[0].get("ip") or points[0].get("hostname") or ""
        shifted = self._shifted(80)
        notes = [f"ingress {namespace_of(ingress)}/{name_of(ingress)}"]
        if shifted != 80:
            notes.insert(0, f"here on port {shifted}")
        why = f"port {backend.port} of {key} has no endpoints"
        where = f"{_host(address) or '<pending>'}:80 {text}"
        return Row(key, "Ingress", "HTTP", where, address, 80, shifted, endpoints,
                   "" if endpoints else why, tuple(notes))  # fmt: skip


def _paths(ingress: Obj) -> Iterator[tuple[str, Backend | None]]:
    """Host and path, and where they lead."""
    space, spec = namespace_of(ingress), spec_of(ingress)
    for rule in spec.get("rules") or ():
        for path in (rule.get("http") or {}).get("paths") or ():
            text = f"{rule.get('host') or '*'}{path.get('path') or '/'}"
            # whoever may write ingresses has no say over the admin's terminal
            shown = "".join(one if one.isprintable() else f"\\x{ord(one):02x}" for one in text)
            yield shown, backend_of(space, path.get("backend") or {})
    if spec.get("defaultBackend"):
        yield "(all else)", backend_of(space, spec["defaultBackend"])


def lines(rows: Iterable[Row]) -> Iterator[str]:
    """By service, in columns; a node port stands once where all nodes do the same."""
    listed = list(_folded(rows))
    width = max((len(row.where) for row in listed), default=0)
    before = ""
    for row in listed:
        if row.service != before:
            yield row.service
            before = row.service
        lead = f"  {row.kind:<12}  {row.protocol:<4}  {row.where:<{width}}"
        notes = f"  ({'; '.join(row.notes)})" if row.notes else ""
        told = ", ".join(_text(one) for one in row.endpoints)
        yield f"{lead}  REJECT  {row.reject}" if row.reject else f"{lead}  → {told}{notes}"


def _folded(rows: Iterable[Row]) -> Iterator[Row]:
    for _, same in groupby(rows, key=_same):
        first, *others = same
        more = f" and on {len(others)} more" if others else ""
        yield replace(first, where=first.where + more)


def _same(row: Row) -> tuple[object, ...]:
    """What node ports share that are shown as one; all else stands for itself."""
    where = "" if row.kind == "NodePort" else row.where
    return row.service, row.kind, row.protocol, where, row.port, row.endpoints, row.notes


def _text(endpoint: Endpoint) -> str:
    return f"{_host(endpoint.address)}:{endpoint.port}"


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _number(text: str | None) -> int:
    return int(text) if text and text.isdecimal() else 0
