"""Namespaces: a new one gets its ServiceAccount and root certificate, a deleted one is emptied."""

from collections.abc import Iterable
from typing import ClassVar

from kdns.lab.controllers.bodies import is_terminating, name_of, namespace_of, spec_of
from kdns.lab.controllers.work import Controller
from kdns.lab.errors import Obj
from kdns.lab.history import Event
from kdns.lab.resources import (
    CONFIGMAPS,
    NAMESPACES,
    PODS,
    RESOURCES,
    SERVICEACCOUNTS,
    Resource,
)
from kdns.lab.storage import Deletion, Key

FINALIZER = "kubernetes"
AGAIN_S = 0.2
ROOT = "kube-root-ca.crt"
NO_AUTHORITY = "# The lab serves its API over plain HTTP on loopback.\n"


class Namespaces(Controller):
    """Furnishes and empties namespaces."""

    name: ClassVar[str] = "namespace-controller"
    watches: ClassVar[tuple[Resource, ...]] = (NAMESPACES, SERVICEACCOUNTS, CONFIGMAPS)

    def keys(self, resource: Resource, event: Event) -> Iterable[Key]:
        """The namespace, also when what belongs in it was taken out or changed."""
        if resource is NAMESPACES:
            return (("", name_of(event.object)),)
        if event.type != "DELETED" and name_of(event.object) != ROOT:
            return ()
        return (("", namespace_of(event.object)),)

    def sync(self, key: Key) -> float | None:
        """Furnishes a namespace, or empties it and lets it go."""
        found = self.desk.storage.find(NAMESPACES, *key)
        if found is None:
            return None
        if is_terminating(found):
            return self._empty(found)
        self._furnish(name_of(found))
        return None

    def _furnish(self, namespace: str) -> None:
        storage = self.desk.storage
        metadata = {"namespace": namespace, "name": "default"}
        if storage.find(SERVICEACCOUNTS, namespace, "default") is None:
            self.desk.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})
        held = {"ca.crt": storage.authority or NO_AUTHORITY}
        found = storage.find(CONFIGMAPS, namespace, ROOT)
        if found is None:
            metadata = {**metadata, "name": ROOT}
            root = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": held}
            self.desk.create(root)
        elif found.get("data") != held:
            # Objects that were kept have the authority of an earlier start.
            self.desk.update({**found, "data": held})

    def _empty(self, namespace: Obj) -> float | None:
        """Deletes what is in it; once all of it is gone, the namespace may go."""
        desk, name = self.desk, name_of(namespace)
        is_empty = True
        for resource in RESOURCES:
            if not resource.is_namespaced:
                continue
            for obj in desk.storage.list(resource, name):
                if not is_terminating(obj):
                    grace = 1 if resource is PODS else None
                    desk.delete(obj, Deletion(grace_s=grace, propagation="Background"))
            is_empty = is_empty and not desk.storage.list(resource, name)
        if not is_empty:
            return AGAIN_S
        spec = spec_of(namespace)
        left = [one for one in spec.get("finalizers") or () if one != FINALIZER]
        desk.update({**namespace, "spec": {**spec, "finalizers": left}})
        return None
