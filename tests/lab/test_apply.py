"""Server-side apply: what stays, what goes, and who stands in the way, as seen on a real server."""

import itertools
from typing import Any

import pytest

from kdns.lab import apply, resources, schema
from kdns.lab.errors import ApiError
from kdns.lab.storage import Storage

HTTP = {"name": "http", "port": 80}
DNS = {"name": "dns", "port": 53, "protocol": "UDP"}


class Cluster:
    """One Service, applied to by several."""

    def __init__(self) -> None:
        numbers = itertools.count(1)
        self.storage = Storage(now=lambda: 1.7e9, uid=lambda: f"u-{next(numbers)}")
        self.storage.create(resources.NAMESPACES, "", {"metadata": {"name": "shop"}})
        kind = schema.type_of("v1", "Service")
        assert kind is not None
        self.kind = kind

    @property
    def service(self) -> Any:
        return self.storage.find(resources.SERVICES, "shop", "web")

    def apply(
        self, manager: str, labels: dict[str, str], *, forces: bool = False, **spec: Any
    ) -> Any:
        config = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "web", "labels": labels},
            "spec": spec,
        }
        new = apply.applied(self.service, config, self.kind, manager, forces=forces)
        managed = apply.stamped(new["metadata"]["managedFields"], self.service, "now")
        new["metadata"]["managedFields"] = managed
        if self.service is None:
            return self.storage.create(resources.SERVICES, "shop", new)
        return self.storage.update(resources.SERVICES, "shop", "web", new)

    def patch(self, manager: str, labels: dict[str, str]) -> None:
        old = self.service
        new = old | {"metadata": old["metadata"] | {"labels": labels}}
        managed = apply.stamped(apply.tracked(new, old, self.kind, manager, ""), old, "later")
        new["metadata"]["managedFields"] = managed
        self.storage.update(resources.SERVICES, "shop", "web", new)

    def owners(self) -> dict[str, Any]:
        return {
            one["manager"]: one["fieldsV1"] for one in self.service["metadata"]["managedFields"]
        }


@pytest.fixture
def cluster() -> Cluster:
    found = Cluster()
    found.apply("one", {"a": "b"}, ports=[HTTP], selector={"x": "y"})
    return found


def test_apply_creates_and_owns_what_it_said_only(cluster: Cluster) -> None:
    assert cluster.service["spec"]["ports"] == [{**HTTP, "protocol": "TCP", "targetPort": 80}]
    assert cluster.owners() == {
        "one": {
            "f:metadata": {"f:labels": {"f:a": {}}},
            "f:spec": {
                "f:ports": {
                    'k:{"port":80,"protocol":"TCP"}': {".": {}, "f:name": {}, "f:port": {}}
                },
                "f:selector": {},
            },
        }
    }


def test_another_value_for_another_managers_field_conflicts(cluster: Cluster) -> None:
    with pytest.raises(ApiError) as error:
        cluster.apply(
            "two", {"a": "c", "q": "r"}, ports=[{**HTTP, "targetPort": 99}], selector={"x": "z"}
        )
    assert (error.value.code, error.value.reason) == (409, "Conflict")
    assert error.value.message == (
        'Apply failed with 2 conflicts: conflicts with "one":\n- .metadata.labels.a\n'
        "- .spec.selector"
    )
    assert error.value.details["causes"][0] == {
        "reason": "FieldManagerConflict",
        "message": 'conflict with "one"',
        "field": ".metadata.labels.a",
    }


def test_force_takes_fields_over(cluster: Cluster) -> None:
    cluster.apply("two", {"a": "c"}, ports=[{**HTTP, "targetPort": 99}], forces=True)
    assert cluster.service["metadata"]["labels"] == {"a": "c"}
    assert cluster.service["spec"]["ports"][0]["targetPort"] == 99
    assert "f:metadata" not in cluster.owners()["one"]
    assert cluster.owners()["two"]["f:metadata"] == {"f:labels": {"f:a": {}}}


def test_what_a_manager_no_longer_says_goes_unless_another_says_it(cluster: Cluster) -> None:
    cluster.apply("two", {"q": "r"}, ports=[{**HTTP, "targetPort": 99}], selector={"x": "y"})
    cluster.apply("two", {"q": "r"}, ports=[DNS])
    assert [port["name"] for port in cluster.service["spec"]["ports"]] == ["http", "dns"]
    assert cluster.service["spec"]["ports"][0]["targetPort"] == 80
    assert cluster.service["spec"]["selector"] == {"x": "y"}
    cluster.apply("one", {"a": "b"}, selector={"x": "y"})
    assert [port["name"] for port in cluster.service["spec"]["ports"]] == ["dns"]


def test_a_plain_write_owns_what_it_changed(cluster: Cluster) -> None:
    cluster.patch("three", {"a": "b", "q": "s"})
    assert cluster.owners()["three"] == {"f:metadata": {"f:labels": {"f:q": {}}}}
    with pytest.raises(ApiError, match=r'conflict with "three" using v1: \.metadata\.labels\.q'):
        cluster.apply("one", {"a": "b", "q": "t"}, ports=[HTTP], selector={"x": "y"})


def test_applying_the_same_again_changes_nothing(cluster: Cluster) -> None:
    before = cluster.storage.version
    cluster.apply("one", {"a": "b"}, ports=[HTTP], selector={"x": "y"})
    assert cluster.storage.version == before


def test_a_configuration_may_not_bring_managed_fields(cluster: Cluster) -> None:
    config = {"metadata": {"name": "web", "managedFields": [{}]}}
    with pytest.raises(ApiError, match=r"metadata\.managedFields must be nil"):
        apply.applied(cluster.service, config, cluster.kind, "one", forces=False)
