"""Addresses and node ports: given once, given back, and refused in the words of a real server."""

import gc
import itertools
import weakref
from dataclasses import replace
from ipaddress import IPv4Network
from typing import Any

import pytest

from kdns.lab import resources
from kdns.lab.errors import ApiError
from kdns.lab.kinds import allocation
from kdns.lab.ranges import USUAL
from kdns.lab.storage import Storage


@pytest.fixture
def storage() -> Storage:
    numbers = itertools.count(1)
    found = Storage(now=lambda: 1.7e9, uid=lambda: f"u-{next(numbers)}")
    found.create(resources.NAMESPACES, "", {"metadata": {"name": "shop"}})
    return found


def make(storage: Storage, name: str, **spec: Any) -> Any:
    spec = {"ports": [{"port": 80}]} | spec
    return storage.create(resources.SERVICES, "shop", {"metadata": {"name": name}, "spec": spec})


def refusal(storage: Storage, name: str, **spec: Any) -> str:
    with pytest.raises(ApiError) as error:
        make(storage, name, **spec)
    assert error.value.code == 422
    return error.value.message


def test_an_address_follows_from_the_name(storage: Storage) -> None:
    first = make(storage, "web")["spec"]["clusterIP"]
    storage.delete(resources.SERVICES, "shop", "web")
    assert make(storage, "web")["spec"]["clusterIP"] == first
    assert make(storage, "api")["spec"]["clusterIP"] != first


def test_an_address_is_given_once(storage: Storage) -> None:
    make(storage, "web", clusterIP="10.96.0.10")
    assert refusal(storage, "two", clusterIP="10.96.0.10") == (
        'Service "two" is invalid: spec.clusterIPs: Invalid value: ["10.96.0.10"]: '
        "failed to allocate IP 10.96.0.10: provided IP is already allocated"
    )
    storage.delete(resources.SERVICES, "shop", "web")
    make(storage, "two", clusterIP="10.96.0.10")


def test_an_address_must_be_of_the_range(storage: Storage) -> None:
    assert "the provided IP (192.0.2.1) is not in the valid range" in refusal(
        storage, "web", clusterIP="192.0.2.1"
    )


def test_all_services_have_addresses_of_their_own(storage: Storage) -> None:
    spec = {"ipFamilyPolicy": "RequireDualStack"}
    found = [make(storage, f"s{n}", **spec)["spec"]["clusterIPs"] for n in range(300)]
    addresses = list(itertools.chain.from_iterable(found))
    assert len(set(addresses)) == 600


def test_a_full_range_says_so(storage: Storage) -> None:
    network = IPv4Network("10.96.0.0/23")
    storage.ranges = replace(USUAL, services=network)
    room = network.num_addresses - 256 - 1
    for number in range(room):
        make(storage, f"s{number}")
    with pytest.raises(ApiError, match="range is full"):
        make(storage, "another")


def test_a_dry_run_takes_nothing(storage: Storage) -> None:
    obj = {"metadata": {"name": "web"}, "spec": {"clusterIP": "10.96.0.10", "ports": [{"port": 1}]}}
    storage.create(resources.SERVICES, "shop", obj, is_dry=True)
    make(storage, "two", clusterIP="10.96.0.10")


def test_node_ports_are_given_once(storage: Storage) -> None:
    port = {"port": 80, "nodePort": 30080}
    make(storage, "web", type="NodePort", ports=[port])
    assert refusal(storage, "two", type="NodePort", ports=[port]) == (
        'Service "two" is invalid: spec.ports[0].nodePort: Invalid value: 30080: '
        "provided port is already allocated"
    )
    make(storage, "udp", type="NodePort", ports=[port | {"protocol": "UDP"}])
    assert "The range of valid ports is 30000-32767" in refusal(
        storage, "low", type="NodePort", ports=[{"port": 80, "nodePort": 80}]
    )


def test_two_protocols_of_a_port_share_a_node_port(storage: Storage) -> None:
    ports = [{"name": "tcp", "port": 53}, {"name": "udp", "port": 53, "protocol": "UDP"}]
    found = make(storage, "dns", type="NodePort", ports=ports)["spec"]["ports"]
    assert found[0]["nodePort"] == found[1]["nodePort"]


def test_a_balancer_for_local_traffic_has_a_port_to_ask_for_health(storage: Storage) -> None:
    web = make(storage, "web", type="LoadBalancer", externalTrafficPolicy="Local")["spec"]
    assert web["healthCheckNodePort"] in allocation.NODE_PORTS
    assert web["healthCheckNodePort"] != web["ports"][0]["nodePort"]


def test_what_was_given_is_known_after_the_history_is_gone(storage: Storage) -> None:
    make(storage, "web", clusterIP="10.96.0.10")
    make(storage, "api")
    storage.compact()
    assert "already allocated" in refusal(storage, "two", clusterIP="10.96.0.10")
    storage.load([(resource, item.object) for resource, item in storage.dump()], storage.version)
    assert "already allocated" in refusal(storage, "two", clusterIP="10.96.0.10")


def test_an_update_keeps_its_own_address_and_ports(storage: Storage) -> None:
    web = make(storage, "web", type="NodePort")
    labelled = web | {"metadata": web["metadata"] | {"labels": {"a": "b"}}}
    after = storage.update(resources.SERVICES, "shop", "web", labelled)
    assert after["spec"] == web["spec"]


def test_a_storage_that_nobody_has_is_forgotten() -> None:
    gone = Storage(now=lambda: 1.7e9, uid=lambda: "u")
    gone.create(resources.NAMESPACES, "", {"metadata": {"name": "shop"}})
    make(gone, "web")
    seen = weakref.ref(gone)
    del gone
    gc.collect()
    assert seen() is None
