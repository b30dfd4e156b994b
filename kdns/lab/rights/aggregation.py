"""ClusterRoles with an aggregationRule get the rules of all that their selectors match."""

from collections.abc import Iterable
from typing import ClassVar

from kdns.lab.controllers.bodies import labels_of, matches, name_of
from kdns.lab.controllers.desk import Desk
from kdns.lab.controllers.work import Controller
from kdns.lab.errors import Obj
from kdns.lab.history import Event
from kdns.lab.resources import CLUSTERROLES, Resource
from kdns.lab.storage import Key, Storage


def joined(storage: Storage, role: Obj) -> list[Obj]:
    """The rules that such a role is to have."""
    selectors = role["aggregationRule"].get("clusterRoleSelectors") or ()
    found: list[Obj] = []
    for selector in selectors:
        for one in storage.list(CLUSTERROLES):
            if name_of(one) != name_of(role) and matches(selector, labels_of(one)):
                found += (rule for rule in one.get("rules") or () if rule not in found)
    return found


class Aggregation(Controller):
    """Keeps them joined."""

    name: ClassVar[str] = "clusterrole-aggregation-controller"
    watches: ClassVar[tuple[Resource, ...]] = (CLUSTERROLES,)

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self._joining: set[Key] = set()

    def keys(self, resource: Resource, event: Event) -> Iterable[Key]:
        """Whatever joins others: few roles do."""
        del resource
        key = ("", name_of(event.object))
        if event.type != "DELETED" and event.object.get("aggregationRule"):
            self._joining.add(key)
        else:
            self._joining.discard(key)
        return tuple(self._joining)

    def sync(self, key: Key) -> float | None:
        """Gives one its rules."""
        role = self.desk.storage.find(CLUSTERROLES, *key)
        if role is not None and role.get("aggregationRule"):
            self.desk.update(role | {"rules": joined(self.desk.storage, role)})
        return None
