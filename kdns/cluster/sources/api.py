"""The objects of a live cluster, listed and watched, become events."""

from collections.abc import AsyncGenerator, Callable, Iterable

from kdns.cluster.api.connection import Access
from kdns.cluster.freshness import Freshness
from kdns.cluster.objects import Namespace, Object, Pod, Service, ServiceImport, Slice
from kdns.cluster.selection import Selection
from kdns.cluster.store import Event
from kdns.observe.counters import Counters

Versions = Callable[[type[Object]], Iterable[tuple[str, str, str]]]
"""Namespace, name and version of every object of a kind that the Store holds."""


class Api:
    """The source of a cluster that an API server tells of."""

    def __init__(
        self,
        access: Access,
        selection: Selection,
        *,
        freshness: Freshness,
        counters: Counters,
        versions: Versions,
        clock: Callable[[], float],
        wall: Callable[[], float],
        chance: Callable[[], float],
        triggered: Callable[[Slice, float], None] | None = None,
    ) -> None:
        self.failure = ""
        """What is wrong with the API in one line, empty while all is well."""
        self._access = access
        for kind in kinds(selection):
            freshness.expect(kind)

    def __aiter__(self) -> AsyncGenerator[Event, None]:
        """Events for as long as there is somebody to take them."""
        raise NotImplementedError


def kinds(selection: Selection) -> tuple[type[Object], ...]:
    """The kinds that are watched for a selection."""
    wanted: list[type[Object]] = [Namespace, Service]
    if selection.endpoints or selection.imports:
        wanted.append(Slice)
    if selection.pods:
        wanted.append(Pod)
    if selection.imports:
        wanted.append(ServiceImport)
    return tuple(wanted)
