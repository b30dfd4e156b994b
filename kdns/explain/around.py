"""What is wanted of a cluster is asked for: slices, pods and policies around some services.

How it is asked is the caller's: of an API server, or of what was asked of it a moment ago.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
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
"""Slices of a whole namespace that are asked for at once; else those of each service."""
POD_PAGES = 20


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


async def around(ask: Ask, found: Wanted, services: Mapping[str, ServiceFact]) -> Found:
    """Slices of the services that exist, pods and policies of the namespaces, and those of DNS."""
    here = Found()
    spaces = sorted(found.namespaces)[:MOST_SPACES]
    keys = sorted(key for key in found.services | {DNS} if key in services)[:MOST_SERVICES]
    work = [_slices(ask, here, space, keys) for space in sorted({_space(key) for key in keys})]
    work += [_pods(ask, here, space, [services[key] for key in keys]) for space in spaces]
    work += [_policies(ask, here, space) for space in sorted({*spaces, DNS_SPACE})]
    if DNS_SPACE not in spaces:
        work.append(_dns_pods(ask, here))
    await asyncio.gather(*work)
    return here


def _space(key: str) -> str:
    return key.partition("/")[0]


async def _slices(ask: Ask, here: Found, space: str, keys: Iterable[str]) -> None:
    wanted = [key for key in keys if _space(key) == space]
    listed = await ask(Query("endpointslices", space, pages=SLICE_PAGES))
    for key in wanted:
        if listed.has_more:
            label = f"kubernetes.io/service-name={key.partition('/')[2]}"
            listed_one = await ask(Query("endpointslices", space, labels=label))
        else:
            listed_one = listed
        slices = here.take("slices", listed_one, SliceFact)
        of_key = tuple(one for one in slices if f"{one.namespace}/{one.service}" == key)
        if of_key or not listed_one.trouble:
            here.slices[key] = of_key


async def _pods(ask: Ask, here: Found, space: str, services: Sequence[ServiceFact]) -> None:
    """All pods of a namespace; of a very big one, at least those that are selected."""
    listed = await ask(Query("pods", space, pages=POD_PAGES))
    pods = {pod.name: pod for pod in here.take("pods", listed, PodFact)}
    if listed.has_more:
        here.unknown.setdefault("pods", f"{space} has more pods than are read; {len(pods)} were")
        for one in services:
            if one.namespace == space and one.selector:
                labels = ",".join(f"{key}={value}" for key, value in one.selector.items())
                more = await ask(Query("pods", space, labels=labels, pages=POD_PAGES))
                pods |= {pod.name: pod for pod in here.take("pods", more, PodFact)}
    if pods or not listed.trouble:
        here.pods[space] = tuple(pods.values())


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
