"""A lab on loopback addresses: manifests for the usual ranges are taken, and moved as written."""

import itertools
from typing import Any

import pytest

from kdns.lab import resources
from kdns.lab.controllers import start
from kdns.lab.controllers.desk import Desk
from kdns.lab.errors import ApiError
from kdns.lab.ranges import LOOPBACK, USUAL, Ranges
from kdns.lab.storage import Storage
from tests.lab.driven import Driven


def made(ranges: Ranges = LOOPBACK) -> Storage:
    numbers = itertools.count(1)
    found = Storage(now=lambda: 1.7e9, uid=lambda: f"u-{next(numbers)}", ranges=ranges)
    start.furnish(Desk(found, lambda most: 0))
    return found


def service(**spec: Any) -> Any:
    return {"metadata": {"name": "web"}, "spec": {"ports": [{"port": 80}]} | spec}


def test_what_is_there_from_the_start_is_moved_as_a_whole() -> None:
    usual, moved = made(USUAL), made()
    assert len(usual.dump()) == len(moved.dump())
    for (kind, one), (_, other) in zip(usual.dump(), moved.dump(), strict=True):
        text = str(one.object).replace("10.96.", "127.96.").replace("10.244.", "127.244.")
        text = text.replace("172.18.", "127.18.")
        if kind is resources.NODES:
            number = one.object["metadata"]["name"]
            text = text.replace(f", 'fd00:10:244:{'abc'.index(number[-1]) + 1}::/64'", "")
        assert text == str(other.object)


def test_a_manifest_can_be_applied_twice() -> None:
    storage = made()
    asked = service(
        clusterIP="10.96.0.99", externalIPs=["198.51.100.7", "192.0.2.1"], type="LoadBalancer",
        loadBalancerIP="198.51.100.9",
    )  # fmt: skip
    first = storage.create(resources.SERVICES, "default", asked)
    assert first["spec"]["clusterIP"] == "127.96.0.99"
    assert first["spec"]["clusterIPs"] == ["127.96.0.99"]
    assert first["spec"]["externalIPs"] == ["127.51.100.7", "192.0.2.1"]
    assert first["spec"]["loadBalancerIP"] == "127.51.100.9"
    again = {**first, "spec": {**first["spec"], **asked["spec"]}}
    assert storage.update(resources.SERVICES, "default", "web", again) is first


def test_another_address_is_still_a_change() -> None:
    storage = made()
    first = storage.create(resources.SERVICES, "default", service(clusterIP="10.96.0.99"))
    again = {**first, "spec": {**first["spec"], "clusterIP": "10.96.0.98"}}
    with pytest.raises(ApiError, match="may not change once set"):
        storage.update(resources.SERVICES, "default", "web", again)


def test_services_get_addresses_of_the_loopback_range_and_no_others() -> None:
    storage = made()
    given = storage.create(resources.SERVICES, "default", service())
    assert given["spec"]["clusterIP"].startswith("127.")
    twin = made(USUAL).create(resources.SERVICES, "default", service())
    assert LOOPBACK.moved(twin["spec"]["clusterIP"]) == given["spec"]["clusterIP"]
    other = {"metadata": {"name": "two"}, "spec": service(clusterIP="127.0.0.1")["spec"]}
    with pytest.raises(ApiError, match=r"The range of valid IPs is 127\.96\.0\.0/12"):
        storage.create(resources.SERVICES, "default", other)


def test_the_status_is_moved_too() -> None:
    storage = made()
    first = storage.create(resources.SERVICES, "default", service(type="LoadBalancer"))
    status = {"loadBalancer": {"ingress": [{"ip": "198.51.100.5"}, {"hostname": "a.example"}]}}
    after = storage.update(
        resources.SERVICES, "default", "web", {**first, "status": status}, part="status"
    )
    assert after["status"]["loadBalancer"]["ingress"] == [
        {"ip": "127.51.100.5"}, {"hostname": "a.example"},
    ]  # fmt: skip


def endpoints(address: str) -> Any:
    return {"metadata": {"name": "db"}, "subsets": [{"addresses": [{"ip": address}]}]}


def slice_(address: str) -> Any:
    return {
        "metadata": {"name": "db-1"}, "addressType": "IPv4",
        "endpoints": [{"addresses": [address]}],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("10.244.1.77", "127.244.1.77"),
        ("127.244.1.77", "127.244.1.77"),
        ("172.18.0.11", "127.18.0.11"),
        ("1.1.1.1", "1.1.1.1"),
    ],
)
def test_endpoints_may_be_pods_and_nodes_of_the_lab(asked: str, found: str) -> None:
    storage = made()
    written = storage.create(resources.ENDPOINTS, "default", endpoints(asked))
    assert written["subsets"][0]["addresses"] == [{"ip": found}]
    sliced = storage.create(resources.SLICES, "default", slice_(asked))
    assert sliced["endpoints"][0]["addresses"] == [found]


@pytest.mark.parametrize("address", ["127.0.0.1", "127.96.0.10", "127.1.2.3"])
@pytest.mark.parametrize("ranges", [USUAL, LOOPBACK])
def test_other_services_of_this_machine_are_no_endpoints(address: str, ranges: Ranges) -> None:
    storage = made(ranges)
    with pytest.raises(ApiError, match="may not be in the loopback range"):
        storage.create(resources.ENDPOINTS, "default", endpoints(address))
    with pytest.raises(ApiError, match="may not be in the loopback range"):
        storage.create(resources.SLICES, "default", slice_(address))


def test_the_usual_lab_takes_no_loopback_addresses() -> None:
    with pytest.raises(ApiError, match="may not be in the loopback range"):
        made(USUAL).create(resources.ENDPOINTS, "default", endpoints("127.244.1.77"))


def test_pods_their_slices_and_balancers_are_on_loopback_addresses() -> None:
    lab = Driven(LOOPBACK)
    lab.pass_s(1)
    labels = {"app": "web"}
    containers = [{"name": "web", "image": "nginx"}]
    for name, given in (("a", {}), ("b", {"lab.kdns.io/address": "10.244.1.77"})):
        metadata = {"name": name, "labels": labels, "annotations": given}
        pod = {"metadata": metadata, "spec": {"containers": containers}}
        lab.storage.create(resources.PODS, "default", pod)
    lab.storage.create(resources.SERVICES, "default", service(selector=labels, type="LoadBalancer"))
    lab.pass_s(5)
    found = [
        address
        for one in lab.storage.list(resources.SLICES, "default")
        if one["metadata"]["name"].startswith("web")
        for endpoint in one["endpoints"] or ()
        for address in endpoint["addresses"]
    ]
    assert len(found) == 2
    assert "127.244.1.77" in found
    assert all(address.startswith("127.244.") for address in found)
    balanced = lab.storage.get(resources.SERVICES, "default", "web")["status"]["loadBalancer"]
    assert balanced["ingress"] == [{"ip": "127.51.100.1", "ipMode": "VIP"}]
