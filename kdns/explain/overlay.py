"""What a server answers from, laid over what its API server or files say: which counts where.

Objects of the Store become facts when somebody looks at them: of 10,000 services, that are a few.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TypeVar

from kdns.cluster.store import Store
from kdns.explain import stored
from kdns.explain.facts import ServiceFact, SliceFact

T = TypeVar("T")


class Lazy(Mapping[str, T]):
    """Facts by name, each made at first sight."""

    def __init__(self, keys: Mapping[str, object], make: Callable[[str], T]) -> None:
        self._keys = keys
        self._make = make
        self._made: dict[str, T] = {}

    def __getitem__(self, key: str) -> T:
        if key not in self._made:
            if key not in self._keys:
                raise KeyError(key)
            self._made[key] = self._make(key)
        return self._made[key]

    def __contains__(self, key: object) -> bool:
        return key in self._keys

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)

    def put(self, key: str, fact: T) -> None:
        """Something better is known of one that is there."""
        if key in self._keys:
            self._made[key] = fact


class Overlay:
    """The services and slices of a Store that changes no more (`Store.frozen`)."""

    def __init__(self, kept: Store) -> None:
        self.services = Lazy(kept.services, lambda key: stored.service(kept.services[key]))
        self.slices = Lazy(kept.services, lambda key: tuple(map(stored.slice_, kept.slices(key))))
        self.namespaces = Lazy(
            kept.namespaces, lambda name: stored.namespace(kept.namespaces[name])
        )
        self.behind: set[str] = set()

    def compare_service(self, key: str, said: ServiceFact | None) -> None:
        """The API server says this of a service, or that there is none."""
        ours = self.services.get(key)
        if ours is None or said is None:
            if (ours is None) != (said is None):
                self.behind.add(key)
            return
        if _served(ours) == _served(said):
            self.services.put(key, said)
            return
        self.behind.add(key)
        self.services.put(
            key,
            replace(
                ours,
                type=said.type,
                selector=said.selector,
                publishes_unready=said.publishes_unready,
                created=said.created,
            ),
        )

    def compare_slices(self, key: str, said: Iterable[SliceFact]) -> None:
        """The API server says that a service has these slices."""
        theirs = {one.name: one for one in said}
        ours = self.slices.get(key, ())
        if {one.name.partition("~")[0] for one in ours} != theirs.keys():
            self.behind.add(key)
        self.slices.put(key, tuple(self._merged(key, one, theirs) for one in ours))

    def read_service(self, key: str, said: ServiceFact) -> None:
        """A file says this of a service, which may be one of no address."""
        ours = self.services.get(key)
        if ours is not None:
            self.services.put(key, replace(said, addresses=ours.addresses))

    def read_slices(self, key: str, said: Iterable[SliceFact]) -> None:
        """A file says who made these slices, and when."""
        theirs = {one.name: one for one in said}
        ours = self.slices.get(key, ())
        self.slices.put(key, tuple(_told(one, theirs.get(one.name)) for one in ours))

    def _merged(self, key: str, ours: SliceFact, theirs: Mapping[str, SliceFact]) -> SliceFact:
        said = theirs.get(ours.name.partition("~")[0])
        if said is None:
            return ours
        if said.name == ours.name and _endpoints(said) == _endpoints(ours):
            return said
        if said.name == ours.name:
            self.behind.add(key)
        return _told(ours, said)


def _told(ours: SliceFact, said: SliceFact | None) -> SliceFact:
    """The same slice, with who made it and when."""
    if said is None:
        return ours
    return replace(ours, managed_by=said.managed_by, triggered=said.triggered, written=said.written)


def _served(one: ServiceFact) -> tuple[object, ...]:
    """What answers are made of."""
    ports = [(port.name.lower(), port.number, port.protocol.upper()) for port in one.ports]
    return one.addresses, one.external_name, sorted(one.external_addresses), sorted(ports)


def _endpoints(one: SliceFact) -> set[tuple[str, bool, str]]:
    return {
        (address, each.is_ready, each.hostname)
        for each in one.endpoints
        for address in each.addresses
    }
