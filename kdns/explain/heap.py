"""Objects that were read one by one, and what is made of all of them: Facts."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Final, TypeVar

import msgspec.structs

from kdns.cluster.allocate import Ranges
from kdns.cluster.assembly import Found, assemble
from kdns.cluster.objects import Object, Service, Slice
from kdns.cluster.parse import Thing
from kdns.explain import stored
from kdns.explain.facts import (
    Facts,
    NamespaceFact,
    PodFact,
    PolicyFact,
    ServiceFact,
    SliceFact,
)
from kdns.explain.reading import Known

T = TypeVar("T")
Grouped = TypeVar("Grouped", PodFact, PolicyFact)

MOST_SKIPPED = 20
"""Broken objects that are named; the rest are counted."""
TITLES: Final = {
    "services": "Services",
    "slices": "EndpointSlices",
    "pods": "Pods",
    "namespaces": "Namespaces",
    "policies": "NetworkPolicies",
}
_FIELDS: Final = {
    "Service": "services",
    "EndpointSlice": "slices",
    "Endpoints": "slices",
    "Pod": "pods",
    "Namespace": "namespaces",
    "NetworkPolicy": "policies",
}
_FIRST = "default/kubernetes"
"""The service that every cluster has."""


class Heap:
    """All objects of some files; of two with one name the last one counts.

    Without endpoints, who made slices and when is kept, and what they hold is left to others.
    """

    def __init__(self, *, has_endpoints: bool = True) -> None:
        self._has_endpoints = has_endpoints
        self._facts: dict[tuple[str, str, str], Known] = {}
        self._things: list[tuple[str, Callable[[], Thing | None]]] = []
        self._kinds: set[str] = set()
        self._skipped: list[str] = []
        self._count = 0

    def expect(self, kind: str) -> None:
        """This kind is in the files, be it without an object."""
        if kind in _FIELDS:
            self._kinds.add(_FIELDS[kind])

    def put(self, known: Known, where: str, thing: Callable[[], Thing | None]) -> None:
        """One more object; `thing` gives it as the server reads it."""
        self.expect(known.kind)
        if isinstance(known.fact, SliceFact) and not self._has_endpoints:
            known = msgspec.structs.replace(known, fact=replace(known.fact, endpoints=()))
        if self._has_endpoints and known.kind in {"Service", "EndpointSlice", "Endpoints", "Pod"}:
            self._things.append((where, thing))
        if known.fact is not None:
            space = "" if isinstance(known.fact, NamespaceFact) else known.fact.namespace
            self._facts[known.kind, space, known.fact.name] = known

    def skip(self, line: str) -> None:
        """Something could not be read."""
        self._count += 1
        if len(self._skipped) < MOST_SKIPPED:
            self._skipped.append(line)

    @property
    def is_empty(self) -> bool:
        """True where no object was put, and no list of a kind that is read."""
        return not (self._facts or self._kinds)

    def facts(self) -> Facts:
        """What all that makes."""
        services = {f"{one.namespace}/{one.name}": one for one in self._of(ServiceFact)}
        slices = self._slices(services)
        derived = self._derive(services, slices)
        pods = grouped(self._of(PodFact))
        policies = grouped(self._of(PolicyFact))
        namespaces = self._namespaces()
        for name in namespaces:
            pods.setdefault(name, ())
            policies.setdefault(name, ())
        more = len(self._skipped) < self._count
        return Facts(
            now=self._newest(),
            namespaces=namespaces,
            services=services,
            slices=slices,
            pods=pods,
            policies=policies,
            unknown=self._unknown(has_slices=bool(derived)),
            only=self._only(services),
            derived=derived,
            is_of_files=True,
            skipped=(
                *self._skipped,
                *([f"and {self._count - len(self._skipped)} more"] if more else ()),
            ),
        )

    def _of(self, kind: type[T]) -> Iterator[T]:
        for known in self._facts.values():
            if isinstance(known.fact, kind):
                yield known.fact

    @property
    def _is_dump(self) -> bool:
        return any(known.is_stored for known in self._facts.values())

    def _is_written(self, kind: str, key: str) -> bool:
        """True for an object that somebody wrote and no API server has seen."""
        space, _, name = key.rpartition("/")
        known = self._facts.get((kind, space, name))
        return known is not None and not known.is_stored

    def _slices(self, services: Iterable[str]) -> dict[str, tuple[SliceFact, ...]]:
        """By service; Endpoints speak for those only that no slice speaks for."""
        found: dict[str, list[SliceFact]] = {key: [] for key in services}
        listed = sorted(self._of(SliceFact), key=lambda one: (one.kind == "Endpoints", one.name))
        for one in listed:
            known = found.setdefault(f"{one.namespace}/{one.service}", [])
            if one.kind != "Endpoints" or not known:
                known.append(one)
        return {key: tuple(known) for key, known in found.items()}

    def _namespaces(self) -> dict[str, NamespaceFact]:
        """Those that are written, and those that objects are in."""
        spaces = {space for _, space, _ in self._facts if space}
        found = {
            name: NamespaceFact(name, {"kubernetes.io/metadata.name": name})
            for name in sorted(spaces)
        }
        return found | {one.name: one for one in self._of(NamespaceFact)}

    # What nobody has made yet

    def _derive(
        self, services: dict[str, ServiceFact], slices: dict[str, tuple[SliceFact, ...]]
    ) -> frozenset[str]:
        """Makes slices and addresses for the services that have none and should; says for whom."""
        if not self._has_endpoints:
            return frozenset(
                key for key, one in services.items() if one.selector and not slices[key]
            )
        is_bare = "pods" in self._kinds and "slices" not in self._kinds
        written = {key for key in services if self._is_written("Service", key)}
        lacking = {key for key in services if not slices[key] and (is_bare or key in written)}
        if not (lacking or written):
            return frozenset()
        made = self._assembled()
        for thing in made[Service]:
            if isinstance(thing, Service) and thing.key in written and thing.addresses:
                addresses = stored.service(thing).addresses
                services[thing.key] = replace(services[thing.key], addresses=addresses)
        derived = defaultdict(list)
        for thing in made[Slice]:
            if isinstance(thing, Slice) and thing.key in lacking:
                derived[thing.key].append(stored.slice_(thing))
        if "pods" not in self._kinds:
            for key in [key for key in derived if services[key].selector]:
                # Its pods are made by a controller of what is written here: nobody knows them.
                del derived[key], slices[key]
        slices.update({key: tuple(given) for key, given in derived.items()})
        return frozenset(derived)

    def _assembled(self) -> Mapping[type[Object], tuple[Object, ...]]:
        """The cluster that the server would make of this."""
        found = []
        for where, make in self._things:
            try:
                thing = make()
            except ValueError as error:
                self.skip(f"{where}: {error}")
                continue
            if thing is not None:
                found.append(Found(where, thing))
        return assemble(found, Ranges()).objects

    # What is not known

    def _unknown(self, *, has_slices: bool) -> dict[str, str]:
        is_dump = self._is_dump
        kinds = self._kinds | ({"slices"} if has_slices else set())
        if not is_dump:
            kinds |= {"namespaces"}
        what = "dump has" if is_dump else "manifests have"
        return {
            name: f"the {what} no {title}" for name, title in TITLES.items() if name not in kinds
        }

    def _only(self, services: Mapping[str, ServiceFact]) -> tuple[str, ...]:
        """The one namespace that a dump is of, if it is no dump of all."""
        spaces = {space for _, space, _ in self._facts if space}
        is_part = self._is_dump and len(spaces) == 1 and _FIRST not in services
        return tuple(spaces) if is_part else ()

    def _newest(self) -> str:
        """The newest time in a dump: it was made then, or later."""
        times = []
        for known in self._facts.values():
            match known.fact:
                case ServiceFact() as one:
                    times.append(one.created)
                case SliceFact() as one:
                    times += [one.written, one.triggered]
                case PodFact() as one:
                    times += [one.created, *(each.since for each in one.conditions)]
        return newest(times)


def newest(times: Iterable[str]) -> str:
    """The latest of RFC 3339 times; those in UTC, as the API writes them, before others."""
    return max((time for time in times if time.endswith("Z")), default="")


def grouped(given: Iterable[Grouped]) -> dict[str, tuple[Grouped, ...]]:
    """By namespace."""
    found: dict[str, list[Grouped]] = defaultdict(list)
    for one in given:
        found[one.namespace].append(one)
    return {name: tuple(listed) for name, listed in found.items()}
