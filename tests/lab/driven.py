"""All controllers over a Storage, driven by hand: no event loop, and time passes when told."""

from itertools import count
from random import Random

from kdns.lab.controllers.staff import Staff
from kdns.lab.controllers.work import Agenda, Controller
from kdns.lab.errors import ApiError, Obj
from kdns.lab.ranges import USUAL, Ranges
from kdns.lab.resources import (
    DEPLOYMENTS,
    EVENTS,
    NAMESPACES,
    PODS,
    SERVICES,
    SLICES,
    Resource,
)
from kdns.lab.storage import Storage

EPOCH = 1_700_000_000.0


class Driven:
    """A cluster whose controllers act in `pass_s` only."""

    def __init__(self, ranges: Ranges = USUAL) -> None:
        self.clock = EPOCH
        number = count(1)
        self.storage = Storage(
            now=lambda: self.clock, uid=lambda: f"uid-{next(number)}", ranges=ranges
        )
        chance = Random(7)
        for name in ("default", "kube-system"):
            self.storage.create(NAMESPACES, "", {"metadata": {"name": name}})
        self.staff = Staff(self.storage, chance.randrange)
        self._rows = [
            (one, Agenda(), [(kind, self.storage.watch(kind)) for kind in one.watches])
            for one in self.staff.controllers
        ]
        for one in self.staff.controllers:
            one.begin()

    def pass_s(self, seconds: float = 10.0) -> None:
        """Lets controllers act until that much time has gone by."""
        end = self.clock + seconds
        for _ in range(20_000):
            acted = [self._turn(*row) for row in self._rows]
            if any(acted):
                continue
            waits = [agenda._heap[0][0] for _, agenda, _ in self._rows if agenda._heap]
            self.clock = min([end, *waits])
            if self.clock >= end:
                return
        raise AssertionError("the controllers do not come to rest")

    def _turn(
        self, one: Controller, agenda: Agenda, watches: list[tuple[Resource, object]]
    ) -> bool:
        for kind, watch in watches:
            for event in watch.taken():
                for key in one.keys(kind, event):
                    agenda.add(key, self.clock)
        key = agenda.take(self.clock)
        if key is None:
            return False
        try:
            again = one.sync(key)
        except ApiError as error:
            assert error.reason in {"Conflict", "NotFound"}, f"{one.name}: {key}: {error}"
            again = 0.02
        if again is not None:
            agenda.add(key, self.clock + max(again, 0.001))
        return True

    # What tests write

    def create(self, resource: Resource, body: Obj, namespace: str = "default") -> Obj:
        body = {"metadata": {}, **body}
        return self.storage.create(resource, namespace if resource.is_namespaced else "", body)

    def change(self, resource: Resource, name: str, **spec: object) -> Obj:
        """Sets fields of a spec."""
        old = self.storage.get(resource, "default", name)
        return self.storage.update(
            resource, "default", name, {**old, "spec": {**old["spec"], **spec}}
        )

    def annotate(self, name: str, **words: str) -> None:
        """Annotations of the lab on a pod."""
        old = self.storage.get(PODS, "default", name)
        told = {f"lab.kdns.io/{key.replace('_', '-')}": text for key, text in words.items()}
        metadata = {
            **old["metadata"],
            "annotations": {**old["metadata"].get("annotations", {}), **told},
        }
        self.storage.update(PODS, "default", name, {**old, "metadata": metadata})

    def service(self, name: str = "web", **spec: object) -> Obj:
        given = {
            "selector": {"app": "web"},
            "ports": [{"name": "http", "port": 80, "targetPort": 8080}],
        }
        return self.create(SERVICES, {"metadata": {"name": name}, "spec": {**given, **spec}})

    def deployment(self, name: str = "web", *, replicas: int = 3, **spec: object) -> Obj:
        body = {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "web"}},
            "template": template("web"),
        }
        return self.create(DEPLOYMENTS, {"metadata": {"name": name}, "spec": {**body, **spec}})

    def pod(self, name: str, *, annotations: dict[str, str] | None = None, **spec: object) -> Obj:
        body = template("web")
        metadata = {"name": name, "labels": body["metadata"]["labels"]}
        if annotations:
            metadata["annotations"] = annotations
        return self.create(PODS, {"metadata": metadata, "spec": {**body["spec"], **spec}})

    # What tests read

    def pods(self) -> list[Obj]:
        return self.storage.list(PODS, "default")

    def names(self, resource: Resource) -> list[str]:
        return [one["metadata"]["name"] for one in self.storage.list(resource, "default")]

    def slices(self, service: str = "web") -> list[Obj]:
        return [
            one
            for one in self.storage.list(SLICES, "default")
            if one["metadata"]["labels"]["kubernetes.io/service-name"] == service
        ]

    def ready(self, service: str = "web") -> list[str]:
        """The addresses of ready endpoints."""
        return sorted(
            address
            for part in self.slices(service)
            for endpoint in part.get("endpoints") or ()
            if endpoint["conditions"]["ready"]
            for address in endpoint["addresses"]
        )

    def told(self, name: str) -> list[str]:
        """The messages of the Events about an object."""
        return [
            one["message"]
            for one in self.storage.list(EVENTS, "default")
            if one["involvedObject"]["name"] == name
        ]


def template(app: str, image: str = "shop/web:1", **spec: object) -> Obj:
    container = {
        "name": app,
        "image": image,
        "ports": [{"name": "http", "containerPort": 8080}],
    }
    return {"metadata": {"labels": {"app": app}}, "spec": {"containers": [container], **spec}}
