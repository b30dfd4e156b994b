"""What is wanted of a cluster is asked for: slices, pods and policies around some services.

How it is asked is the caller's: of an API server, or of what was asked of it a moment ago.
"""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from kdns.explain.asking import Ask, Listed, Query
from kdns.explain.facts import (
    PodFact,
    PolicyFact,
    ServiceFact,
    SliceFact,
)
from kdns.explain.wanted import DNS, DNS_LABEL, DNS_SPACE, Wanted

T = TypeVar("T")

MOST_SPACES = 8
"""Namespaces that are looked into: a search path has three."""
MOST_SERVICES = 16
SLICE_PAGES = 1
"""Of the slices of a whole namespace; where there are more, those of each service are asked for."""


@dataclass(slots=True)
class Found:
    """What was found so far."""

    slices: dict[str, tuple[SliceFact, ...]] = field(default_factory=dict)
    pods: dict[str, tuple[PodFact, ...]] = field(default_factory=dict)
    policies: dict[str, tuple[PolicyFact, ...]] = field(default_factory=dict)
    unknown: dict[str, str] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)

    def take(self, name: str, listed: Listed, kind: type[T]) -> tuple[T, ...]:
        """The objects of a list; what was wrong with it is noted."""
        if listed.trouble:
            self.unknown.setdefault(name, listed.trouble)
        self.skipped += [line for line in listed.skipped if line not in self.skipped]
        return tuple(one for one in listed.facts if isinstance(one, kind))


@dataclass(frozen=True, slots=True)
class Around:
    """What slices, pods and policies are wanted around."""

    found: Wanted
    services: Mapping[str, ServiceFact]
    pods: tuple[PodFact, ...] = ()
    """Some that are known already, by their addresses."""
    pages: int = 20
    """Of the pods of a namespace; where there are more, those that count are asked for."""

    @property
    def spaces(self) -> list[str]:
        """The namespaces that are looked into."""
        return sorted(self.found.namespaces)[:MOST_SPACES]

    @property
    def keys(self) -> list[str]:
        """The services that are looked at."""
        known = (key for key in self.found.services | {DNS} if key in self.services)
        return sorted(known)[:MOST_SERVICES]


async def around(ask: Ask, what: Around) -> Found:
    """Slices of the services that exist, pods and policies of the namespaces, and those of DNS."""
    here, spaces = Found(), what.spaces
    work = [_slices(ask, here, what, space) for space in sorted(set(map(_space, what.keys)))]
    work += [_pods(ask, here, what, space) for space in spaces]
    work += [_policies(ask, here, space) for space in sorted({*spaces, DNS_SPACE})]
    if DNS_SPACE not in spaces:
        work.append(_dns_pods(ask, here))
    await asyncio.gather(*work)
    return here


def _space(key: str) -> str:
    return key.partition("/")[0]


async def _slices(ask: Ask, here: Found, what: Around, space: str) -> None:
    everything = await ask(Query("endpointslices", space, pages=SLICE_PAGES))
    for key in [key for key in what.keys if _space(key) == space]:
        listed = everything
        if everything.has_more:
            label = f"kubernetes.io/service-name={key.partition('/')[2]}"
            listed = await ask(Query("endpointslices", space, labels=label))
        slices = here.take("slices", listed, SliceFact)
        of_key = tuple(one for one in slices if f"{one.namespace}/{one.service}" == key)
        if of_key or not listed.trouble:
            here.slices[key] = of_key


async def _pods(ask: Ask, here: Found, what: Around, space: str) -> None:
    """All pods of a namespace; of a very big one, some and those that count."""
    listed = await ask(Query("pods", space, pages=what.pages))
    pods = {pod.name: pod for pod in what.pods if pod.namespace == space}
    pods |= {pod.name: pod for pod in here.take("pods", listed, PodFact)}
    if listed.has_more:
        here.unknown["other pods"] = f"{space} has many: {len(pods)} were read, and those selected"
        for query in _counting(what, space):
            more = await ask(query)
            pods |= {pod.name: pod for pod in here.take("pods", more, PodFact)}
    if pods or not listed.trouble:
        here.pods[space] = tuple(pods.values())


def _counting(what: Around, space: str) -> Iterator[Query]:
    """Who asks, and the pods that the services in question select."""
    for pod in sorted(what.found.pods):
        if _space(pod) == space:
            yield Query("pods", space, fields=f"metadata.name={pod.partition('/')[2]}")
    for key in what.keys:
        selector = what.services[key].selector
        if _space(key) == space and selector:
            labels = ",".join(f"{name}={value}" for name, value in selector.items())
            yield Query("pods", space, labels=labels, pages=what.pages)


async def _dns_pods(ask: Ask, here: Found) -> None:
    listed = await ask(Query("pods", DNS_SPACE, labels=DNS_LABEL))
    pods = here.take("pods", listed, PodFact)
    if pods or not listed.trouble:
        here.pods[DNS_SPACE] = pods


async def _policies(ask: Ask, here: Found, space: str) -> None:
    listed = await ask(Query("networkpolicies", space))
    policies = here.take("policies", listed, PolicyFact)
    if policies or not listed.trouble:
        here.policies[space] = policies
