"""Of all that files say, what has to do with some names: what an API server would be asked for."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final, TypeVar

from kdns.explain.around import MOST_SERVICES, MOST_SPACES
from kdns.explain.asking import POD_PAGE
from kdns.explain.facts import Facts, PodFact, ServiceFact
from kdns.explain.wanted import DNS, DNS_LABEL, DNS_SPACE, Wanted

T = TypeVar("T")

MOST_PODS: Final = 5 * POD_PAGE
"""Of a namespace."""


def excerpt(known: Facts, found: Wanted) -> Facts:
    """What has to do with this, of all that is known."""
    at = tuple(_at(known, found.addresses))
    spaces = sorted(found.namespaces | {pod.namespace for pod in at})[:MOST_SPACES]
    keys = sorted(key for key in found.services | {DNS} if key in known.services)[:MOST_SERVICES]
    services = {key: known.services[key] for key in keys}
    pods = {
        space: _chosen(known.pods[space], found, at, services.values())
        for space in spaces
        if space in known.pods
    }
    cut = [space for space in pods if len(pods[space]) < len(known.pods[space])]
    unknown = dict(known.unknown)
    for space in cut:
        said = f"{space} has many: {len(pods[space])} were read, with those selected"
        unknown["other pods"] = said
    if DNS_SPACE not in spaces and DNS_SPACE in known.pods:
        pods[DNS_SPACE] = tuple(_of_dns(known.pods[DNS_SPACE]))
    return replace(
        known,
        namespaces=_of(known.namespaces, spaces),
        services=services,
        slices=_of(known.slices, keys),
        pods=pods,
        policies=_of(known.policies, {*spaces, DNS_SPACE}),
        unknown=unknown,
        derived=known.derived.intersection(keys),
    )


def _of(known: Mapping[str, T], keys: Iterable[str]) -> dict[str, T]:
    return {key: known[key] for key in keys if key in known}


def _at(known: Facts, addresses: frozenset[str]) -> Iterator[PodFact]:
    for pods in known.pods.values() if addresses else ():
        for pod in pods:
            if not addresses.isdisjoint(pod.addresses):
                yield pod


def _of_dns(pods: Iterable[PodFact]) -> Iterator[PodFact]:
    name, _, value = DNS_LABEL.partition("=")
    return (pod for pod in pods if pod.labels.get(name) == value)


def _chosen(
    pods: Sequence[PodFact],
    found: Wanted,
    at: Sequence[PodFact],
    services: Iterable[ServiceFact],
) -> tuple[PodFact, ...]:
    """All of a namespace; of very many, those that count before others."""
    if len(pods) <= MOST_PODS:
        return tuple(pods)
    selectors = [one.selector.items() for one in services if one.namespace == pods[0].namespace]
    named = {*found.pods, *(f"{pod.namespace}/{pod.name}" for pod in at)}

    def counts(pod: PodFact) -> bool:
        labels = pod.labels.items()
        is_selected = any(each and each <= labels for each in selectors)
        return is_selected or f"{pod.namespace}/{pod.name}" in named

    return tuple(sorted(pods, key=counts, reverse=True)[:MOST_PODS])
