"""Ingresses, gateways and routes of a Store, and the hosts that are reached at them."""

from collections.abc import Callable, Hashable, Iterator
from typing import Final

from kdns.cluster.hosts import HostTable
from kdns.cluster.objects import Gateway, Ingress, Object, Route
from kdns.wire.names import Key

Entrance = Ingress | Gateway | Route
KINDS: Final = (Ingress, Gateway, Route)
_NAMES: Final = {Ingress: "ingress", Gateway: "gateway", Route: "route"}


class EntranceTable:
    """What it changes is said by hosts."""

    def __init__(self) -> None:
        self._objects: dict[type[Object], dict[tuple[str, str], Entrance]]
        self._objects = {kind: {} for kind in KINDS}
        self._routes: dict[str, set[str]] = {}
        """Keys of the routes that are attached to a gateway, by its key."""
        self.hosts = HostTable()

    def get(self, kind: type[Object], namespace: str, name: str) -> Entrance | None:
        """The object of this kind and name."""
        return self._objects[kind].get((namespace, name))

    def names(self, kind: type[Object]) -> Iterator[tuple[str, str]]:
        """Namespace and name of every object of a kind; what is named may be taken out."""
        yield from list(self._objects[kind])

    def all(self) -> Iterator[list[Object]]:
        """Every object, kind by kind."""
        for kind in KINDS:
            yield [*self._objects[kind].values()]

    def at(
        self, host: Key, is_shown: Callable[[str], bool] = lambda _: True
    ) -> list[Ingress | Gateway]:
        """Where a host is reached: the ingresses and gateways, in a stable order.

        What is in a namespace that is not shown, a route too, does not count.
        """
        found: dict[str, Ingress | Gateway] = {}
        for kind, key in self.hosts.at(host):
            namespace, _, name = key.partition("/")
            if not is_shown(namespace):
                continue
            if kind != "route":
                thing = self.get(Ingress if kind == "ingress" else Gateway, namespace, name)
                if isinstance(thing, Ingress | Gateway):
                    found[f"{kind}/{key}"] = thing
                continue
            route = self.get(Route, namespace, name)
            for each in route.gateways if isinstance(route, Route) else ():
                gateway = self.get(Gateway, *each.split("/", 1))
                if isinstance(gateway, Gateway) and is_shown(gateway.namespace):
                    found[f"gateway/{each}"] = gateway
        return [found[key] for key in sorted(found)]

    def put(
        self, kind: type[Object], namespace: str, name: str, new: Entrance | None
    ) -> set[Hashable]:
        """Sets or, with None, takes out an object."""
        table = self._objects[kind]
        old = table.pop((namespace, name), None)
        if new is not None:
            table[namespace, name] = new
        key = f"{namespace}/{name}"
        if kind is Route:
            self._attach(key, old, new)
        moved = self.hosts.put((_NAMES[kind], key), new.hosts if new is not None else ())
        if kind is Gateway:
            for route in self._routes.get(key, ()):
                moved.update(self.hosts.of(("route", route)))
        return moved

    def _attach(self, key: str, old: Entrance | None, new: Entrance | None) -> None:
        for gateway in old.gateways if isinstance(old, Route) else ():
            routes = self._routes[gateway]
            routes.discard(key)
            if not routes:
                del self._routes[gateway]
        for gateway in new.gateways if isinstance(new, Route) else ():
            self._routes.setdefault(gateway, set()).add(key)
